"""What goes wrong with the calls of a world: faults, and presets of some."""

from __future__ import annotations

from typing import Any, get_args

from output_mock.contract.operations import NAMES
from output_mock.contract.schemas import JsonSchema, flag, many, number, or_null, ref, shape, text
from output_mock.control.names import LONGEST_ID
from output_mock.control.operation import (
    ANYTHING,
    DURATION,
    ControlOperation,
    ControlRequest,
    ControlResponse,
    fields,
)
from output_mock.control.problems import Conflict, InvalidRequest, NotFound
from output_mock.http.faults import Fault
from output_mock.http.presets import PRESETS, preset
from output_mock.http.trace_log import Trouble

# How many faults a world may have.
MOST_FAULTS = 500
_NAMES = {
    "retryAfter": "retry_after",
    "tokenLasts": "token_lasts",
    "cutAfter": "cut_after",
    "workerAway": "worker_away",
    "workflowId": "workflow_id",
}
_DELAY: JsonSchema = {
    "description": "A duration, or one by chance: evenly between two, or lognormal around a median.",
    "anyOf": [
        *DURATION["anyOf"],
        fields({"uniform": many(DURATION, minItems=2, maxItems=2)}, "uniform"),
        fields(
            {
                "lognormal": fields(
                    {"median": DURATION, "sigma": {"type": "number", "minimum": 0, "maximum": 10}}, "median"
                )
            },
            "lognormal",
        ),
    ],
}
_GIVEN: JsonSchema = {
    "times": {
        "description": "How many calls it strikes. Default: 1, and always for chance and limits.",
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 1_000_000}, {"const": "always"}],
    },
    "probability": {
        "description": "With which probability it strikes a call that fits.",
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
    },
    "after": number("How many calls that fit are left alone first.", minimum=0, maximum=1_000_000),
    "status": number("The status to answer with, in place of what was asked for.", minimum=200, maximum=599),
    "body": {"description": "The body of that answer: any JSON, or text."},
    "headers": {
        "description": "Headers of that answer.",
        "type": "object",
        "maxProperties": 50,
        "additionalProperties": text(maxLength=4000),
    },
    "retryAfter": number("Retry-After of that answer, in seconds.", minimum=0, maximum=86_400),
    "limit": number(
        "How many calls `per` duration are done; those beyond get a 429.", minimum=0, maximum=10**6
    ),
    "per": DURATION,
    "tokenLasts": {
        **DURATION,
        "description": "How long a token is good, from its first use; then it gets a 401.",
    },
    "delay": _DELAY,
    "wall": flag("Whether the delay is on the wall, and not on the world's clock."),
    "drop": text(
        "What is lost as the connection is dropped: the request, the answer, or half of its body.",
        enum=["request", "answer", "body"],
    ),
    "reset": flag("Whether it is dropped by a TCP reset."),
    "malformed": flag("Whether the body of the answer is no JSON."),
    "dribble": {**DURATION, "description": "How long, on the wall, the body takes, in small pieces."},
    "cutAfter": number("After how many events a history stream is cut.", minimum=0, maximum=10**6),
    "workerAway": {**DURATION, "description": "How long the worker of the default catalog goes away."},
    "s3": text("The trouble that a trace log has with S3.", enum=list(get_args(Trouble))),
    "method": text("Only calls of this method.", maxLength=20),
    "route": text("Only calls of this operation.", enum=list(NAMES)),
    "workflow": text("Only calls about this workflow.", maxLength=LONGEST_ID),
    "workflowId": text("Only calls about this workflow id.", maxLength=LONGEST_ID),
}
SCHEMAS = {
    "Fault": shape(
        {
            "id": number("What it is removed by."),
            "what": text("What it does, in words."),
            "times": {"anyOf": [{"type": "integer"}, {"const": "always"}]},
            "left": or_null(number("How many calls it still waits for; null for always.")),
            "struck": number("How many calls it has struck."),
            "probability": {"type": "number"},
            "where": {"type": "object", "additionalProperties": text()},
            "delay": or_null(ANYTHING),
        },
        about="A fault that is still to strike.",
    ),
    "Preset": shape(
        {"name": text(), "about": text(), "faults": many(text())}, about="Faults that come together."
    ),
}


