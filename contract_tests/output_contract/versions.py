"""Which versions of the API and of the workers' SDK a deployment is judged as."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from output_mock.contract import versions
from output_mock.contract.versions import NEWEST_VERSION, number_of

NEWEST = NEWEST_VERSION
# The versions that a deployment can be judged as, oldest first. 0.9.0 was not measured; its API lacks the
# additions of 0.9.2.
KNOWN = tuple(sorted({*versions.KNOWN, "0.9.0"}, key=number_of))
_FORM = re.compile(r"v?(\d+\.\d+)(\.\d+)?")


def known(version: str) -> str:
    """The known version for judging this one: the newest version that is not newer.

    `0.9` means the newest known 0.9. Raises `ValueError` for an invalid version, and for one that is older
    than all known versions.
    """
    found = _FORM.fullmatch(version.strip())
    if found is None:
        raise ValueError(f"{version!r} is not a version; write it like 0.11 or 0.11.0")
    line, patch = found.groups()
    meant = number_of(line + (patch or ""))
    fitting = [one for one in KNOWN if number_of(one)[: len(meant)] <= meant]
    if not fitting:
        raise ValueError(f"{version} is older than {KNOWN[0]}, the oldest version that is known")
    return fitting[-1]


@dataclass(frozen=True)
class Judged:
    """The versions that a deployment is judged as, and their origin: `said`, `found` or `assumed`."""

    api: str = NEWEST
    sdk: str = NEWEST
    api_known: str = "assumed"
    sdk_known: str = "assumed"

    def api_since(self, version: str) -> bool:
        """Whether the API has this version or a newer one."""
        return number_of(self.api) >= number_of(version)

    def sdk_since(self, version: str) -> bool:
        """Whether the workers' SDK has this version or a newer one."""
        return number_of(self.sdk) >= number_of(version)

    @property
    def has_second_results(self) -> bool:
        """Whether results have the second version: `v: "2"`, a flat trace, an error that is an object."""
        return self.api_since("0.11.0") and self.sdk_since("0.11.0")

    @property
    def warning(self) -> str | None:
        """A warning about problems between server and workers of these versions, or None."""
        if self.loses_results:
            return (
                f"An API of {self.api} does not read what workers of SDK {self.sdk} return: results have no "
                "output and no trace. Upgrade the API before the workers."
            )
        if self.starts_nothing:
            return (
                f"An API of {self.api} starts no workflows of workers of SDK {self.sdk}: it answers 424 for "
                f"all of them. Upgrade the workers before the API."
            )
        return None

    @property
    def loses_results(self) -> bool:
        """Whether the server cannot read the results of newer workers."""
        return not self.api_since("0.11.0") and self.sdk_since("0.11.0")

    @property
    def starts_nothing(self) -> bool:
        """Whether the server cannot find the workflows of older workers."""
        return self.api_since("0.9.2") and not self.sdk_since("0.9.2")


class Span(NamedTuple):
    """The versions that a check holds for: from `since` on, and before `until`. Both are optional."""

    since: str | None = None
    until: str | None = None

    def excludes(self, version: str, what: str) -> str | None:
        """Why a check does not apply to this version of `what`; None if it applies."""
        if self.since is not None and number_of(version) < number_of(self.since):
            return f"it applies from {what} {self.since} on"
        if self.until is not None and number_of(version) >= number_of(self.until):
            return f"it applied only before {what} {self.until}"
        return None
