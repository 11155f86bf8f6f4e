"""Plays a scenario to a server, and yields each answer."""

from __future__ import annotations

import http.client
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from output_mock.recording.answers import Answer, frames, written
from output_mock.recording.comparison import printable
from output_mock.recording.masks import Masks
from output_mock.recording.scenario import Message, Scenario, Step
from output_mock.recording.transport import Transport
from output_mock.recording.variables import NONCE, TOKEN, UnknownVariable, at

# In seconds: how long `until` tries, how long it waits in between, and how long an answer may take.
WITHIN, EVERY, TIMEOUT = 20.0, 0.05, 60.0
_NOTHING = object()
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
# Longer error messages are cut.
_LONGEST_REASON = 300


class Pace(Protocol):
    """The clock that a scenario is played on."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait for a number of seconds."""
        ...

    def reach(self, moment: int) -> None:
        """Wait for the time of a request: milliseconds after the first one, in the recording."""
        ...


class RealTime:
    """The machine's own clock. Sends each request as soon as the one before is answered."""

    def now(self) -> float:
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def reach(self, moment: int) -> None:
        """Does not wait."""


# Does the manual step of a scenario. Takes its text, and the variables so far.
ByHand = Callable[[str, Mapping[str, Any]], None]


class NobodyThere(RuntimeError):
    """A step is manual, and nobody can do it. The message has its text."""


def nobody(words: str, variables: Mapping[str, Any]) -> None:
    """Refuse manual steps. Raises `NobodyThere`."""
    raise NobodyThere(f"this step is done by hand, but there is nobody to do it: {words}")


@dataclass(frozen=True)
class Played:
    """A request that was sent, or could not be.

    `raw` is the answer as received. `answer` is the same, masked as in recordings. `number` is the position
    of the step in the scenario, from 0. `unsaved` are the variables that the answer has no value for.
    """

    number: int
    step: Step
    raw: Answer | None
    answer: dict[str, Any]
    unsaved: tuple[str, ...] = ()


