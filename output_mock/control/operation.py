"""Operations of the control plane, and the pieces of their descriptions.

An operation's schemas are JSON Schema. They are in the OpenAPI document, and requests are checked against
them before the operation runs.
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
    """A request to the control plane."""

    worlds: Worlds
    # The world that it is about.
    entry: WorldEntry
    # The names in the path, the parameters of the query, the body's value.
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    # The text of a YAML body; None for JSON.
    yaml: str | None

    def visible(self) -> list[WorldEntry]:
        """The worlds that the sender may see: with the token of a world, only that one."""
        return list(self.worlds) if self.entry is self.worlds.default else [self.entry]


class ControlResponse(NamedTuple):
    """An answer: a status and a JSON value; `None` is no body at all."""

    status: int
    value: Any


class ControlOperation(NamedTuple):
    """An operation: its name and path, what it takes and answers, and the function that does it."""

    name: str
    method: str
    path: str
    about: str
    do: Callable[[ControlRequest], ControlResponse]
    # The schema of the answer's body by its status; None for no body.
    answers: Mapping[int, JsonSchema | None]
    # The errors that it has in addition to those of all operations.
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
    # Whether it is about all worlds, and so does not exist below a world's own prefix.
    for_all: bool = False


def duration(written: Any) -> int:
    """The nanoseconds of a duration in a request. Raises `InvalidRequest`."""
    try:
        return nanoseconds(written)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


# Schemas


def name_of(what: str, **keywords: Any) -> JsonSchema:
    """The schema of a name."""
    return text(f"The name of {what}.", pattern=NAME, **keywords)


def workflow_id(about: str = "A workflow id.") -> JsonSchema:
    """A workflow id."""
    return text(about, minLength=1, maxLength=LONGEST_ID)


TIME = text("A time: ISO 8601 in UTC, to the millisecond.")
ANYTHING: JsonSchema = {}
