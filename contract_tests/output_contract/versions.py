"""Which versions of the API and of the workers' SDK a deployment is judged as."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

# The versions that are known, oldest first: a deployment is judged as one of these. Both parts of a release,
# the API's server and the SDK of the workers, bear its number.
KNOWN = ("0.8.0", "0.9.0", "0.9.2", "0.10.0", "0.11.0")
NEWEST = KNOWN[-1]
_FORM = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def numbers(version: str) -> tuple[int, int, int]:
    """A version as numbers that can be compared. Raises `ValueError` for what is no version."""
    found = _FORM.fullmatch(version)
    if found is None:
        raise ValueError(f"{version!r} is not a version; write it like 0.11 or 0.11.0")
    major, minor, patch = found.groups()
    return int(major), int(minor), int(patch or 0)


def known(version: str) -> str:
    """The known version that a deployment of this one is judged as: the newest one that is not newer.

    `0.9` stands for the newest 0.9 that is known. Raises `ValueError` for what is no version, or one that is
    older than all that are known.
    """
    major, minor, patch = numbers(version)
    line = [one for one in KNOWN if numbers(one)[:2] == (major, minor)]
    if version.count(".") == 1 and line:
        return line[-1]
    fitting = [one for one in KNOWN if numbers(one) <= (major, minor, patch)]
    if not fitting:
        raise ValueError(f"{version} is older than {KNOWN[0]}, the oldest version that is known")
    return fitting[-1]


@dataclass(frozen=True)
class Judged:
    """The versions that a deployment is judged as, and how each is known: `said`, `found` or `assumed`."""

    api: str = NEWEST
    sdk: str = NEWEST
    api_known: str = "assumed"
    sdk_known: str = "assumed"

    def api_since(self, version: str) -> bool:
        """Whether the API is of this version or a newer one."""
        return numbers(self.api) >= numbers(version)

    def sdk_since(self, version: str) -> bool:
        """Whether the workers' SDK is of this version or a newer one."""
        return numbers(self.sdk) >= numbers(version)

    @property
    def has_second_results(self) -> bool:
        """Whether results are of the second version: `v: "2"`, a flat trace, an error that is an object."""
        return self.api_since("0.11.0") and self.sdk_since("0.11.0")

    @property
    def warning(self) -> str | None:
        """What goes wrong with server and workers of these versions, in words; None if nothing does."""
        if self.loses_results:
            return (
                f"An API of {self.api} does not read what workers of SDK {self.sdk} return: results have no "
                "output and no trace. Upgrade the API before the workers."
            )
        if self.starts_nothing:
            return (
                f"An API of {self.api} starts no workflow of workers of SDK {self.sdk}: it answers 424 for "
                "all of them. Upgrade the workers before the API."
            )
        return None

    @property
    def loses_results(self) -> bool:
        """Whether the server does not read what newer workers return."""
        return not self.api_since("0.11.0") and self.sdk_since("0.11.0")

    @property
    def starts_nothing(self) -> bool:
        """Whether the server does not find the workflows of older workers."""
        return self.api_since("0.9.2") and not self.sdk_since("0.9.2")


class Span(NamedTuple):
    """The versions that a check holds for: from `since` on, and before `until`; each may be left out."""

    since: str | None = None
    until: str | None = None

    def excludes(self, version: str, what: str) -> str | None:
        """Why a check does not apply to this version of `what`, in words; None when it does."""
        if self.since is not None and numbers(version) < numbers(self.since):
            return f"it holds since {what} {self.since}"
        if self.until is not None and numbers(version) >= numbers(self.until):
            return f"it held before {what} {self.until}"
        return None
