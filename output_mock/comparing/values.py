"""JSON values to send: those that a JSON Schema allows, and odd ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Strategy = SearchStrategy[Any]

_NUMBERS = [1, 2, 0, 3, 10, -1, 0.5, 200]
_WORDS = ["a", "bees", "", "Käse 🧀", "two words", '"quoted"', "x" * 300]
ODD: Strategy = st.sampled_from(
    [
        None,
        True,
        0,
        -1,
        1.5,
        "",
        "x",
        [],
        {},
        [1, "a", None],
        {"unknown": {"nested": [None, {"a": 1}]}},
        {"__proto__": {"a": 1}, "constructor": 1},
        9007199254740993,
        1e308,
        "\ud83e",
        "line\nend\u2028\x00",
    ]
)
ANY: Strategy = st.one_of(
    st.sampled_from([{}, {"n": 1}, {"text": "bees", "list": [1, 2.5, None, True]}]),
    st.sampled_from(_WORDS),
    st.sampled_from(_NUMBERS),
    ODD,
)
_MOST_ITEMS = 3


def mostly(usual: Strategy, odd: Strategy, *, once_in: int = 10) -> Strategy:
    """Mostly a usual value, and sometimes an odd one."""
    return st.integers(1, once_in).flatmap(lambda number: odd if number == once_in else usual)


def allowed_by(schema: Mapping[str, Any] | None) -> Strategy:
    """Values that a JSON Schema allows, as far as its usual keywords say; without a schema, any JSON.

    Names, lengths and ranges are kept small. References have to point into the schema itself.
    """
    return ANY if schema is None else _of(schema, schema, {})


def _of(schema: Any, whole: Mapping[str, Any], known: dict[str, Strategy]) -> Strategy:
    if not isinstance(schema, Mapping):
        return ANY
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(list(schema["enum"]))
    if "$ref" in schema:
        return _referred(str(schema["$ref"]), whole, known)
    for keyword in ("anyOf", "oneOf"):
        if schema.get(keyword):
            return st.one_of([_of(one, whole, known) for one in schema[keyword]])
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return st.one_of([_of({**schema, "type": kind}, whole, known) for kind in kinds])
    if kinds is None and "properties" in schema:
        kinds = "object"
    if kinds == "object":
        return _object(schema, whole, known)
    if kinds == "array":
        least = schema.get("minItems", 0)
        most = min(schema.get("maxItems", least + _MOST_ITEMS), least + _MOST_ITEMS)
        return st.lists(_of(schema.get("items"), whole, known), min_size=least, max_size=most)
    return _scalar(str(kinds), schema)


def _referred(name: str, whole: Mapping[str, Any], known: dict[str, Strategy]) -> Strategy:
    if name not in known:
        target: Any = whole
        for part in name.removeprefix("#").split("/")[1:]:
            target = target.get(part) if isinstance(target, Mapping) else None
        # A schema may refer to itself.
        known[name] = st.deferred(lambda: _of(target, whole, known))
    return known[name]


def _object(schema: Mapping[str, Any], whole: Mapping[str, Any], known: dict[str, Strategy]) -> Strategy:
    properties = {name: _of(one, whole, known) for name, one in schema.get("properties", {}).items()}
    required = [name for name in schema.get("required", ()) if name in properties]
    must = {name: properties[name] for name in required}
    may = {name: one for name, one in properties.items() if name not in must}
    return st.fixed_dictionaries(must, optional=may)


def _scalar(kind: str, schema: Mapping[str, Any]) -> Strategy:
    if kind == "string":
        least, most = schema.get("minLength", 0), schema.get("maxLength", 1000)
        words = [word for word in _WORDS if least <= len(word) <= most]
        return st.sampled_from(words or ["x" * least])
    if kind in ("number", "integer"):
        low, high = schema.get("minimum", float("-inf")), schema.get("maximum", float("inf"))
        numbers = [one for one in _NUMBERS if low <= one <= high and (kind == "number" or one == int(one))]
        return st.sampled_from(numbers or [schema.get("minimum", schema.get("maximum", 0))])
    if kind == "boolean":
        return st.booleans()
    return st.none() if kind == "null" else ANY
