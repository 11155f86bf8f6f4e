"""Values as Temporal transports them, and missing values."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from output_mock.javascript_json import UNDEFINED, NotJSONError, as_json
from output_mock.masking import is_secret, masked

__all__ = [
    "copy_for_script",
    "named_json",
    "short",
    "unlike",
]


def short(value: Any, most: int = 200) -> str:
    """A value as short JSON for messages, without secrets; as Python shows it if it is not JSON."""
    if value is UNDEFINED:
        return repr(value)
    # A value that contains itself has no JSON, so check that first.
    json.dumps(value, default=repr)
    text = json.dumps(masked(value), ensure_ascii=False, default=repr)
    return text if len(text) <= most else f"{text[:most]}…"


def unlike(where: str, given: Any, wanted: Any) -> str:
    """A message that a value is not what it should be. `where` is a path such as `input.url`."""
    if any(map(is_secret, re.split(r"[.\[\]]", where))):
        return f"{where} is not what was expected (it is secret, so it is not shown)"
    return f"{where} is {short(given)}, not {short(wanted)}"


def named_json(value: Any, what: str, name: str) -> Any:
    """`value` as JSON. Raises `TypeError`, which says what it is: `what`, with the name in it."""
    try:
        return as_json(value)
    except NotJSONError as error:
        hint = ". Was `await` forgotten?" if inspect.iscoroutine(value) else ""
        raise TypeError(f"{what.format(name)} {error}{hint}") from None
    except RecursionError:
        raise TypeError(f"{what.format(name)} holds itself, or is nested too deep") from None


def copy_for_script(value: Any) -> Any:
    """A copy of a value for a script; None if the value is missing."""
    return None if value is UNDEFINED else as_json(value)
