"""What goes wrong between a client and the API: error answers, delays, dropped connections, cut streams.

A fault strikes some of the calls that fit it. The plugin's `fail_next` and its like make them, and so do the
presets and the control plane.
"""

from __future__ import annotations

import copy
import math
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from random import Random
from typing import Any, Literal, NamedTuple, get_args

from output_mock.contract import errors
from output_mock.contract.reply import TEXT_TYPE, Reply
from output_mock.durations import SECOND, Duration, format_duration, nanoseconds
from output_mock.http import responses, tokens
from output_mock.http.delays import LONGEST_ON_THE_WALL, Delay, WrittenDelay
from output_mock.http.journal import check_route
from output_mock.http.trace_log import Trouble
from output_mock.javascript_json import as_json
from output_mock.places import place_outside

Loss = Literal["request", "answer", "body"]
# What the real server says with these; other error statuses come from proxies in front of it.
_REAL: dict[int, errors.OutputError] = {
    404: errors.WorkflowNotFoundError("workflow not found"),
    408: errors.WorkflowExecutionTimedOutError(""),
    424: errors.WorkflowNotCompletedError(),
    500: errors.OutputError("Internal Server Error"),
    503: errors.CatalogNotAvailableError(),
}
_LOST = {
    "request": "drop the request",
    "answer": "drop the answer",
    "body": "break off within the body of the answer",
}
# How many tokens a fault tells apart; of more, the oldest are forgotten.
_MOST_TOKENS = 1000


class Dropped(ConnectionResetError):
    """The connection ends here, whatever was to come. Servers and in-process clients know what to do."""


class TimedOut(TimeoutError):
    """The client has stopped waiting before the answer was there."""


