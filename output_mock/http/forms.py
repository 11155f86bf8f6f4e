"""Forms with brackets, read as the `qs` library reads them: `a[b]=1&a[c][]=2` (raw_bodies)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

from output_mock.contract.errors import UnreadableBodyError
from output_mock.javascript_json import as_json

# How deep the brackets of a form may nest, and how many parameters it may have.
_FORM_DEPTH = 32
_FORM_PARAMETERS = 1000
# An index in a list; longer numbers are names.
_PLACE = re.compile("0|[1-9][0-9]?")


def parse(text: str, charset: str = "utf-8") -> dict[str, Any]:
    """The fields of a form.

    Raises `UnreadableBodyError` for too many parameters, and for a name with more than 32 pairs of brackets
    (measured with Express 5.3, body-parser 2.4 and qs 6.17).
    """
    parts = [part for part in text.split("&") if part]
    if len(parts) > _FORM_PARAMETERS:
        raise UnreadableBodyError.too_large("too many parameters")
    values: dict[str, Any] = {}
    for part in parts:
        # The `=` that ends a key is the first one outside its brackets.
        bracket = part.find("]=")
        cut = part.find("=") if bracket < 0 else bracket + 1
        name, value = (part, "") if cut < 0 else (part[:cut], part[cut + 1 :])
        key, text = _form_text(name, charset), _form_text(value, charset)
        values[key] = text if key not in values else [*_as_list(values[key]), text]
    fields: Any = {}
    for key, value in values.items():
        if key:
            fields = _merged(fields, _nested(_keys(key), value))
    compacted = as_json(_compacted(fields))
    assert isinstance(compacted, dict)
    return compacted


def _form_text(text: str, charset: str) -> str:
    text = text.replace("+", " ")
    if "%" not in text:
        return text
    if charset != "utf-8":
        return re.sub(r"%([0-9A-Fa-f]{2})", lambda found: chr(int(found.group(1), 16)), text)
    try:
        if re.search(r"%(?![0-9A-Fa-f]{2})", text):
            return text
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text


def _keys(key: str) -> list[str]:
    """`a[b][]` as `a`, `[b]`, `[]`: brackets stay, to tell a list's place from a name."""
    head, bracket, rest = key.partition("[")
    if not bracket:
        return [key]
    rest = bracket + rest
    parts = re.findall(r"\[[^\[\]]*\]", rest)
    if not parts:
        return [head, rest] if head else [rest]
    if len(parts) > _FORM_DEPTH:
        raise UnreadableBodyError("BadRequestError", 400, "The input exceeded the depth")
    return [head, *parts] if head else parts


class _List(dict[int, Any]):
    """A list that may have holes: place → value."""


def _nested(keys: list[str], value: Any) -> Any:
    """The value at the end of its path: for `a`, `[b]` that is `{"a": {"b": value}}`."""
    for key in reversed(keys):
        if key == "[]":
            value = _List(enumerate(_as_list(value)))
            continue
        bare = key[1:-1] if key.startswith("[") and key.endswith("]") else key
        if bare is not key and _PLACE.fullmatch(bare):
            value = _List({int(bare): value})
        else:
            value = {} if bare == "__proto__" else {bare: value}
    return value


def _as_list(value: Any) -> list[Any]:
    if isinstance(value, _List):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _merged(target: Any, source: Any) -> Any:
    if isinstance(target, list):
        target = _List(enumerate(target))
    if isinstance(source, list):
        source = _List(enumerate(source))
    if not isinstance(source, dict):
        if isinstance(target, _List):
            target[max(target, default=-1) + 1] = source
            return target
        return _List({0: target, 1: source})
    if not isinstance(target, dict):
        return _List(enumerate([target, *_as_list(source)]))
    if isinstance(target, _List) and isinstance(source, _List):
        for place, item in source.items():
            if place not in target:
                target[place] = item
            elif isinstance(target[place], dict) and isinstance(item, dict):
                target[place] = _merged(target[place], item)
            else:
                target[max(target) + 1] = item
        return target
    merged = {str(key): item for key, item in target.items()} if isinstance(target, _List) else target
    for key, item in source.items():
        merged[str(key)] = _merged(merged[str(key)], item) if str(key) in merged else item
    return merged


def _compacted(value: Any) -> Any:
    if isinstance(value, _List):
        return [_compacted(value[place]) for place in sorted(value)]
    if isinstance(value, dict):
        return {key: _compacted(item) for key, item in value.items()}
    return value
