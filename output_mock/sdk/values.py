"""Values as Temporal carries them, and values that are not there at all."""

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
    """JSON for people, in at most so many characters and without what is secret; what is no JSON as Python
    shows it.
    """
    if value is UNDEFINED:
        return repr(value)
    # What holds itself has no JSON: that is found out first.
    json.dumps(value, default=repr)
    text = json.dumps(masked(value), ensure_ascii=False, default=repr)
    return text if len(text) <= most else f"{text[:most]}…"


def unlike(where: str, given: Any, wanted: Any) -> str:
    """That something is not what it should be, in words. `where` is a path such as `input.url`."""
    if any(map(is_secret, re.split(r"[.\[\]]", where))):
        return f"{where} is not what was expected (it is secret, so it is not shown)"
    return f"{where} is {short(given)}, not {short(wanted)}"


def named_json(value: Any, what: str, name: str) -> Any:
    """`value` as JSON. Raises `TypeError` that says whose it is: `what`, with the name in it."""
    try:
        return as_json(value)
    except NotJSONError as error:
        hint = ". Was `await` forgotten?" if inspect.iscoroutine(value) else ""
        raise TypeError(f"{what.format(name)} {error}{hint}") from None


def copy_for_script(value: Any) -> Any:
    """What a script gets of a value that travels: a copy of its own, None where there is none."""
    return None if value is UNDEFINED else as_json(value)
