"""What a kind of fault is: something that goes wrong with a call, or when faults strike.

A kind is a class. Its `options` are the keywords of `Fault` that it has, with JSON Schemas that the control
plane and the state file hold them against. The first one says whether a fault is of the kind.
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
    """The connection ends here, whatever was to come. Servers and in-process clients know what to do."""


class StruckRequest(Protocol):
    """What a fault sees of the request that it strikes (`ApiRequest`)."""

    world: World
    method: str
    # After how many events its stream is cut, what is wrong with S3, and whether that was the answer.
    cut_after: int | None
    s3: Trouble | None
    s3_failed: bool
    # Whether the client gets less than the response.
    lost: bool

    def cors(self) -> dict[str, str]:
        """The headers that let a page read the answer."""

    def end_in_reset(self) -> None:
        """Have the connection end in a TCP reset, if the server can do that."""


class Kind:
    """A kind of fault. Raises `ValueError` for options that make no sense."""

    options: ClassVar[OptionSchemas]
    # What is said when others of its options are there without the first.
    needs: ClassVar[str] = ""
    # Which operation's calls alone it can strike, and what is said of it when others are asked for.
    only: ClassVar[tuple[str, str] | None] = None

    def __init__(self, options: Options) -> None:
        """Read the options, among which others may be."""

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
    """A kind of fault that strikes some calls only, by what has been asked before.

    Its words follow those of what the fault does: `beyond 5 calls per 1m`.
    """

    def wait(self, token: str | None, now: int, asked: int) -> int | None:
        """Whether it strikes a call with this token at this time (nanoseconds since 1970): None when not,
        otherwise for how many seconds the client is to wait. `asked` is what the fault says of itself.
        """
        raise NotImplementedError

    def has_struck(self, world: World, wait: int) -> None:
        """The client was told to wait so many seconds."""

    def seen(self, *, tokens: bool) -> Any:
        """What it knows of the calls so far, as JSON; fingerprints of tokens only with `tokens`."""
        raise NotImplementedError

    def see(self, seen: Any) -> None:
        """Go on from there. Raises `ValueError`."""
        raise NotImplementedError


class Effect(Kind):
    """A kind of fault that does something to a call."""

    # Whether it does something to every call, whatever the answer would be.
    strikes_any: bool = True
    # Whether it does something to the body of a response.
    damages: bool = False

    @property
    def is_nothing(self) -> bool:
        """Whether it does nothing after all, such as a delay of no length."""
        return False

    def lateness(self, chance: Random) -> tuple[int, int]:
        """How late the answer is this time, in nanoseconds of the fake's clock and of the wall."""
        return 0, 0

    def before(self, request: StruckRequest) -> None:
        """What happens before the request is looked at. May raise `Dropped`."""

    def reply(self, request: StruckRequest, wait: int) -> Reply | None:
        """What is answered in the place of what was asked for; it says how many seconds to wait."""
        return None

    def after(self, request: StruckRequest, response: WSGIResponse) -> None:
        """What happens once there is a response. May raise `Dropped`."""

    def damage(self, body: DamagedBody) -> None:
        """What happens to the body of a response that has one and is no stream."""

    def has_struck(self, request: StruckRequest, response: WSGIResponse) -> bool:
        """Whether it has done something to a call that it does not strike in any case."""
        return False


class DamagedBody:
    """How the body of a response arrives."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        # Whether half of it is missing at the end, and whether the connection is reset there.
        self.is_broken_off = False
        self.reset = False
        # How long it takes on the wall, in nanoseconds.
        self.length: int = 0