class Player:
    """Plays scenarios to one server.

    `variables` replace those of a scenario. The player sends `token` with every request, unless the request
    says otherwise.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        token: str | None = None,
        variables: Mapping[str, Any] | None = None,
        pace: Pace | None = None,
        by_hand: ByHand = nobody,
    ) -> None:
        self._transport = transport
        self.token: str | None = token
        self._variables = dict(variables or {})
        self._pace: Pace = RealTime() if pace is None else pace
        self._by_hand = by_hand

    def play(self, scenario: Scenario) -> Iterator[Played]:
        """Play a scenario. Yields the outcome of each request.

        Does not send a request that needs a missing variable. A request marked `meanwhile` comes last.
        Raises `NobodyThere`.
        """
        known = _Known({**(scenario.variables or {}), **self._variables}, self.token)
        under_way: list[_UnderWay] = []
        for number, step in enumerate(scenario.steps):
            if step.wait is not None:
                self._pace.wait(step.wait)
            elif step.by_hand is not None:
                self._by_hand(step.by_hand, known.variables)
            else:
                message = self._message(step, known.variables)
                if isinstance(message, dict):
                    yield Played(number, step, None, message)
                elif step.meanwhile:
                    under_way.append(_UnderWay(number, step, partial(self._answered, message, step)))
                else:
                    yield self._played(number, step, *self._answered(message, step), known)
        for one in under_way:
            yield self._played(one.number, one.step, *one.answer(), known)

    def _message(self, step: Step, variables: Mapping[str, Any]) -> Message | dict[str, Any]:
        """The request of a step, or the answer that says why it is not sent."""
        try:
            message = step.message(variables)
        except UnknownVariable as unknown:
            return {"skipped": str(unknown)}
        except UnicodeEncodeError:
            return {"skipped": "half of a character cannot be sent"}
        moment = None if step.answer is None else step.answer.get("at")
        if moment is not None:
            self._pace.reach(moment)
        return message

    def _played(self, number: int, step: Step, raw: Answer, reached: bool, known: _Known) -> Played:
        body, unsaved = raw.json(), []
        for name, place in step.written.get("save", {}).items():
            value = at(body, place, _NOTHING) if isinstance(place, str) else raw.header(place["header"])
            if value is _NOTHING:
                unsaved.append(name)
            elif value is not None:
                # The last page of a history has null as its token; the token before stays.
                known.save(name, value)
        try:
            answer = known.masks.answer(written(raw))
        except RecursionError:
            # Nested too deeply to read.
            answer = known.masks.answer(written(raw, as_text=True))
        if not reached:
            answer["not_reached"] = True
        return Played(number, step, raw, answer, tuple(unsaved))

    def _answered(self, message: Message, step: Step) -> tuple[Answer, bool]:
        """The answer to a request, and whether it is the expected one. Repeats the request for `until`."""
        until, limit = step.until, step.seconds("within", WITHIN)
        began = self._pace.now()
        while True:
            answer = self._send(message, step)
            if not until:
                return answer, True
            body = answer.json()
            if all(at(body, place) in accepted for place, accepted in until.items()):
                return answer, True
            if self._pace.now() - began >= limit or not answer.status:
                return answer, False
            self._pace.wait(step.seconds("every", EVERY))

    def _send(self, message: Message, step: Step) -> Answer:
        reading = _Reading(step)
        try:
            reply = self._transport.send(
                message.method, message.target, list(message.headers), message.body, reading.timeout
            )
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, (), b"", _why(error))
        except ValueError as error:
            return Answer(0, (), b"", f"the request cannot be sent: {error}")
        try:
            broken_off = reading.read(reply.pieces)
        finally:
            reply.close()
        return Answer(reply.status, tuple(reply.headers), bytes(reading.body), broken_off)


class _Known:
    """The variables of a scenario while it is played, and the masks for the values that were made up."""

    def __init__(self, given: Mapping[str, Any], token: str | None) -> None:
        self._made_up: dict[str, Any] = {NONCE: secrets.token_hex(4)}
        self._token = token
        self.variables: dict[str, Any] = {**given, **self._made_up}
        if token is not None:
            self.variables[TOKEN] = token
        self._masks: Masks | None = None

    def save(self, name: str, value: Any) -> None:
        """Set a variable to a value from an answer."""
        self.variables[name] = self._made_up[name] = value
        self._masks = None

    @property
    def masks(self) -> Masks:
        """The masks for the answers, until a value is saved."""
        if self._masks is None:
            self._masks = Masks(self._made_up, self._token)
        return self._masks


class _UnderWay:
    """A request in the background. Like any other, it takes no longer than its timeout."""

    def __init__(self, number: int, step: Step, answered: Callable[[], tuple[Answer, bool]]) -> None:
        self.number = number
        self.step = step
        self._answered = answered
        self._outcome: tuple[Answer, bool] | BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._outcome = self._answered()
        except BaseException as error:
            self._outcome = error

    def answer(self) -> tuple[Answer, bool]:
        """Wait for the answer."""
        self._thread.join()
        outcome = self._outcome
        assert outcome is not None
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


class _Reading:
    """Reads the body of an answer. The step says how much to read of an endless stream."""

    def __init__(self, step: Step) -> None:
        limits = step.written.get("read", {})
        self._frames: int | None = limits.get("frames")
        self._seconds: float | None = limits.get("seconds")
        self._began = time.monotonic()
        # How many frames are complete, where the next one begins, and how far its end was searched.
        self._seen = self._next_frame = self._searched = 0
        self.body = bytearray()
        # How many seconds the complete answer may take.
        self.timeout: float = step.seconds("timeout", TIMEOUT)
        if self._seconds is not None:
            self.timeout = min(self.timeout, self._seconds)

    def read(self, pieces: Iterator[bytes]) -> str | None:
        """Read the pieces. Returns an error message if the answer broke off."""
        try:
            for piece in pieces:
                self.body += piece
                if self._is_enough():
                    break
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, TimeoutError) and self._seconds is not None:
                return None
            return _why(error)
        return None

    def _is_enough(self) -> bool:
        if self._seconds is not None and time.monotonic() - self._began >= self._seconds:
            return True
        if self._frames is None:
            return False
        while blank := _BLANK_LINE.search(self.body, self._searched):
            found = frames(self.body[self._next_frame : blank.end()].decode("utf-8", "replace"))
            self._next_frame = self._searched = blank.end()
            self._seen += any("event" in frame for frame in found)
            if self._seen == self._frames:
                del self.body[self._next_frame :]
                return True
        # All but the last byte of a blank line may have arrived.
        self._searched = max(self._next_frame, len(self.body) - 3)
        return False


def _why(error: Exception) -> str:
    """Why there is no answer, in the same words on every machine."""
    if isinstance(error, TimeoutError):
        return "the answer took too long"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, (ConnectionError, http.client.RemoteDisconnected, http.client.IncompleteRead)):
        return "the connection was closed"
    return printable(f"{type(error).__name__}: {error}"[:_LONGEST_REASON])
