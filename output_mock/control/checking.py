"""Check values against JSON Schemas, and say what is wrong with them."""

from __future__ import annotations

from typing import Any

from output_mock.contract.schemas import DURATION_PATTERN, JsonSchema
from output_mock.control.names import NAME, NAME_WORDS
from output_mock.control.problems import InvalidRequest
from output_mock.durations import nanoseconds
from output_mock.suggestions import closest, nearest

# By the schema's id(); schemas belong to operations, which live as long as the process.
_validators: dict[int, Any] = {}


def _validator(schema: JsonSchema) -> Any:
    found = _validators.get(id(schema))
    if found is None:
        import json

        from jsonschema import Draft202012Validator

        # Sorted so that an unknown property is reported before a missing one: it is most often a misspelling
        # of that.
        ordered = json.loads(json.dumps(schema, sort_keys=True))
        found = _validators[id(schema)] = Draft202012Validator(ordered)
    return found


def check(value: Any, schema: JsonSchema, what: str) -> None:
    """Raise `InvalidRequest`, which says what is wrong and where, unless the value fits."""
    from jsonschema.exceptions import best_match

    error = best_match(_validator(schema).iter_errors(value))
    if error is None:
        return
    where = "/".join(str(part) for part in error.absolute_path)
    place = f"{what}, {where}" if where else what
    if error.validator == "additionalProperties" and isinstance(error.instance, dict):
        known = list(error.schema.get("properties", ()))
        for name in error.instance:
            if name not in known:
                there = nearest(name[:100], known) or f"; it has {', '.join(known)}"
                raise InvalidRequest(
                    f"{place}: there is no {name[:100]!r}{there}", nearest=closest(name[:100], known)
                )
    if error.validator == "pattern":
        raise InvalidRequest(f"{place}: {_unlike_pattern(error.instance, error.validator_value)}")
    meant = None
    if error.validator == "enum" and isinstance(error.instance, str):
        meant = closest(error.instance[:100], [str(one) for one in error.validator_value])
    message = error.message if len(error.message) < 300 else f"{error.message[:300]} …"
    raise InvalidRequest(f"{place}: {message}", nearest=meant)


def _unlike_pattern(given: str, pattern: str) -> str:
    """What is wrong with text that does not match a pattern, in words, as few people read patterns."""
    given = given if len(given) < 100 else f"{given[:100]} …"
    if pattern == NAME:
        return f"{given!r} is not a valid name; {NAME_WORDS}"
    try:
        nanoseconds(given)
    except ValueError as error:
        if pattern == DURATION_PATTERN:
            return str(error)
    return f"{given!r} does not match {pattern!r}"
