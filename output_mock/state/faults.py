"""The faults of a world as JSON, with how many calls they have affected and their random state."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from output_mock.durations import SECOND, nanoseconds
from output_mock.http.faults import Fault
from output_mock.http.faults.kinds import KINDS
from output_mock.javascript_json import as_json
from output_mock.state.checked import Unreadable, below, fields, flag, many, mapping, maybe, text, whole
from output_mock.state.json_values import random_json, random_state

# How many faults a file may have.
_MOST = 10_000


def faults_json(state: Sequence[Any], *, tokens: bool) -> dict[str, Any]:
    """The result of `Faults.state` as JSON. `tokens` adds the fingerprints of tokens that expire."""
    waiting, chance, last = state
    return {
        "faults": [_fault_json(fault, tokens) for fault in waiting],
        "chance": random_json(chance),
        "last": last,
    }


def read_faults(given: Any) -> Sequence[Any]:
    """Read what `faults_json` has written."""
    read = fields(given, {"faults": many(_fault), "chance": random_state, "last": whole})
    faults: tuple[Fault, ...] = read["faults"]
    if len(faults) > _MOST:
        raise Unreadable(f"a world has at most {_MOST} faults")
    return list(faults), read["chance"], read["last"]


def _fault_json(fault: Fault, tokens: bool) -> dict[str, Any]:
    return {
        "id": fault.id,
        "times": fault.times,
        "left": None if fault.left == math.inf else int(fault.left),
        "struck": fault.affected,
        "seen": fault.seen,
        "probability": fault.probability,
        "after": fault.after,
        "options": {name: _option_json(value) for name, value in fault.options.items()},
        "condition": None if fault.condition is None else fault.condition.seen(tokens=tokens),
        "where": fault.where,
        "place": fault.place,
        "ofPreset": fault.of_preset,
    }


def _option_json(value: Any) -> Any:
    if isinstance(value, timedelta):
        return nanoseconds(value) / SECOND
    if isinstance(value, Mapping):
        return {name: _option_json(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_option_json(one) for one in value]
    return as_json(value)


_SCHEMAS = {name: schema for kind in KINDS for name, schema in kind.options.items()}
_TYPES: Mapping[str, Callable[[Any], Any]] = {
    "integer": whole,
    "boolean": flag,
    "string": text,
    "object": lambda given: _texts(given),
}


def _options(given: Any) -> dict[str, Any]:
    """The options of a fault. This checks their types; `Fault` checks the rest."""
    found = mapping(given)
    for name, value in found.items():
        with below(name):
            if name not in _SCHEMAS:
                raise Unreadable("a fault has no such option")
            read = _TYPES.get(_SCHEMAS[name].get("type", ""))
            if read is not None:
                read(value)
            elif name != "body" and type(value) not in (dict, str, int, float):
                raise Unreadable("it is not a duration")
    return found


def _texts(given: Any) -> dict[str, str]:
    found = mapping(given)
    for name, one in found.items():
        with below(name):
            text(one)
    return found


def _where(given: Any) -> dict[str, str]:
    found = _texts(given)
    for name in found:
        with below(name):
            if name not in ("method", "route", "workflow", "workflow_id"):
                raise Unreadable("faults do not go by that")
    return found


def _probability(given: Any) -> float:
    if type(given) not in (int, float) or not 0 < given <= 1:
        raise Unreadable("a probability is more than 0 and at most 1")
    return float(given)


def _times(given: Any) -> Any:
    return given if given == "always" else whole(given)


_FAULT: Mapping[str, Callable[[Any], Any]] = {
    "id": whole,
    "times": _times,
    "left": maybe(whole),
    "struck": whole,
    "seen": whole,
    "probability": _probability,
    "after": whole,
    "options": _options,
    "condition": lambda given: given,
    "where": _where,
    "place": text,
    "ofPreset": flag,
}


def _fault(given: Any) -> Fault:
    read = fields(given, _FAULT)
    options: Any = read["options"]
    try:
        fault = Fault(
            times=read["times"],
            probability=read["probability"],
            after=read["after"],
            **read["where"],
            **options,
        )
        if fault.condition is not None:
            fault.condition.see(read["condition"])
        elif read["condition"] is not None:
            raise Unreadable("condition: the fault has no condition")
    except (ValueError, TypeError, OverflowError) as error:
        raise Unreadable(str(error)) from None
    fault.id, fault.affected, fault.seen = read["id"], read["struck"], read["seen"]
    fault.left = math.inf if read["left"] is None else read["left"]
    fault.place, fault.of_preset = read["place"], read["ofPreset"]
    return fault
