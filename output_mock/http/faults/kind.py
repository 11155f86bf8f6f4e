"""Kinds of faults: what goes wrong with a call, or when faults apply.

A kind is a class. Its `options` are its keywords of `Fault`, with the JSON Schemas by which the control
plane and the state file check them. The first one decides whether a fault is of the kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, ClassVar, Protocol

from output_mock.contract.reply import Reply
from output_mock.contract.schemas import JsonSchema
from output_mock.engine.world import World
from output_mock.http.response import WSGIResponse
from output_mock.http.trace_log import Trouble

Options = Mapping[str, Any]
OptionSchemas = Mapping[str, JsonSchema]


class Dropped(ConnectionResetError):
    """The connection ends here. Servers and in-process clients handle this error."""


class AffectedRequest(Protocol):
    """What a fault sees of the request that it affects (`ApiRequest`)."""

    world: World
    method: str
    # After how many events its stream is cut, what is wrong with S3, and whether that was the answer.
    cut_after: int | None
    s3: Trouble | None
    s3_failed: bool
    # Whether Temporal is away, and whether that was the answer.
    temporal_away: bool
    temporal_failed: bool
    # Whether the client gets less than the response.
    lost: bool

    def cors(self) -> dict[str, str]:
        """The headers that let a page read the answer."""

    def end_in_reset(self) -> None:
        """Let the connection end in a TCP reset, if the server can do that."""


class Kind:
    """A kind of fault. Raises `ValueError` for options that make no sense."""

    options: ClassVar[OptionSchemas]
    # The error when others of its options are given without the first.
    needs: ClassVar[str] = ""
    # The only operation whose calls it can affect, and its description in the error for others.
    only: ClassVar[tuple[str, str] | None] = None

    def __init__(self, options: Options) -> None:
        """Read its own options from all that are given."""

    @classmethod
    def is_given(cls, options: Options) -> bool:
        """Whether a fault with these options is of this kind."""
        first = options.get(next(iter(cls.options)))
        return first is not None and first is not False

    @classmethod
    def implied(cls) -> Options:
        """The options that a fault of this kind has when they are not given."""
        return {}

    def words(self) -> str:
        """What it does, in words: `drop the answer`."""
        raise NotImplementedError


class Condition(Kind):
    """A kind of fault that affects a call or not, depending on earlier calls.

    Its words follow those of the effect: `beyond 5 calls per 1m`.
    """

    def wait(self, token: str | None, now: int, asked: int) -> int | None:
        """Whether it affects a call with this token at this time (nanoseconds since 1970): None if not,
        otherwise for how many seconds the client should wait. `asked` is the fault's own answer to that.
        """
        raise NotImplementedError

    def has_affected(self, world: World, wait: int) -> None:
        """Note that the client was told to wait this many seconds."""

    def seen(self, *, tokens: bool) -> Any:
        """What it knows about the calls so far, as JSON. Includes fingerprints of tokens only
        with `tokens`.
        """
        raise NotImplementedError

    def see(self, seen: Any) -> None:
        """Continue from what `seen` returned. Raises `ValueError`."""
        raise NotImplementedError


class Effect(Kind):
    """A kind of fault that does something to a call."""

    # Whether it affects every call, whatever the answer is.
    affects_all: bool = True
    # Whether it does something to the body of a response.
    damages: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether it has no effect, such as a delay of no length."""
        return False

    def lateness(self, chance: Random) -> tuple[int, int]:
        """How late the answer is, in nanoseconds on the fake's clock and in real time."""
        return 0, 0

    def before(self, request: AffectedRequest) -> None:
        """What happens before the request is looked at. May raise `Dropped`."""

    def reply(self, request: AffectedRequest, wait: int) -> Reply | None:
        """The reply instead of the real one; it says how many seconds to wait."""
        return None

    def after(self, request: AffectedRequest, response: WSGIResponse) -> None:
        """What happens once there is a response. May raise `Dropped`."""

    def damage(self, body: DamagedBody) -> None:
        """What happens to the body of a response that has one and is no stream."""

    def has_affected(self, request: AffectedRequest, response: WSGIResponse) -> bool:
        """Whether it did something to the call, for faults that do not affect every call."""
        return False


class DamagedBody:
    """How the body of a response arrives."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        # Whether half of it is missing at the end, and whether the connection is reset there.
        self.is_broken_off = False
        self.reset = False
        # How long it takes in real time, in nanoseconds.
        self.length: int = 0