class Fault:
    """Something that goes wrong with some of the calls that are of this method, route, workflow, …

    How often: `times` is a number of calls or `"always"`; by default once, and always when it strikes by
    chance (`probability`) or beyond a limit. The first `after` calls that fit are left alone.

    What goes wrong:

    - an error `status` (with `body`: any JSON or text, `headers`, and `retry_after` seconds) in place of
      what was asked for;
    - `limit` calls `per` duration on the fake's clock are done, and those beyond get a 429 (or `status`);
    - a token is good for `token_lasts` from its first use on, and then gets a 401 (or `status`);
    - a `delay` of the answer: a duration, `{"uniform": ["1s", "3s"]}` or
      `{"lognormal": {"median": "200ms", "sigma": 0.5}}`, on the fake's clock or (`wall`) on the wall;
    - the connection is dropped, and lost is (`drop`) the request, only its answer, or half of the answer's
      body; with `reset` by a TCP reset;
    - the body is no JSON (`malformed`), or comes in small pieces over a duration on the wall (`dribble`);
    - a history stream is cut after so many events (`cut_after`); it strikes no other calls;
    - the worker of the default catalog goes away for a while on the fake's clock (`worker_away`);
    - a trace log is asked for and `s3` has some trouble: the object is `missing`, `not_json`, `empty` or
      `huge` (200 MB), there is `no_bucket`, access is `denied`, it is the `wrong_region`, S3 is `down`, or
      the server has `no_keys`.

    A delay that always strikes comes on top of whatever else does; of all others, one strikes at a time. A
    call that a fault could do nothing to (no body to break, no stream to cut) does not count as struck.
    Raises `ValueError` for what makes no sense.
    """

    def __init__(
        self,
        *,
        times: int | Literal["always"] | None = None,
        probability: float = 1.0,
        after: int = 0,
        status: int | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        retry_after: int | None = None,
        limit: int | None = None,
        per: Duration = "1m",
        token_lasts: Duration | None = None,
        delay: WrittenDelay = 0,
        wall: bool = False,
        drop: Loss | None = None,
        reset: bool = False,
        malformed: bool = False,
        dribble: Duration = 0,
        cut_after: int | None = None,
        worker_away: Duration = 0,
        s3: Trouble | None = None,
        method: str | None = None,
        route: str | None = None,
        workflow: str | None = None,
        workflow_id: str | None = None,
    ) -> None:
        lasting = probability != 1 or limit is not None or token_lasts is not None
        if times is None:
            times = "always" if lasting else 1
        if times != "always" and times < 1:
            raise ValueError(f"a fault strikes once or more often, not {times} times")
        if not 0 < probability <= 1:
            raise ValueError(f"a probability is more than 0 and at most 1, not {probability}")
        if after < 0:
            raise ValueError(f"a fault leaves 0 calls or more alone, not {after}")
        if limit is not None and limit < 0:
            raise ValueError(f"a limit is 0 calls or more, not {limit}")
        if limit is not None and token_lasts is not None:
            raise ValueError("a limit of calls and a token that expires are two faults")
        if status is None:
            status = 429 if limit is not None else 401 if token_lasts is not None else None
        if status is not None and not 100 < status < 600:
            raise ValueError(f"{status} is no HTTP status")
        if status is not None and (status < 200 or status in (204, 205, 304)) and body is not None:
            raise ValueError(f"an answer {status} has no body")
        if retry_after is not None and retry_after < 0:
            raise ValueError(f"Retry-After is 0 seconds or more, not {retry_after}")
        if drop is not None and drop not in get_args(Loss):
            raise ValueError(f"what is lost is the 'request', the 'answer' or its 'body', not {drop!r}")
        if reset and drop is None:
            raise ValueError("a reset needs to be told what is lost: drop='request', 'answer' or 'body'")
        if status is None and (body is not None or headers or retry_after is not None):
            raise ValueError("a body, headers and retry_after are those of an answer: give its status, too")
        if cut_after is not None:
            if cut_after < 0:
                raise ValueError(f"a stream is cut after 0 events or more, not {cut_after}")
            route = _only("a stream that is cut", "history_stream", route, method, status)
        if s3 is not None:
            if s3 not in get_args(Trouble):
                raise ValueError(f"the trouble with S3 is one of {', '.join(get_args(Trouble))}, not {s3!r}")
            route = _only("trouble with S3", "trace_log", route, method, status)
        check_route(route)
        for name, value in (headers or {}).items():
            if not responses.is_header(name, value):
                raise ValueError(f"{name!r}: {value!r} cannot be a header")
        # Which one of its world's it is, from 1; 0 as long as it is of none.
        self.id = 0
        self.times = times
        # How many calls it still waits for.
        self.left = math.inf if times == "always" else times
        self.probability = probability
        self.after = after
        self.status = status
        self.body = body
        self.headers: dict[str, str] = dict(headers or {})
        self.retry_after = retry_after
        self.limit = limit
        self.per: int = nanoseconds(per)
        self.token_lasts: int | None = None if token_lasts is None else nanoseconds(token_lasts)
        self.delay: Delay = Delay(delay)
        self.wall = wall
        self.drop = drop
        self.reset = reset
        self.malformed = malformed
        self.dribble: int = nanoseconds(dribble)
        self.cut_after = cut_after
        self.worker_away: int = nanoseconds(worker_away)
        self.s3: Trouble | None = s3
        if self.dribble > LONGEST_ON_THE_WALL * SECOND:
            raise ValueError(f"a body dribbles for an hour at most, not for {format_duration(self.dribble)}")
        if limit is not None and not self.per:
            raise ValueError("a limit is so many calls per duration, and the duration is not 0")
        # How many calls it has struck.
        self.struck: int = 0
        # Where it is written: file and line.
        self.place: str = place_outside()
        # Whether it is part of a preset.
        self.of_preset = False
        # How many calls have fitted it, when those were that count for its limit, and when each token, by its
        # fingerprint, was used first; nanoseconds since 1970.
        self.seen: int = 0
        self.window: deque[int] = deque()
        self.first_used: dict[str | None, int] = {}
        self.where: dict[str, str] = {
            name: value
            for name, value in {
                "method": None if method is None else method.upper(),
                "route": route,
                "workflow": workflow,
                "workflow_id": workflow_id,
            }.items()
            if value is not None
        }

    @property
    def is_weather(self) -> bool:
        """Whether it only makes answers late, and always does: then other faults strike all the same."""
        return self.times == "always" and bool(self.delay) and not self._does()

    @property
    def is_certain(self) -> bool:
        """Whether it strikes the next calls that fit: not by chance, always, beyond a limit, or as part of a
        preset.
        """
        certain = self.times != "always" and self.probability == 1
        return certain and self.limit is None and self.token_lasts is None and not self.of_preset

    @property
    def spoils(self) -> bool:
        """Whether it does something to the body of an answer."""
        return self.drop == "body" or self.malformed or self.dribble > 0

    @property
    def strikes_anything(self) -> bool:
        """Whether it does something to every call, whatever the answer would be."""
        if self.status is not None or self.worker_away or self.delay:
            return True
        return not self.spoils and self.cut_after is None and self.s3 is None

    def fits(self, call: Mapping[str, str | None]) -> bool:
        """Whether it is about calls of this method, route, workflow and workflow id."""
        return all(call[name] == value for name, value in self.where.items())

    def strikes(self, call: Mapping[str, str | None], now: int, chance: Random) -> int | None:
        """Whether it strikes this call, which fits: None when not, otherwise for how many seconds it asks
        the client to wait (0: it does not say).
        """
        self.seen += 1
        if self.seen <= self.after:
            return None
        wait = self.retry_after or 0
        if self.limit is not None:
            wait = self._beyond(now)
        elif self.token_lasts is not None and not self._expired(call.get("token"), now):
            wait = -1
        if wait < 0 or (self.probability < 1 and chance.random() >= self.probability):
            return None
        self.left -= 1
        self.struck += 1
        return wait

    def _beyond(self, now: int) -> int:
        """How many seconds, from 1, until a call is done again; -1 when this one is."""
        window, limit = self.window, self.limit
        assert limit is not None
        while window and window[0] <= now - self.per:
            window.popleft()
        if len(window) < limit:
            window.append(now)
            return -1
        free = (window[0] if window else now) + self.per - now
        return max(1, -(-free // SECOND))

    def _expired(self, token: str | None, now: int) -> bool:
        assert self.token_lasts is not None
        mark = None if token is None else tokens.fingerprint(token).hex()
        first = self.first_used.setdefault(mark, now)
        if len(self.first_used) > _MOST_TOKENS:
            del self.first_used[next(iter(self.first_used))]
        return now - first >= self.token_lasts

    def reply(self, wait: int = 0, *, cors: Mapping[str, str] | None = None) -> Reply:
        """The reply that the client gets instead, and that says how long to `wait`. Only for a fault that
        has a status. `cors` are the headers that the API's own answers let pages read them by.
        """
        status = self.status
        assert status is not None
        real = _REAL.get(status)
        if isinstance(self.body, str):
            reply = Reply(self.body, status, content_type=TEXT_TYPE)
        elif self.body is not None:
            reply = Reply(as_json(self.body), status)
        elif real is not None:
            reply = responses.error_reply(real)
            reply.headers.update(cors or {})
        elif status < 200 or status in (204, 205, 304):
            reply = Reply(status=status, content_type=None)
        else:
            phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else str(status)
            reply = Reply(phrase, status, content_type=TEXT_TYPE)
        if wait or self.retry_after is not None:
            reply.headers["Retry-After"] = str(wait)
        reply.override(self.headers)
        return reply

    def _does(self) -> list[str]:
        """What it does but for being late, in words."""
        words = []
        if self.limit is not None:
            words.append(f"answer {self.status} beyond {self.limit} calls per {format_duration(self.per)}")
        elif self.token_lasts is not None:
            words.append(f"answer {self.status} to a token older than {format_duration(self.token_lasts)}")
        elif self.status is not None:
            words.append(f"answer {self.status}")
        if self.drop is not None:
            words.append(f"{_LOST[self.drop]}{' with a reset' if self.reset else ''}")
        if self.malformed:
            words.append("break the JSON of the answer")
        if self.dribble:
            words.append(f"dribble the body over {format_duration(self.dribble)}")
        if self.cut_after is not None:
            words.append(f"cut the stream after {self.cut_after} events")
        if self.s3 is not None:
            words.append(f"find S3 in trouble: {self.s3}")
        if self.worker_away:
            words.append(f"send the worker away for {format_duration(self.worker_away)}")
        return words

    def __str__(self) -> str:
        words = self._does()
        if self.delay:
            place = " on the wall" if self.wall else ""
            words.insert(min(1, len(words)), f"delay by {self.delay.words}{place}")
        where = ", ".join(f"{name} {value}" for name, value in self.where.items())
        return f"{' and '.join(words) or 'do nothing'}{f' for {where}' if where else ''}"

    def __repr__(self) -> str:
        if self.times == "always":
            chance = "" if self.probability == 1 else f", of {self.probability:g} of the calls"
            return f"{self} (always{chance})"
        return f"{self} ({self.left} of {self.times} to come)"


def _only(what: str, wanted: str, route: str | None, method: str | None, status: int | None) -> str:
    """The one route whose calls a fault can strike. Raises `ValueError` when others are asked for."""
    if route not in (None, wanted):
        raise ValueError(f"{what} is for route {wanted}, not for {route}")
    if method is not None and method.upper() != "GET":
        raise ValueError(f"{what} is for GET, not for {method}")
    if status is not None:
        raise ValueError(f"{what} and an answer {status} are two faults")
    return wanted


class Strike(NamedTuple):
    """What goes wrong with a call."""

    # None when the answer is only late.
    fault: Fault | None
    # For how many seconds it asks the client to wait.
    wait: int = 0
    # How late the answer is, in nanoseconds of the fake's clock, and of the wall.
    delay: int = 0
    wall: int = 0


class Faults:
    """The faults of one world, in the order in which they were asked for. Chance is seeded."""

    def __init__(self, seed: int = 0) -> None:
        self._waiting: list[Fault] = []
        self._lock = threading.Lock()
        self._chance = Random(f"faults {seed}")
        # The number of the fault that was added last.
        self._last = 0

    def add(self, fault: Fault) -> Fault:
        """Let a fault strike, after those that fit the same call and were there before it."""
        with self._lock:
            self._last += 1
            fault.id = self._last
            self._waiting.append(fault)
        return fault

    def preset(self, name: str) -> list[Fault]:
        """Add the faults of a preset: `flaky`, `slow`, `deploying`. Raises `ValueError` for another name."""
        from output_mock.http.presets import preset

        faults = preset(name)
        for fault in faults:
            fault.of_preset = True
        return [self.add(fault) for fault in faults]

    def take(self, call: Mapping[str, str | None], now: int = 0) -> Strike | None:
        """What strikes this call at that time on the fake's clock; None when nothing does."""
        with self._lock:
            struck: Fault | None = None
            wait, late = 0, [0, 0]
            for fault in list(self._waiting):
                if (struck is not None and not fault.is_weather) or not fault.fits(call):
                    continue
                found = fault.strikes(call, now, self._chance)
                if found is None:
                    continue
                late[fault.wall] += fault.delay.draw(self._chance)
                if fault.left <= 0:
                    self._waiting.remove(fault)
                if not fault.is_weather:
                    struck, wait = fault, found
            if struck is None and not any(late):
                return None
            return Strike(struck, wait, late[0], late[1])

    def give_back(self, fault: Fault) -> None:
        """A fault has struck a call that it could do nothing to: let it strike another."""
        with self._lock:
            fault.struck -= 1
            fault.left += 1
            if fault not in self._waiting:
                self._waiting.append(fault)
                self._waiting.sort(key=lambda one: one.id)

    def remove(self, fault: Fault) -> None:
        """Let a fault strike no more. Does nothing when it has struck its last."""
        with self._lock:
            if fault in self._waiting:
                self._waiting.remove(fault)

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._waiting.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._waiting))

    def __len__(self) -> int:
        return len(self._waiting)

    def state(self) -> Sequence[Any]:
        """What `restore` makes the same faults of."""
        with self._lock:
            return copy.deepcopy(self._waiting), self._chance.getstate(), self._last

    def restore(self, state: Sequence[Any]) -> None:
        """Let strike what would have struck when `state` was asked for, in the same way."""
        waiting, chance, last = state
        with self._lock:
            self._waiting = copy.deepcopy(waiting)
            self._chance.setstate(chance)
            self._last = last
