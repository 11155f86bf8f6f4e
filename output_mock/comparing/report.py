"""The result of a search, as text and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from output_mock.comparing.judgement import Judged
from output_mock.comparing.kinds import Kind
from output_mock.recording.comparison import printable


@dataclass
class Found:
    """How many exchanges showed a kind of difference, and the file with the smallest sequence that does."""

    count: int = 0
    file: Path | None = None


@dataclass
class Report:
    """What was sent, and what differed. `answers` are pairs of answers to the same request."""

    seed: int
    seconds: float = 0.0
    requests: int = 0
    sequences: int = 0
    answers: int = 0
    unstable: int = 0
    # How many were the same after runs had more time to settle.
    late: int = 0
    # Pairs that came after a different answer, so that they tell nothing new.
    afterwards: int = 0
    kinds: dict[Kind, Found] = field(default_factory=dict)
    # The kinds of each pair of answers that differed.
    _differing: list[list[Kind]] = field(default_factory=list)
    # Why it ended early, and whether that was an error.
    problem: str = ""
    is_cut_short: bool = False

    def count(self, exchanges: int, judged: Iterable[Judged], late: Collection[Kind] = ()) -> None:
        """Count a sequence with this many exchanges, and its results; these kinds are known to be late."""
        self.sequences += 1
        seen = 0
        for one in judged:
            seen += 1
            kinds = [kind for kind in one.kinds if kind not in late]
            if kinds:
                self._differing.append(kinds)
            self.late += bool(one.kinds) and not kinds
            self.unstable += one.unstable
            for kind in kinds:
                self.kinds.setdefault(kind, Found()).count += 1
        self.answers += seen
        self.afterwards += exchanges - seen

    def was_late(self, kind: Kind) -> None:
        """Take back a kind: one server was only later than the other."""
        del self.kinds[kind]
        before = self.different
        for kinds in self._differing:
            kinds[:] = [one for one in kinds if one != kind]
        self.late += before - self.different

    @property
    def different(self) -> int:
        """How many pairs of answers differed."""
        return sum(map(bool, self._differing))

    @property
    def same(self) -> int:
        """How many pairs of answers were the same."""
        return self.answers - self.different - self.unstable - self.late

    def _most_frequent(self) -> list[tuple[Kind, Found]]:
        return sorted(self.kinds.items(), key=lambda pair: (-pair[1].count, pair[0]))

    def lines(self) -> Iterator[str]:
        """The report in lines."""
        if self.problem:
            yield self.problem
        yield (
            f"{self.requests} requests in {self.seconds:.0f} s (seed {self.seed}), {self.sequences} sequences"
        )
        yield f"{self.answers} pairs of answers: {self.same} the same, {self.different} different"
        if self.unstable:
            yield f"{self.unstable} left out: even one server does not answer the same way each time"
        if self.late:
            yield f"{self.late} left out: one server was only slower than the other; a larger --settle helps"
        if self.afterwards:
            yield f"{self.afterwards} more came after a difference, so they were not compared"
        for kind, found in self._most_frequent():
            yield f"{found.count:6} × {printable(str(kind))}"
            if found.file is not None:
                yield f"         {found.file}"

    def json(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "requests": self.requests,
            "sequences": self.sequences,
            "answers": self.answers,
            "same": self.same,
            "different": self.different,
            "unstable": self.unstable,
            "late": self.late,
            "afterwards": self.afterwards,
            "problem": self.problem or None,
            "kinds": [
                {
                    "request": kind.request,
                    "difference": kind.what,
                    "count": found.count,
                    "file": None if found.file is None else str(found.file),
                }
                for kind, found in self._most_frequent()
            ],
        }
