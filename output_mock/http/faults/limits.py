"""Limits of calls, and tokens that expire."""

from __future__ import annotations

from collections import deque
from typing import Any, ClassVar

from output_mock.contract.schemas import DURATION, number
from output_mock.durations import SECOND, format_duration, nanoseconds
from output_mock.engine.world import World
from output_mock.http import tokens
from output_mock.http.faults.kind import Condition, Options, OptionSchemas

# How many tokens a fault remembers; if there are more, it forgets the oldest.
_MOST_TOKENS = 1000
# How many times a file may have for one fault.
_MOST_SEEN = 10_000


class RateLimit(Condition):
    """`limit` calls `per` duration on the fake's clock are answered, and all further ones get a 429 (or
    `status`).
    """

    options: ClassVar[OptionSchemas] = {
        "limit": number(
            "How many calls are answered in each `per`; all further calls get a 429.",
            minimum=0,
            maximum=10**6,
        ),
        "per": {**DURATION, "description": "The duration for `limit`, on the world's clock. Default: 1m."},
    }

    def __init__(self, options: Options) -> None:
        self.limit: int = options["limit"]
        self.per: int = nanoseconds(options.get("per", "1m"))
        # The times of the calls that count: nanoseconds since 1970.
        self.window: deque[int] = deque()
        if self.limit < 0:
            raise ValueError(f"limit must be 0 or more, not {self.limit}")
        if not self.per:
            raise ValueError("per must be longer than 0: limit is a number of calls per duration")

    @classmethod
    def implied(cls) -> Options:
        return {"status": 429}

    def words(self) -> str:
        return f"beyond {self.limit} calls per {format_duration(self.per)}"

    def wait(self, token: str | None, now: int, asked: int) -> int | None:
        window = self.window
        while window and window[0] <= now - self.per:
            window.popleft()
        if len(window) < self.limit:
            window.append(now)
            return None
        free = (window[0] if window else now) + self.per - now
        return max(1, -(-free // SECOND))

    def has_affected(self, world: World, wait: int) -> None:
        if world.clock.mode == "auto":
            # Nobody really waits on such a clock, so let the time pass that the client is told to wait.
            world.let_pass(wait * SECOND)

    def seen(self, *, tokens: bool) -> Any:
        return [str(moment) for moment in self.window]

    def see(self, seen: Any) -> None:
        self.window = deque(_moment(moment) for moment in _list(seen))


class ExpiringToken(Condition):
    """A token is valid for `token_lasts` from its first use on, and then gets a 401 (or `status`)."""

    options: ClassVar[OptionSchemas] = {
        "token_lasts": {
            **DURATION,
            "description": "How long a token is valid after its first use; then it gets a 401.",
        }
    }

    def __init__(self, options: Options) -> None:
        self.length: int = nanoseconds(options["token_lasts"])
        # When each token, by its fingerprint, was used first.
        self.first_used: dict[str | None, int] = {}

    @classmethod
    def implied(cls) -> Options:
        return {"status": 401}

    def words(self) -> str:
        return f"to a token older than {format_duration(self.length)}"

    def wait(self, token: str | None, now: int, asked: int) -> int | None:
        mark = None if token is None else tokens.fingerprint(token).hex()
        first = self.first_used.setdefault(mark, now)
        if len(self.first_used) > _MOST_TOKENS:
            del self.first_used[next(iter(self.first_used))]
        return asked if now - first >= self.length else None

    def seen(self, *, tokens: bool) -> Any:
        return [[mark, str(first)] for mark, first in self.first_used.items()] if tokens else []

    def see(self, seen: Any) -> None:
        self.first_used = {}
        for row in _list(seen):
            mark, first = row if type(row) is list and len(row) == 2 else (0, None)
            if mark is not None and type(mark) is not str:
                raise ValueError("the fingerprint of a token must be text")
            self.first_used[mark] = _moment(first)


def _list(seen: Any) -> list[Any]:
    if type(seen) is not list or len(seen) > _MOST_SEEN:
        raise ValueError(f"what it has seen must be a list of {_MOST_SEEN} at most")
    return seen


def _moment(written: Any) -> int:
    """A time in nanoseconds, which is text in JSON."""
    if type(written) is not str or not written.isascii() or not written.isdigit() or len(written) > 20:
        raise ValueError("a time must be a number of nanoseconds, as text")
    return int(written)
