"""Scenarios: requests to send to a server in order. A recording is a scenario with answers.

    name: approval
    steps:
      - request: POST /workflow/start
        json: {workflowName: conf_approval, input: {topic: bees}}
        save: {id: workflowId}
      - request: POST /workflow/{{id}}/query/getProgress
        json: {}
        until: {stage: review}
      - wait: 500ms
      - request: GET /workflow/{{id}}/result

`scenario.schema.json` defines all other keys.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from output_mock.durations import SECOND, nanoseconds
from output_mock.recording.checking import mistakes
from output_mock.recording.comparison import Mode
from output_mock.recording.variables import TOKEN, fill, fill_path, fill_text, names_in


class ScenarioError(ValueError):
    """A file that is not a valid scenario. The message has a line for each mistake."""


@dataclass(frozen=True)
class Message:
    """A request, ready to send."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


@dataclass(frozen=True)
class Step:
    """One step of a scenario and, in a recording, its answer."""

    written: Mapping[str, Any]
    answer: Mapping[str, Any] | None = None

    @property
    def wait(self) -> float | None:
        """How many seconds to wait; None for another kind of step."""
        return _seconds(self.written["wait"]) if "wait" in self.written else None

    @property
    def by_hand(self) -> str | None:
        """What a person does to the deployment; None for another kind of step."""
        return self.written.get("by_hand")

    @property
    def request(self) -> str | None:
        """The request line; None for another kind of step."""
        return self.written.get("request")

    @property
    def meanwhile(self) -> bool:
        """Whether the next steps run while the request is in progress."""
        return bool(self.written.get("meanwhile", False))

    @property
    def path(self) -> str:
        """Path and query of the request, with the names of variables."""
        return (self.request or "").partition(" ")[2]

    @property
    def until(self) -> dict[str, list[Any]]:
        """The values to wait for, by place in the body. One of them is enough."""
        return {
            place: value if isinstance(value, list) else [value]
            for place, value in self.written.get("until", {}).items()
        }

    def seconds(self, name: str, otherwise: float) -> float:
        """`within`, `every` or `timeout` in seconds; `otherwise` if the step has no such key."""
        return _seconds(self.written[name]) if name in self.written else otherwise

    @property
    def unstable(self) -> tuple[str, ...]:
        """Pointers to the values that replay does not compare."""
        return tuple(self.written.get("unstable", ()))

    def names(self) -> Iterator[str]:
        """The names of the variables that the request needs."""
        for part in ("request", "headers", "json", "text"):
            yield from names_in(self.written.get(part))

    def message(self, variables: Mapping[str, Any]) -> Message:
        """The request with the values of variables. Raises `UnknownVariable`."""
        method, _, path = (self.request or "").partition(" ")
        headers: list[tuple[str, str]] = []
        for name, values in self.written.get("headers", {}).items():
            for value in values if isinstance(values, list) else [values]:
                headers.append((name, fill_text(value, variables)))
        body = self._body(variables)
        names = {name.lower() for name, _ in headers}
        if body is not None and "content-type" not in names and {"json", "repeat"} & self.written.keys():
            headers.append(("Content-Type", "application/json"))
        if self.written.get("token", True) and variables.get(TOKEN) and "authorization" not in names:
            headers.append(("Authorization", f"Basic {variables[TOKEN]}"))
        return Message(method, fill_path(path, variables), tuple(headers), body)

    def _body(self, variables: Mapping[str, Any]) -> bytes | None:
        if "json" in self.written:
            return json.dumps(fill(self.written["json"], variables)).encode()
        if "text" in self.written:
            return fill_text(self.written["text"], variables).encode()
        if "base64" in self.written:
            return base64.b64decode(self.written["base64"])
        if "repeat" in self.written:
            part: dict[str, Any] = self.written["repeat"]
            text: str = part.get("before", "") + part["text"] * part["times"] + part.get("after", "")
            return text.encode()
        return None


@dataclass(frozen=True)
class Scenario:
    """A scenario, or a recording of one, from a file.

    `recorded` has the recorded versions; None for a scenario without a recording.
    """

    name: str
    steps: tuple[Step, ...]
    about: str = ""
    server: str | None = None
    compare: Mode = "exact"
    variables: Mapping[str, Any] | None = None
    recorded: Mapping[str, Any] | None = None
    file: str = ""

    def mode(self, step: Step) -> Mode:
        """How the answers to a step are compared."""
        mode: Mode = step.written.get("compare", self.compare)
        return mode

    @property
    def exchanges(self) -> int:
        """The number of requests."""
        return sum(step.request is not None for step in self.steps)

    def with_answers(self, answers: Mapping[int, Mapping[str, Any]], recorded: Mapping[str, Any]) -> Scenario:
        """A recording of this scenario. Takes the answers by position of the step, and the versions."""
        steps = (replace(step, answer=answers.get(number)) for number, step in enumerate(self.steps))
        return replace(self, steps=tuple(steps), recorded=recorded)

    def without_marks(self) -> Scenario:
        """The same with nothing marked as unstable."""
        steps = (
            replace(step, written={name: item for name, item in step.written.items() if name != "unstable"})
            for step in self.steps
        )
        return replace(self, steps=tuple(steps))

    def with_versions(self, recorded: Mapping[str, Any]) -> Scenario:
        """The same recording of these versions."""
        return replace(self, recorded=recorded)

    def json(self) -> dict[str, Any]:
        """The scenario as JSON, as in a file."""
        out: dict[str, Any] = {"name": self.name}
        if self.about:
            out["about"] = self.about
        if self.server is not None:
            out["server"] = self.server
        if self.compare != "exact":
            out["compare"] = self.compare
        if self.variables:
            out["variables"] = dict(self.variables)
        if self.recorded is not None:
            out["recorded"] = dict(self.recorded)
        out["steps"] = [
            {**step.written} if step.answer is None else {**step.written, "answer": dict(step.answer)}
            for step in self.steps
        ]
        return out


def _seconds(length: str | float) -> float:
    return nanoseconds(length) / SECOND


def from_json(value: Any, file: str = "", place: Places | None = None) -> Scenario:
    """Read a scenario from JSON. Raises `ScenarioError`; `place` finds the line of each part."""
    found = [f"{(place or Places(file)).at(pointer)}: {message}" for pointer, message in mistakes(value)]
    if found:
        raise ScenarioError("\n".join(found))
    return Scenario(
        name=value["name"],
        about=value.get("about", ""),
        server=value.get("server"),
        compare=value.get("compare", "exact"),
        variables=value.get("variables"),
        recorded=value.get("recorded"),
        steps=tuple(
            Step({name: item for name, item in step.items() if name != "answer"}, step.get("answer"))
            for step in value["steps"]
        ),
        file=file,
    )


class Places:
    """The line of each part of a value in a file, by its path."""

    def __init__(self, file: str) -> None:
        self.file = file

    def at(self, path: tuple[str | int, ...]) -> str:
        """The place in words, as the prefix of a message."""
        inside = in_words(path)
        return f"{self.file}: {inside}" if inside else self.file


def in_words(path: Iterable[str | int]) -> str:
    """A place in a scenario: `step 3, until`."""
    names = list(path)
    if len(names) > 1 and names[0] == "steps":
        names[:2] = [f"step {int(names[1]) + 1}"]
    return ", ".join(map(str, names))
