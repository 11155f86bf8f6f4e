"""Values as Temporal carries them, and values that are not there at all."""

from __future__ import annotations

import base64
import inspect
import json
import re
from typing import Any, Final

from output_mock.javascript_json import UNDEFINED, NotJSONError, as_json, to_bytes
from output_mock.masking import is_secret, masked

__all__ = [
    "JSON_PLAIN",
    "UNDEFINED",
    "handed",
    "named_json",
    "payload",
    "payloads",
    "plain",
    "short",
    "unlike",
]

JSON_PLAIN: Final = base64.b64encode(b"json/plain").decode()
_NULL: Final = base64.b64encode(b"binary/null").decode()


def short(value: Any, most: int = 200) -> str:
    """JSON for people, in at most so many characters and without what is secret; what is no JSON as Python
    shows it.
    """
    # What holds itself has no JSON: that is found out first.
    json.dumps(value, default=repr)
    text = json.dumps(masked(value), ensure_ascii=False, default=repr)
    return text if len(text) <= most else f"{text[:most]}…"


def unlike(where: str, given: Any, wanted: Any) -> str:
    """That something is not what it should be, in words. `where` is a path such as `input.url`."""
    if any(map(is_secret, re.split(r"[.\[\]]", where))):
        return f"{where} is not what was expected (it is secret, and not shown)"
    return f"{where} is {short(given)}, not {short(wanted)}"


def payload(value: Any) -> dict[str, Any]:
    """A value as one Temporal payload: base 64 of JSON; `UNDEFINED` has no data (feedback)."""
    if value is UNDEFINED:
        return {"metadata": {"encoding": _NULL}}
    return {"metadata": {"encoding": JSON_PLAIN}, "data": base64.b64encode(to_bytes(value)).decode()}


def payloads(values: list[Any]) -> list[dict[str, Any]]:
    """Several values as payloads."""
    return [payload(value) for value in values]


def plain(value: Any) -> Any:
    """What a JSON reader sees: None where the value is undefined."""
    return None if value is UNDEFINED else value


def named_json(value: Any, what: str, name: str) -> Any:
    """`value` as JSON. Raises `TypeError` that says whose it is: `what`, with the name in it."""
    try:
        return as_json(value)
    except NotJSONError as error:
        hint = ". Was `await` forgotten?" if inspect.iscoroutine(value) else ""
        raise TypeError(f"{what.format(name)} {error}{hint}") from None


def handed(value: Any) -> Any:
    """What a script gets of a value that travels: a copy of its own, None where there is none."""
    return None if value is UNDEFINED else as_json(value)
