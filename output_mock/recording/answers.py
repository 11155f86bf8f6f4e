"""Answers of a server, and how they are written into a recording."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite
from typing import Any

# Headers of the connection or the moment, which say nothing about the API.
_OF_THE_CONNECTION = {"connection", "content-length", "date", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Answer:
    """An answer as it came: the headers in their order, and the body as far as it was read.

    `broken_off` says why the answer is incomplete; then the status may be 0.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    broken_off: str | None = None

    def header(self, name: str) -> str | None:
        """The first value of a header, whatever its case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    @property
    def is_json(self) -> bool:
        """Whether its content type is JSON."""
        return "application/json" in (self.header("content-type") or "")

    @property
    def is_stream(self) -> bool:
        """Whether it is a stream of events."""
        return "text/event-stream" in (self.header("content-type") or "")

    def json(self) -> Any:
        """The body as JSON; None if it is not JSON."""
        if not self.is_json:
            return None
        try:
            return _parsed(self.body.decode())
        except (ValueError, RecursionError):
            return None


def written(answer: Answer, *, as_text: bool = False) -> dict[str, Any]:
    """An answer as JSON; nothing is masked yet.

    The body is `json`, `stream` or `text`, by its type or with `as_text`, or `base64` where it is no text.
    """
    if not answer.status:
        return {"broken_off": answer.broken_off}
    out: dict[str, Any] = {"status": answer.status, "headers": headers_written(answer.headers)}
    out |= _body(answer, as_text)
    if answer.broken_off is not None:
        out["broken_off"] = answer.broken_off
    return out


def headers_written(headers: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Headers by their names in lower case, in their order; a list for one that came several times."""
    out: dict[str, str | list[str]] = {}
    for given, value in headers:
        name = given.lower()
        before = out.get(name)
        if name in _OF_THE_CONNECTION:
            continue
        if before is None:
            out[name] = value
        else:
            out[name] = [*before, value] if isinstance(before, list) else [before, value]
    return out


def _body(answer: Answer, as_text: bool) -> dict[str, Any]:
    try:
        text = answer.body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(answer.body).decode()}
    if answer.is_stream and not as_text:
        return {"stream": frames(text)}
    if answer.is_json and text and not as_text:
        try:
            return {"json": _parsed(text)}
        except (ValueError, RecursionError):
            pass
    return {"text": text}


def _parsed(text: str) -> Any:
    """Parse JSON that a file can hold. Raises `ValueError` for any other text, including `NaN`
    and `1e999`.
    """

    def number(digits: str) -> float:
        value = float(digits)
        if not isfinite(value):
            raise ValueError(f"{digits} is no number of JSON")
        return value

    return json.loads(text, parse_float=number, parse_constant=number)


def frames(text: str) -> list[dict[str, Any]]:
    """The frames of a stream of events, comments among them; what is no whole frame is a comment, too."""
    found: list[dict[str, Any]] = []
    for block in text.replace("\r\n", "\n").split("\n\n"):
        frame: dict[str, Any] = {}
        data: list[str] = []
        for line in block.split("\n"):
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "" and line:
                found.append({"comment": value})
            elif name == "data":
                data.append(value)
            elif name in ("event", "id"):
                frame[name] = value
        if data:
            whole = "\n".join(data)
            try:
                frame["data"] = _parsed(whole)
            except (ValueError, RecursionError):
                frame["data"] = whole
        if frame:
            found.append(frame)
    return found
