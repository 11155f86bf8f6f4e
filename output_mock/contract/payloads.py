"""Values as Temporal encodes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final

from output_mock.javascript_json import UNDEFINED, parse, to_bytes

JSON_PLAIN: Final = base64.b64encode(b"json/plain").decode()
_NULL: Final = base64.b64encode(b"binary/null").decode()


def payload(value: Any) -> dict[str, Any]:
    """A value as one Temporal payload: base 64 of JSON; `UNDEFINED` has no data (feedback)."""
    if value is UNDEFINED:
        return {"metadata": {"encoding": _NULL}}
    return {"metadata": {"encoding": JSON_PLAIN}, "data": base64.b64encode(to_bytes(value)).decode()}


def payloads(values: list[Any]) -> list[dict[str, Any]]:
    """Several values as payloads."""
    return [payload(value) for value in values]


def value_of(payload: Mapping[str, Any]) -> Any:
    """The value in a payload; `UNDEFINED` if it has no data."""
    return parse(base64.b64decode(payload["data"]).decode()) if "data" in payload else UNDEFINED
