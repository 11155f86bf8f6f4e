"""Values as Temporal carries them, and values that are not there at all."""

from __future__ import annotations

import base64
import inspect
import json
import re
from typing import Any, Final

from output_mock.masking import is_secret, masked
from output_mock.zod import UNDEFINED
from output_mock.zod.javascript import number_text

__all__ = [
    "JSON_PLAIN",
    "UNDEFINED",
    "NotJSONError",
    "as_json",
    "handed",
    "named_json",
    "payload",
    "payloads",
    "plain",
    "short",
    "to_bytes",
    "unlike",
]

JSON_PLAIN: Final = base64.b64encode(b"json/plain").decode()
_NULL: Final = base64.b64encode(b"binary/null").decode()


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
# Text, which stays, or a small number, which Python and JavaScript print in two ways: 1e-07 and 1e-7.
_SMALL = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9.]+e-0[0-9]')
_SURROGATE = re.compile("[\ud800-\udfff]")


def to_bytes(value: Any) -> bytes:
    """A value as `JSON.stringify` prints it, in UTF-8."""
    text = _encode(value)
    if "e-0" in text:
        text = _SMALL.sub(
            lambda found: found[0] if found[0][0] == '"' else number_text(float(found[0])), text
        )
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8; JavaScript escapes it.
        return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()


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


class NotJSONError(TypeError):
    """A value that JSON has no form for."""


_SCALARS = frozenset({str, int, bool, type(None)})


def as_json(value: Any) -> Any:
    """`value` as the JSON that would travel, a copy of its own: tuples become lists, keys become text.

    Raises `NotJSONError` when the value cannot travel at all.
    """
    kind = type(value)
    if kind in _SCALARS or value is UNDEFINED:
        return value
    if kind is dict:
        for key, item in value.items():
            if type(item) not in _SCALARS or type(key) is not str:
                break
        else:
            return value.copy()
    # Loops, as each comprehension takes another frame, and JSON may be nested hundreds of levels deep.
    if isinstance(value, dict):
        fields = {}
        for key, item in value.items():
            if item is not UNDEFINED:
                fields[key if type(key) is str else _key(key)] = as_json(item)
        return fields
    if isinstance(value, (list, tuple)):
        items = []
        for item in value:
            items.append(as_json(plain(item)))
        return items
    if isinstance(value, float):
        if value != value or value in (float("inf"), float("-inf")):
            return None  # what JSON.stringify makes of it
        return int(value) if value.is_integer() and abs(value) < 1e21 else float(value)
    if isinstance(value, (str, int)):
        return json.loads(json.dumps(value))
    raise NotJSONError(
        f"is of the type {kind.__name__}, which is not JSON: {value!r}. "
        "Use dicts, lists, text, numbers, booleans or None"
    )


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


def _key(key: Any) -> str:
    if isinstance(key, str):
        return str(key)
    if isinstance(key, bool) or key is None:
        return json.dumps(key)
    if isinstance(key, (int, float)):
        return str(key)
    raise NotJSONError(f"has the key {key!r}; keys of JSON objects are text")
