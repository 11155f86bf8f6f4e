"""What an operation of the control plane is, and the pieces that its description is made of.

An operation's schemas are JSON Schema. They stand in the OpenAPI document, and requests are held against them
before the operation is done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from output_mock.contract.reply import JSON_TYPE
from output_mock.contract.schemas import JsonSchema, text
from output_mock.control.names import LONGEST_ID, NAME
from output_mock.control.problems import InvalidRequest
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.durations import nanoseconds
from output_mock.http.bodies import LIMIT


class ControlRequest(NamedTuple):
    """What was asked of the control plane."""

    worlds: Worlds
    # The world that it was asked of.
    held: WorldEntry
    # The names in the path, the parameters of the query, the body's value.
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    # The text of a YAML body; None for JSON.
    yaml: str | None

    def visible(self) -> list[WorldEntry]:
        """The worlds that whoever asks may see: who brings the token of a world sees that one only."""
        return list(self.worlds) if self.held is self.worlds.default else [self.held]


class ControlResponse(NamedTuple):
    """An answer: a status and a JSON value; `None` is no body at all."""

    status: int
    value: Any


class ControlOperation(NamedTuple):
    """An operation: what it is called, where it is, what it takes and answers, and what does it."""

    name: str
    method: str
    path: str
    about: str
    do: Callable[[ControlRequest], ControlResponse]
    # The schema of the answer's body by its status; None for no body.
    answers: Mapping[int, JsonSchema | None]
    # Which errors there are besides those that every operation has.
    errors: tuple[int, ...] = ()
    query: Mapping[str, JsonSchema] = {}
    body: JsonSchema | None = None
    body_required: bool = True
    # How many bytes the body may have.
    most_bytes: int = LIMIT
    # What the answer is; for anything but JSON, its value is text.
    media_type: str = JSON_TYPE
    # Whether the body may be the text of a YAML file.
    yaml: bool = False
    # Whether it is about all worlds, and so is not there below a world's own prefix.
    for_all: bool = False


def duration(written: Any) -> int:
    """The nanoseconds of a duration that a request brings. Raises `InvalidRequest`."""
    try:
        return nanoseconds(written)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


# Schemas


def name_of(what: str, **keywords: Any) -> JsonSchema:
    """The name of something that is kept under it."""
    return text(f"The name of {what}.", pattern=NAME, **keywords)


def workflow_id(about: str = "A workflow id.") -> JsonSchema:
    """A workflow id."""
    return text(about, minLength=1, maxLength=LONGEST_ID)


TIME = text("A time: ISO 8601 in UTC, to the millisecond.")
ANYTHING: JsonSchema = {}
