"""The faults of a world, and presets."""

from __future__ import annotations

from typing import Any

from output_mock.contract.operations import NAMES
from output_mock.contract.schemas import (
    JsonSchema,
    fields,
    many,
    number,
    or_null,
    ref,
    shape,
    text,
)
from output_mock.control.names import LONGEST_ID
from output_mock.control.operation import ANYTHING, ControlOperation, ControlRequest, ControlResponse
from output_mock.control.problems import Conflict, InvalidRequest, NotFound
from output_mock.http.app import OutputApp
from output_mock.http.faults import PRESETS, Fault, preset
from output_mock.http.faults.delays import Delay
from output_mock.http.faults.kinds import KINDS
from output_mock.http.faults.lateness import Late

# How many faults a world may have.
MOST_FAULTS = 500
_CONDITIONS: JsonSchema = {
    "times": {
        "description": "How many calls it affects. Default: 1; with `probability`, `limit` or "
        "`tokenLasts`: always.",
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 1_000_000}, {"const": "always"}],
    },
    "probability": {
        "description": "The probability that it affects a call that matches. Default: 1.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
    },
    "after": number(
        "How many matching calls pass before it starts. Default: 0.", minimum=0, maximum=1_000_000
    ),
    "method": text("Only calls with this method.", maxLength=20),
    "route": text("Only calls of this operation, such as `start` or `result`.", enum=list(NAMES)),
    "workflow": text("Only calls about this workflow.", maxLength=LONGEST_ID),
    "workflow_id": text("Only calls about this workflow id.", maxLength=LONGEST_ID),
}
_KEYWORDS: JsonSchema = {
    **_CONDITIONS,
    **{name: schema for kind in KINDS for name, schema in kind.options.items()},
}


def _in_json(keyword: str) -> str:
    """The name in JSON of a keyword of `Fault`: `retryAfter`."""
    first, *rest = keyword.split("_")
    return first + "".join(map(str.capitalize, rest))


# The names of fields in JSON, and in Python.
PYTHON_NAMES = {_in_json(keyword): keyword for keyword in _KEYWORDS}
FIELDS: JsonSchema = {name: _KEYWORDS[keyword] for name, keyword in PYTHON_NAMES.items()}
SCHEMAS = {
    "Fault": shape(
        {
            "id": number("Its id, to remove it by."),
            "what": text("What it does, in words."),
            "times": {"anyOf": [{"type": "integer"}, {"const": "always"}]},
            "left": or_null(number("How many more calls it affects; null for always.")),
            "affected": number("How many calls it has affected."),
            "probability": {"type": "number"},
            "where": {"type": "object", "additionalProperties": text()},
            "delay": or_null(ANYTHING),
            "warning": or_null(text("Why it can affect no call: this version of the API lacks its route.")),
        },
        about="A fault that is still active.",
    ),
    "Preset": shape(
        {"name": text(), "about": text(), "faults": many(text())}, about="A preset: several faults together."
    ),
}


def _described(fault: Fault, app: OutputApp) -> dict[str, Any]:
    return {
        "id": fault.id,
        "what": str(fault),
        "times": fault.times,
        "left": None if fault.times == "always" else int(fault.left),
        "affected": fault.affected,
        "probability": fault.probability,
        "where": {_in_json(name): value for name, value in fault.where.items()},
        "delay": next((_delay(one.delay) for one in fault.effects if isinstance(one, Late)), None),
        "warning": app.why_out_of_reach(fault),
    }


def _delay(delay: Delay) -> Any:
    return delay.written if isinstance(delay.written, (dict, str)) else delay.words


def _listing(faults: list[Fault], app: OutputApp) -> dict[str, Any]:
    return {"faults": [_described(fault, app) for fault in faults]}


def list_faults(request: ControlRequest) -> ControlResponse:
    """The faults that are still active."""
    return ControlResponse(200, _listing(list(request.entry.app.faults), request.entry.app))


def add(request: ControlRequest) -> ControlResponse:
    """Add a fault."""
    given = {PYTHON_NAMES[name]: value for name, value in request.body.items()}
    _room(request, 1)
    try:
        fault = Fault(**given)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    return ControlResponse(201, _described(_added(request, fault), request.entry.app))


def _added(request: ControlRequest, fault: Fault) -> Fault:
    """Add a fault. Messages name its own path as the place where it is written."""
    request.entry.app.faults.add(fault)
    fault.place = f"/__mock__/faults/{fault.id}"
    return fault


def _room(request: ControlRequest, more: int) -> None:
    if len(request.entry.app.faults) + more > MOST_FAULTS:
        raise Conflict(f"a world has at most {MOST_FAULTS} faults; remove some with DELETE /faults")


def clear(request: ControlRequest) -> ControlResponse:
    """Remove all faults."""
    request.entry.app.faults.clear()
    return ControlResponse(204, None)


def remove(request: ControlRequest) -> ControlResponse:
    """Remove one fault."""
    faults, wanted = request.entry.app.faults, request.path["id"]
    for fault in faults:
        if str(fault.id) == wanted:
            faults.remove(fault)
            return ControlResponse(204, None)
    raise NotFound(f"there is no active fault {wanted[:100]!r}; GET /__mock__/faults lists the active faults")


def presets(request: ControlRequest) -> ControlResponse:
    """List the presets."""
    return ControlResponse(
        200,
        {
            "presets": [
                {"name": name, "about": about, "faults": [repr(fault) for fault in make()]}
                for name, (about, make) in PRESETS.items()
            ]
        },
    )


def add_preset(request: ControlRequest) -> ControlResponse:
    """Add the faults of a preset."""
    name = request.path["name"]
    if name not in PRESETS:
        raise NotFound.named("preset", name, list(PRESETS), listed="presets")
    new = preset(name)
    _room(request, len(new))
    return ControlResponse(201, _listing([_added(request, fault) for fault in new], request.entry.app))


_LISTED = shape({"faults": many(ref("Fault"))})
OPERATIONS = [
    ControlOperation(
        "listFaults", "GET", "/faults", "List the faults that are still active.", list_faults, {200: _LISTED}
    ),
    ControlOperation(
        "addFault",
        "POST",
        "/faults",
        "Add a fault. If several faults match a call, the first is used; delays that apply always are added.",
        add,
        {201: ref("Fault")},
        errors=(409,),
        body=fields(FIELDS),
    ),
    ControlOperation("clearFaults", "DELETE", "/faults", "Remove all faults.", clear, {204: None}),
    ControlOperation(
        "removeFault",
        "DELETE",
        "/faults/{id}",
        "Remove one fault.",
        remove,
        {204: None},
        errors=(404,),
    ),
    ControlOperation(
        "listPresets",
        "GET",
        "/presets",
        "List the presets.",
        presets,
        {200: shape({"presets": many(ref("Preset"))})},
    ),
    ControlOperation(
        "addPreset",
        "POST",
        "/presets/{name}",
        "Add the faults of a preset.",
        add_preset,
        {201: _LISTED},
        errors=(404, 409),
    ),
]
