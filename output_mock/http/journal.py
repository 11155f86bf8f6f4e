"""The calls that the fake has answered, and ways to select some of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, ValuesView
from sys import getsizeof
from typing import Any, NamedTuple, overload

from output_mock.contract.operations import NAMES
from output_mock.engine.errors import Ending
from output_mock.masking import masked, masked_body, masked_headers, masked_text
from output_mock.real_time import monotonic
from output_mock.sdk.values import short
from output_mock.suggestions import nearest

# How much of a body a line shows.
_SHOWN = 100
# How many bytes of memory the calls in a journal may hold in all.
MOST_BYTES = 64 * 1024 * 1024
# How much memory the calls may hold that are kept longer, as no script matches them.
MOST_UNMATCHED_BYTES = 1024 * 1024
# The memory of a call without its values, including its place in the journal.
_BARE = 600
# The memory of a header without the characters of its name, twice, and of its value.
_BARE_HEADER = 280


class RequestHeaders(Mapping[str, str]):
    """The headers of a request, which you find by name in upper or lower case.

    They have everything that was sent; `repr` and reports leave out secrets.
    """

    __slots__ = ("_as_sent", "_by_name")

    def __init__(self, headers: dict[str, str] | Iterable[tuple[str, str]]) -> None:
        self._as_sent: dict[str, str] = headers if isinstance(headers, dict) else dict(headers)
        self._by_name: dict[str, str] | None = None

    def __getitem__(self, name: str) -> str:
        found = self._as_sent.get(name)
        if found is not None:
            return found
        if self._by_name is None:
            self._by_name = {name.lower(): value for name, value in self._as_sent.items()}
        try:
            return self._by_name[name.lower()]
        except KeyError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._as_sent)

    def values(self) -> ValuesView[str]:
        """Their values."""
        return self._as_sent.values()

    def __len__(self) -> int:
        return len(self._as_sent)

    def __eq__(self, other: object) -> bool:
        """Equal to any mapping with the same names, in upper or lower case, and the same values."""
        if not isinstance(other, Mapping):
            return NotImplemented
        mine = {name.lower(): value for name, value in self.items()}
        return mine == {str(name).lower(): value for name, value in other.items()}

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(masked_headers(self.items()))


class Call(NamedTuple):
    """A request that the fake has answered.

    It has all that was sent, even tokens and passwords, so that a test can look at them. They are left out
    wherever it is shown: `str`, `repr`, reports, the log, the control plane; see `masked`.
    """

    # Its number, from 1.
    number: int
    # When it was answered, on the fake's clock: nanoseconds since 1970.
    time: int
    # The method of the request.
    method: str
    # The path, without the query.
    path: str
    # The parsed query.
    query: dict[str, Any]
    # The operation, such as `start`; None if the path has none.
    route: str | None
    # The name of the workflow; None if the call was about none.
    workflow: str | None
    # The workflow id; None if the call was about none.
    workflow_id: str | None
    # The name of the signal, query or update.
    name: str | None
    # The parsed body; None if there was none.
    json: Any
    # The headers of the request; a name is found in any case.
    headers: Mapping[str, str]
    # The status of the answer; 0 if the connection was dropped before anything was done.
    status: int
    # The body of the answer; None for a stream.
    answer: bytes | None
    # Whether the answer did not reach the client: the connection was dropped, or the client did not wait.
    lost: bool
    # Why no script matches the call, with the closest one; None if one does.
    unmatched_reason: str | None

    def masked(self) -> Call:
        """The same call without what is secret about it."""
        return self._replace(
            query=masked(self.query),
            json=masked(self.json),
            headers=masked_headers(self.headers.items()),
            answer=None if self.answer is None else masked_body(self.answer),
            unmatched_reason=None if self.unmatched_reason is None else masked_text(self.unmatched_reason),
        )

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.masked()._asdict().items())
        return f"Call({fields})"

    def __str__(self) -> str:
        answer = str(self.status) if self.status else "dropped"
        line = f"#{self.number} {self.method} {self.path} -> {answer}"
        if self.lost and self.status:
            line += " (lost)"
        if self.json is not None:
            line += f"  {short(self.json, _SHOWN)}"
        return line


class Journal:
    """The last calls of a fake, up to a number of calls and of bytes in memory.

    Calls that no script matches are kept longer, so that a test with many calls fails for them, too.
    The last call is always kept, but without its answer if it is larger than all calls may be.
    """

    def __init__(self, most: int, *, most_bytes: int = MOST_BYTES) -> None:
        self.most = most
        self._most_bytes = most_bytes
        self._calls: deque[tuple[Call, int]] = deque()
        self._bytes = 0
        # The calls that no script matches among those that were removed, and their size.
        self._unmatched: list[Call] = []
        self._unmatched_bytes = 0
        self._lock = threading.Condition()
        self._waiting = 0
        self._interruptions = 0
        self._ending = Ending.CLOSED

    def add(self, call: Call) -> None:
        """Add a call. The oldest ones are removed if there is no room."""
        size = held_by(call)
        if size > self._most_bytes and call.answer is not None:
            size -= getsizeof(call.answer)
            call = call._replace(answer=None)
        with self._lock:
            calls = self._calls
            calls.append((call, size))
            self._bytes += size
            while len(calls) > self.most or (self._bytes > self._most_bytes and len(calls) > 1):
                oldest, size = calls.popleft()
                self._bytes -= size
                self._keep_unmatched(oldest, size)
            if self._waiting:
                self._lock.notify_all()

    def _keep_unmatched(self, call: Call, size: int) -> None:
        if call.unmatched_reason is not None and self._unmatched_bytes + size <= MOST_UNMATCHED_BYTES:
            self._unmatched.append(call)
            self._unmatched_bytes += size

    def unmatched(self) -> list[Call]:
        """The calls that no script matches, oldest first, with the first ones of those that were removed."""
        with self._lock:
            last = [call for call, _ in self._calls if call.unmatched_reason is not None]
            return self._unmatched + last

    def clear(self) -> None:
        """Forget all calls."""
        self.replace(())

    def replace(self, calls: Iterable[tuple[Call, int]]) -> None:
        """Replace all calls with these, which have sizes."""
        with self._lock:
            self._unmatched.clear()
            self._unmatched_bytes = 0
            self._calls = deque(calls)
            self._bytes = sum(size for _, size in self._calls)

    def sized(self) -> list[tuple[Call, int]]:
        """The calls, oldest first, each with its size."""
        with self._lock:
            return list(self._calls)

    def wait(self, enough: Callable[[], bool], seconds: float) -> bool:
        """Wait this long, in real time, until it is `enough`. Returns whether it is.

        `enough` is asked again whenever there is another call. Raises `WaitEndedError` if all waiters are
        woken meanwhile.
        """
        end = monotonic() + seconds
        with self._lock:
            interruptions = self._interruptions
            self._waiting += 1
            try:
                while not enough():
                    rest = end - monotonic()
                    if self._interruptions != interruptions:
                        raise self._ending.error()
                    if rest <= 0:
                        return False
                    self._lock.wait(rest)
            finally:
                self._waiting -= 1
        return True

    def wake_all_waiters(self, ending: Ending) -> None:
        """Wake everything that waits for calls, with the error for this ending."""
        with self._lock:
            self._ending = ending
            self._interruptions += 1
            self._lock.notify_all()

    def __iter__(self) -> Iterator[Call]:
        return iter([call for call, _ in self.sized()])

    def __len__(self) -> int:
        return len(self._calls)


def held_by(call: Call) -> int:
    """How many bytes of memory a call holds: its body as it was parsed, its headers, and all texts of it."""
    headers = call.headers
    # The names of headers also exist in lower case, once one was looked up.
    texts = 2 * sum(map(len, headers)) + sum(map(len, headers.values())) + _BARE_HEADER * len(headers)
    size = _BARE + texts + getsizeof(call.path) + getsizeof(call.answer) + getsizeof(call.unmatched_reason)
    todo: list[Any] = [call.query, call.json, call.workflow_id, call.name, call.workflow]
    # Not by recursion: a body may be nested as deep as Python can read it.
    while todo:
        value = todo.pop()
        size += getsizeof(value)
        if isinstance(value, dict):
            todo += value
            todo += value.values()
        elif isinstance(value, list):
            todo += value
    return size


class Calls(Sequence[Call]):
    """Calls, oldest first. Call it to select some: `calls(route="start", status=200)`."""

    def __init__(self, calls: Iterable[Call], wanted: str = "") -> None:
        self._calls = tuple(calls)
        self._wanted = wanted

    def __call__(
        self,
        method: str | None = None,
        path: str | None = None,
        *,
        route: str | None = None,
        workflow: str | None = None,
        workflow_id: str | None = None,
        status: int | None = None,
    ) -> Calls:
        """The calls with this method, path, route, workflow, workflow id and status, where they are given.

        A route is the name of an operation: `run`, `start`, `status`, `signal`, `history_stream`. Raises
        `ValueError` for one that does not exist, and for a route or a path in place of the method.
        """
        check_method(method)
        check_route(route)
        wanted = {
            "method": None if method is None else method.upper(),
            "path": path,
            "route": route,
            "workflow": workflow,
            "workflow_id": workflow_id,
            "status": status,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        words = " and ".join(f"{name} {value!r}" for name, value in given.items())
        return Calls(
            (call for call in self._calls if all(getattr(call, name) == given[name] for name in given)),
            " and ".join(text for text in (self._wanted, words) if text),
        )

    def one(self) -> Call:
        """The only call. If there are more, or none, raises an `AssertionError` that lists them."""
        __tracebackhide__ = True
        if len(self._calls) == 1:
            return self._calls[0]
        which = f"one call with {self._wanted}" if self._wanted else "one call"
        if not self._calls:
            raise AssertionError(f"expected {which}, and there was none")
        raise AssertionError(f"expected {which}, and there were {len(self._calls)}:\n{listing(self)}")

    @overload
    def __getitem__(self, index: int) -> Call: ...

    @overload
    def __getitem__(self, index: slice) -> Calls: ...

    def __getitem__(self, index: int | slice) -> Call | Calls:
        if isinstance(index, slice):
            return Calls(self._calls[index], self._wanted)
        return self._calls[index]

    def __iter__(self) -> Iterator[Call]:
        return iter(self._calls)

    def __len__(self) -> int:
        return len(self._calls)

    def __eq__(self, other: object) -> bool:
        """Calls are equal to a list or tuple of the same calls."""
        if isinstance(other, (Calls, list, tuple)):
            return self._calls == tuple(other)
        return NotImplemented

    def __hash__(self) -> int:
        return hash(tuple(call.number for call in self._calls))

    def __repr__(self) -> str:
        return "no calls" if not self._calls else listing(self)


def check_method(method: str | None) -> None:
    """Raise `ValueError` for a route or a path in place of a method, as nothing would match it."""
    if method is None:
        return
    for kind, is_one in (("route", method in NAMES), ("path", method.startswith("/"))):
        if is_one:
            raise ValueError(f"{method!r} is a {kind} and not a method; write {kind}={method!r}")


def check_route(route: str | None) -> None:
    """Raise `ValueError` when no operation has this name."""
    if route is not None and route not in NAMES:
        raise ValueError(f"there is no route {route!r}{nearest(route, NAMES)}; routes are {', '.join(NAMES)}")


# The operations that give a workflow the `payload` of their body.
_MESSAGES = ("signal", "feedback", "query", "update")


def listing(calls: Sequence[Call], *, most: int = 40) -> str:
    """One line for each call.

    Repetitions of a call, such as polls, share a line. If there are more than `most` lines, those in the
    middle are left out.
    """
    lines: list[str] = []
    times = 0
    last: Call | None = None
    for call in calls:
        if last is not None and _alike(call, last):
            times += 1
            lines[-1] = f"{_line(last)}  ({times} times, up to #{call.number})"
            continue
        lines.append(_line(call))
        last, times = call, 1
    if len(lines) > most:
        left_out = len(lines) - most
        lines[most // 2 : most // 2 + left_out] = [f"… {left_out} more …"]
    return "\n".join(lines)


def _alike(one: Call, other: Call) -> bool:
    return (one.method, one.path, one.query, one.status, one.json, one.unmatched_reason) == (
        other.method,
        other.path,
        other.query,
        other.status,
        other.json,
        other.unmatched_reason,
    )


def _line(call: Call) -> str:
    told = call.unmatched_reason or _without_payload(call)
    return str(call) if told is None else f"{call}\n     {told}"


def _without_payload(call: Call) -> str | None:
    """What is odd about a message of which the workflow gets nothing: it says something, but elsewhere."""
    if (
        call.route not in _MESSAGES
        or not isinstance(call.json, dict)
        or not call.json
        or "payload" in call.json
    ):
        return None
    return "the body has no 'payload', so the workflow gets undefined; send it as {\"payload\": …}"