def _described(fault: Fault) -> dict[str, Any]:
    written = fault.delay.written
    return {
        "id": fault.id,
        "what": str(fault),
        "times": fault.times,
        "left": None if fault.times == "always" else int(fault.left),
        "struck": fault.struck,
        "probability": fault.probability,
        "where": {
            "workflowId" if name == "workflow_id" else name: value for name, value in fault.where.items()
        },
        "delay": (written if isinstance(written, (dict, str)) else fault.delay.words)
        if fault.delay
        else None,
    }


def _listing(faults: list[Fault]) -> dict[str, Any]:
    return {"faults": [_described(fault) for fault in faults]}


def list_faults(asked: ControlRequest) -> ControlResponse:
    """The faults that are still to strike."""
    return ControlResponse(200, _listing(list(asked.held.app.faults)))


def add(asked: ControlRequest) -> ControlResponse:
    """One more."""
    given = {_NAMES.get(name, name): value for name, value in asked.body.items()}
    _room(asked, 1)
    try:
        fault = Fault(**given)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    return ControlResponse(201, _described(asked.held.app.faults.add(fault)))


def _room(asked: ControlRequest, more: int) -> None:
    if len(asked.held.app.faults) + more > MOST_FAULTS:
        raise Conflict(f"a world has at most {MOST_FAULTS} faults; remove some with DELETE /faults")


def clear(asked: ControlRequest) -> ControlResponse:
    """None any more."""
    asked.held.app.faults.clear()
    return ControlResponse(204, None)


def remove(asked: ControlRequest) -> ControlResponse:
    """One less."""
    faults, wanted = asked.held.app.faults, asked.path["id"]
    for fault in faults:
        if str(fault.id) == wanted:
            faults.remove(fault)
            return ControlResponse(204, None)
    raise NotFound(
        f"there is no fault {wanted[:100]!r} that is still to strike; GET /__mock__/faults lists them"
    )


def presets(asked: ControlRequest) -> ControlResponse:
    """All presets."""
    return ControlResponse(
        200,
        {
            "presets": [
                {"name": name, "about": about, "faults": [repr(fault) for fault in make()]}
                for name, (about, make) in PRESETS.items()
            ]
        },
    )


def add_preset(asked: ControlRequest) -> ControlResponse:
    """The faults of a preset besides what there is."""
    name = asked.path["name"]
    if name not in PRESETS:
        raise NotFound.named("preset", name, list(PRESETS), listed="presets")
    new = preset(name)
    _room(asked, len(new))
    return ControlResponse(201, _listing([asked.held.app.faults.add(fault) for fault in new]))


_LISTED = shape({"faults": many(ref("Fault"))})
OPERATIONS = [
    ControlOperation(
        "listFaults", "GET", "/faults", "The faults that are still to strike.", list_faults, {200: _LISTED}
    ),
    ControlOperation(
        "addFault",
        "POST",
        "/faults",
        "Let something go wrong with some of the calls. Of the faults that fit a call the first strikes; "
        "delays that always do come on top.",
        add,
        {201: ref("Fault")},
        errors=(409,),
        body=fields(_GIVEN),
    ),
    ControlOperation(
        "clearFaults", "DELETE", "/faults", "Let nothing go wrong any more.", clear, {204: None}
    ),
    ControlOperation(
        "removeFault",
        "DELETE",
        "/faults/{id}",
        "Let a fault strike no more.",
        remove,
        {204: None},
        errors=(404,),
    ),
    ControlOperation(
        "listPresets",
        "GET",
        "/presets",
        "Faults that come together.",
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
