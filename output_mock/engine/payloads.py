"""Values as Temporal carries them, and values that are not there at all."""

from __future__ import annotations

import base64
import json
from typing import Any, Final

from output_mock.zod import UNDEFINED

__all__ = ["JSON_PLAIN", "UNDEFINED", "as_json", "payload", "payloads", "plain"]

JSON_PLAIN: Final = base64.b64encode(b"json/plain").decode()
_NULL: Final = base64.b64encode(b"binary/null").decode()


def payload(value: Any) -> dict[str, Any]:
    """A value as one Temporal payload: base 64 of JSON; `UNDEFINED` has no data (feedback)."""
    if value is UNDEFINED:
        return {"metadata": {"encoding": _NULL}}
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    data = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    return {"metadata": {"encoding": JSON_PLAIN}, "data": data}


def payloads(values: list[Any]) -> list[dict[str, Any]]:
    """Several values as payloads."""
    return [payload(value) for value in values]


def plain(value: Any) -> Any:
    """What a JSON reader sees: None where the value is undefined."""
    return None if value is UNDEFINED else value


def as_json(value: Any, where: str) -> Any:
    """`value` as the JSON that would travel: tuples become lists, keys become text.

    Raises `TypeError` that names `where` when the value cannot travel at all.
    """
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None or value is UNDEFINED:
        return value
    if kind is float:
        if value != value or value in (float("inf"), float("-inf")):
            return None  # what JSON.stringify makes of it
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if kind is dict or isinstance(value, dict):
        return {
            key if type(key) is str else _key(key, where): as_json(item, where)
            for key, item in value.items()
            if item is not UNDEFINED
        }
    if isinstance(value, (list, tuple)):
        return [as_json(plain(item), where) for item in value]
    if isinstance(value, (str, int, float)):
        return json.loads(json.dumps(value))
    raise TypeError(
        f"{where} is a {kind.__name__}, which is not JSON: {value!r}. "
        "Return dicts, lists, text, numbers, booleans or None"
    )


def _key(key: Any, where: str) -> str:
    if isinstance(key, str):
        return str(key)
    if isinstance(key, bool) or key is None:
        return json.dumps(key)
    if isinstance(key, (int, float)):
        return str(key)
    raise TypeError(f"{where} has the key {key!r}; keys of JSON objects are text")
