"""The findings of a verification, as plain data."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from output_contract import causes
from output_contract.causes import Cause
from output_contract.checks import AREAS, LEVELS, Level
from output_contract.versions import Judged

Status = Literal["passed", "failed", "not_checked", "not_applicable"]

# The exit status of `output-mock verify`.
CONFORMS, DOES_NOT_CONFORM, COULD_NOT_BE_CHECKED = 0, 1, 2


@dataclass
class Outcome:
    """The outcome of one check.

    If a check did not run, `reason` says what it needs. If it does not apply, `reason` says why. If it
    failed, `failure` says what was expected, with the request as a `curl` line, the `answer`, and the
    `evidence` of proxies in front of the server.
    """

    id: str
    level: Level
    source: str
    status: Status
    seconds: float = 0.0
    requests: int = 0
    reason: str | None = None
    failure: dict[str, Any] | None = None

    @property
    def area(self) -> str:
        """The part of the suite that the check belongs to."""
        return self.id.partition(".")[0]


@dataclass
class Verdict:
    """The findings of a verification."""

    url: str
    outcomes: list[Outcome] = field(default_factory=list)
    # Problems that stopped the suite itself, a line each.
    problems: list[str] = field(default_factory=list)
    # Whether deviations beyond the required checks count.
    strict: bool = False
    seconds: float = 0.0
    # The version of the suite.
    version: str = ""
    # Runs that were started and could not be ended.
    left_running: list[str] = field(default_factory=list)
    # The requested areas and checks; none means all.
    only: list[str] = field(default_factory=list)
    # The versions that the server was judged as.
    judged: Judged = field(default_factory=Judged)
    # The start time by the clock of the checking machine, as an ISO time in UTC.
    date: str = ""
    # Counts for all answers; see `evidence.seen`.
    seen: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Add an outcome. It replaces an earlier outcome of the same check."""
        self.outcomes = [known for known in self.outcomes if known.id != outcome.id]
        self.outcomes.append(outcome)

    def of(self, status: Status) -> list[Outcome]:
        """The outcomes with this status, sorted by level, area and id."""
        areas = list(AREAS)
        found = [outcome for outcome in self.outcomes if outcome.status == status]
        return sorted(found, key=lambda one: (LEVELS.index(one.level), areas.index(one.area), one.id))

    @property
    def failed(self) -> list[Outcome]:
        """The checks that failed and count."""
        return [one for one in self.of("failed") if self.strict or one.level == "required"]

    @property
    def exit_status(self) -> int:
        """0: it conforms. 1: it does not. 2: it could not be checked."""
        if self.failed:
            return DOES_NOT_CONFORM
        if self.problems or not (self.of("passed") or self.of("failed")):
            return COULD_NOT_BE_CHECKED
        return CONFORMS

    @property
    def words(self) -> str:
        """The verdict in words that continue "the server …"."""
        counts = self.counts()
        if self.exit_status == COULD_NOT_BE_CHECKED:
            why = self.problems[0] if self.problems else "nothing could be checked, see the reasons above"
            return f"could not be checked: {why}"
        minor = counts["failed"] - len(self.failed)
        are = "is" if minor == 1 else "are"
        if self.exit_status == DOES_NOT_CONFORM:
            also = f", and {minor} that {are} not required" if minor else ""
            return f"does not conform: {_checks(len(self.failed))} failed{also}"
        unmade = f", as far as it was checked ({_checks(counts['not_checked'])} not made)"
        unmade = unmade if counts["not_checked"] else ""
        also = f"; {_checks(minor)} failed that {are} not required" if minor else ""
        if self.only:
            return f"passes the checks of {', '.join(self.only)}, and no others were asked for{unmade}{also}"
        return f"conforms{unmade}{also}"

    @property
    def judged_as(self) -> str:
        """The versions that it was judged as, in words that continue "it was …"."""
        words = {"said": "as you said", "found": "found by asking", "assumed": "assumed"}
        judged = self.judged
        if judged.api_known == judged.sdk_known:
            how = words[judged.api_known]
            return f"judged as API {judged.api} with workers of SDK {judged.sdk} ({how})"
        return (
            f"judged as API {judged.api} ({words[judged.api_known]}) with workers of SDK {judged.sdk} "
            f"({words[judged.sdk_known]})"
        )

    @property
    def causes(self) -> list[Cause]:
        """The common causes of failed checks, most frequent first."""
        return causes.find(self.of("failed"), self.seen)

    @property
    def notes(self) -> list[str]:
        """Further notes about the server and about proxies in front of it."""
        warning = self.judged.warning
        return [*([] if warning is None else [warning]), *causes.notes(self.seen)]

    def counts(self) -> Counter[str]:
        """The number of checks with each status."""
        return Counter(outcome.status for outcome in self.outcomes)

    def by_area(self) -> Iterator[tuple[str, Counter[str]]]:
        """Each checked area, and its number of checks with each status."""
        for area in AREAS:
            counts: Counter[str] = Counter(one.status for one in self.outcomes if one.area == area)
            if counts:
                yield area, counts

    def reasons(self, status: Status = "not_checked") -> list[tuple[str, int]]:
        """Why checks did not run or do not apply, and how many; most frequent reason first."""
        return Counter(outcome.reason or "no reason given" for outcome in self.of(status)).most_common()

    def as_json(self) -> dict[str, Any]:
        """The verdict as JSON values: what `verdict.json` holds."""
        return {
            "url": self.url,
            "verdict": {0: "conforms", 1: "does not conform", 2: "could not be checked"}[self.exit_status],
            "exitStatus": self.exit_status,
            "strict": self.strict,
            "date": self.date,
            "judgedAs": asdict(self.judged),
            "suite": {"name": "output-mock", "version": self.version},
            "seconds": round(self.seconds, 2),
            "requests": sum(outcome.requests for outcome in self.outcomes),
            "counts": dict(self.counts()),
            "areas": {area: dict(counts) for area, counts in self.by_area()},
            "problems": self.problems,
            "causes": [cause.as_json() for cause in self.causes],
            "notes": self.notes,
            "seen": dict(self.seen),
            "leftRunning": self.left_running,
            "only": self.only,
            "checks": [
                {"area": one.area, **asdict(one)}
                for status in ("failed", "not_checked", "not_applicable", "passed")
                for one in self.of(status)
            ],
        }


def _checks(number: int) -> str:
    return f"{number} check{'' if number == 1 else 's'}"


def from_json(value: Mapping[str, Any]) -> Verdict:
    """The verdict of a `verdict.json`. Raises `ValueError` for anything else."""
    try:
        outcomes = [Outcome(**{k: v for k, v in one.items() if k != "area"}) for one in value["checks"]]
        if not all(one.area in AREAS and one.level in LEVELS for one in outcomes):
            raise ValueError("it has checks of unknown areas or levels")
        return Verdict(
            value["url"],
            outcomes,
            list(value["problems"]),
            strict=value["strict"],
            seconds=value["seconds"],
            version=value["suite"]["version"],
            left_running=list(value["leftRunning"]),
            only=list(value["only"]),
            judged=Judged(**value["judgedAs"]),
            date=value["date"],
            seen=Counter(value["seen"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"it is not a verdict of this version of output-mock verify: {error!r} is wrong"
        ) from None


def read(path: Path) -> Verdict:
    """Read a verdict from a file, or from `verdict.json` in a folder. Raises `ValueError`."""
    file = path / "verdict.json" if path.is_dir() else path
    try:
        return from_json(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ValueError(f"{file}: the file cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
