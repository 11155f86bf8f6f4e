"""The requests that workflows of a world have sent, how they are answered, and what goes wrong with them."""

from __future__ import annotations

from typing import Any

from output_mock.callbacks.faults import WAYS
from output_mock.callbacks.journal import Callback, CallbackList
from output_mock.callbacks.request import normal, without_secrets
from output_mock.callbacks.scripted import TROUBLES, ScriptedAnswer
from output_mock.callbacks.sending import Callbacks
from output_mock.contract.iso_time import iso
from output_mock.contract.schemas import (
    DURATION,
    JsonSchema,
    fields,
    flag,
    many,
    number,
    or_null,
    ref,
    shape,
    text,
)
from output_mock.control.calls import limit, wait_length
from output_mock.control.names import LONGEST_ID
from output_mock.control.operation import (
    ANYTHING,
    TIME,
    ControlOperation,
    ControlRequest,
    ControlResponse,
)
from output_mock.control.problems import Conflict, InvalidRequest, WaitedInVain
from output_mock.durations import SECOND, format_duration
from output_mock.masking import masked, masked_header, masked_text
from output_mock.sdk.http_requests import METHODS

# How many scripted answers and faults a world may have.
_MOST = 500
_URL = text("The URL. `*` at its end stands for any rest.", minLength=1, maxLength=8000)
SCHEMAS = {
    "Callback": shape(
        {
            "number": number("Its number, from 1."),
            "time": TIME,
            "workflowId": text(),
            "runId": text(),
            "attempt": number("The number of the step's attempt, from 1."),
            "method": text(),
            "url": text(),
            "headers": {"type": "object", "additionalProperties": text()},
            "body": ANYTHING,
            "status": number("The status of the answer; 0 when there was none."),
            "problem": or_null(text("Why there was no answer, or what the application raised.")),
            "unmatched": or_null(text("Why it was not sent, and the nearest known URL.")),
            "underWay": flag("Whether it is not answered yet."),
        },
        about="A request that a workflow has sent. `body` is JSON, or text. Secrets are `[redacted]`.",
    ),
    "CallbackAnswer": shape(
        {
            "url": text(),
            "method": or_null(text()),
            "status": number(),
            "left": or_null(number("How many more requests it answers; null for all.")),
            "answered": number("How many requests it has answered."),
            "fails": or_null(text("Why there is no answer.")),
        },
        about="An answer to requests that workflows send.",
    ),
}


def _described(made: Callback) -> dict[str, Any]:
    try:
        body: Any = masked(made.json)
    except ValueError:
        body = masked_text(made.body.decode("utf-8", "replace"))
    return {
        "number": made.number,
        "time": iso(made.time),
        "workflowId": made.workflow_id,
        "runId": made.run_id,
        "attempt": made.attempt,
        "method": made.method,
        "url": masked_text(made.url),
        "headers": {
            name: masked_header(name, without_secrets(value, made.hidden)) for name, value in made.headers
        },
        "body": body,
        "status": made.status,
        "problem": made.problem,
        "unmatched": made.unmatched_reason,
        "underWay": made.under_way,
    }


def _callbacks(request: ControlRequest) -> Callbacks:
    return request.entry.app.world.callbacks


def _fitting(request: ControlRequest) -> CallbackList:
    query = request.query
    callbacks = _callbacks(request)
    try:
        normal(query.get("url", "http://any"))
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    found = callbacks(
        query.get("url"),
        method=query.get("method"),
        workflow_id=query.get("workflowId"),
        status=query.get("status"),
    )
    missed = query.get("missed")
    if missed is None:
        return found
    return CallbackList([one for one in found if missed == (one.unmatched_reason is not None)])


def _listed(request: ControlRequest) -> ControlResponse:
    found = _fitting(request)
    shown = found[-limit(request) :]
    return ControlResponse(200, {"callbacks": [_described(one) for one in shown], "count": len(found)})


def list_callbacks(request: ControlRequest) -> ControlResponse:
    """The requests that match."""
    return _listed(request)


def wait(request: ControlRequest) -> ControlResponse:
    """Wait until there are enough requests that match."""
    wanted = request.query.get("count", 1)
    length = wait_length(request)
    callbacks = _callbacks(request)
    if not callbacks.wait(lambda: len(_fitting(request)) >= wanted, length / SECOND):
        raise WaitedInVain(
            f"there were {len(_fitting(request))} such requests within {format_duration(length)}, not "
            f"{wanted}; the last ones:\n{callbacks.sent[-10:]!r}"
        )
    return _listed(request)


def clear(request: ControlRequest) -> ControlResponse:
    """Forget all requests."""
    _callbacks(request).clear()
    return ControlResponse(204, None)


# Answers


def _answer(answer: ScriptedAnswer) -> dict[str, Any]:
    return {
        "url": answer.url,
        "method": answer.method,
        "status": answer.status,
        "left": answer.left,
        "answered": answer.answered,
        "fails": answer.fails,
    }


def list_answers(request: ControlRequest) -> ControlResponse:
    """The answers that are scripted."""
    return ControlResponse(200, {"answers": [_answer(one) for one in _callbacks(request).scripted]})


def respond(request: ControlRequest) -> ControlResponse:
    """Script an answer."""
    callbacks = _callbacks(request)
    if len(callbacks.scripted) >= _MOST:
        raise Conflict(
            f"a world has at most {_MOST} answers to callbacks; remove them with DELETE /callbacks/answers"
        )
    try:
        answer = ScriptedAnswer(**request.body, place="/__mock__/callbacks/answers")
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    callbacks.add(answer)
    return ControlResponse(201, _answer(answer))


def clear_answers(request: ControlRequest) -> ControlResponse:
    """Forget all answers."""
    callbacks = _callbacks(request)
    for answer in callbacks.scripted:
        callbacks.remove(answer)
    return ControlResponse(204, None)


# Faults


def add_fault(request: ControlRequest) -> ControlResponse:
    """Let something go wrong with the next requests."""
    callbacks, body = _callbacks(request), request.body
    kinds = [name for name in ("drop", "delay", "duplicate", "reorder") if name in body]
    if len(kinds) != 1:
        raise InvalidRequest(
            "a fault of callbacks needs exactly one of 'drop', 'delay', 'duplicate' and 'reorder'"
        )
    if "late" in body and kinds != ["delay"]:
        raise InvalidRequest("'late' needs a 'delay'")
    if callbacks.fault_count >= _MOST:
        raise Conflict(f"a world has at most {_MOST} faults of callbacks; remove them with DELETE")
    about: dict[str, Any] = {"times": None if body.get("times") == "always" else body.get("times", 1)}
    about["url"] = body.get("url")
    try:
        if kinds == ["drop"]:
            callbacks.drop_next(lose=body["drop"], **about)
        elif kinds == ["delay"]:
            callbacks.delay_next(body["delay"], late=body.get("late", "request"), **about)
        elif kinds == ["duplicate"]:
            callbacks.duplicate_next(**about)
        else:
            callbacks.reorder_next(**about)
    except ValueError as error:
        raise InvalidRequest(str(error)) from None
    return ControlResponse(204, None)


def clear_faults(request: ControlRequest) -> ControlResponse:
    """Remove all faults."""
    _callbacks(request).clear_faults()
    return ControlResponse(204, None)


_FILTERS: dict[str, JsonSchema] = {
    "url": _URL,
    "method": text(maxLength=20),
    "workflowId": text("The workflow id.", maxLength=LONGEST_ID),
    "status": number("The status of the answer.", minimum=0, maximum=599),
    "missed": flag("Only requests that went nowhere, or (`false`) only the others."),
    "limit": number("How many requests at most, the last ones.", minimum=1, maximum=1000, default=100),
}
_FOUND = shape(
    {"callbacks": many(ref("Callback")), "count": number("How many match, including those beyond the limit.")}
)
_ANSWER = fields(
    {
        "url": _URL,
        "method": text("Only requests with this method.", enum=list(METHODS)),
        "status": number("The status. Default: 200.", minimum=200, maximum=599),
        "json": ANYTHING,
        "body": text("The body as text."),
        "headers": {"type": "object", "additionalProperties": text()},
        "times": number("How many requests it answers. Default: all.", minimum=1, maximum=1_000_000),
        "after": {**DURATION, "description": "How long the answer takes. Workflows wait 30 s."},
        "fails": text("Why there is no answer.", enum=list(TROUBLES)),
    },
    "url",
)
_FAULT = fields(
    {
        "drop": text("What is lost.", enum=list(WAYS)),
        "delay": {**DURATION, "description": "How late the request or its answer comes."},
        "late": text("What is late. Default: request.", enum=list(WAYS)),
        "duplicate": {"description": "Whether it comes twice.", "const": True},
        "reorder": {"description": "Whether it comes after the next one.", "const": True},
        "url": _URL,
        "times": {
            "description": "How many requests it affects. Default: 1.",
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": 1_000_000}, {"const": "always"}],
        },
    }
)
OPERATIONS = [
    ControlOperation(
        "listCallbacks",
        "GET",
        "/callbacks",
        "List the requests that workflows have sent, oldest first.",
        list_callbacks,
        {200: _FOUND},
        query=_FILTERS,
    ),
    ControlOperation("clearCallbacks", "DELETE", "/callbacks", "Delete these requests.", clear, {204: None}),
    ControlOperation(
        "waitForCallbacks",
        "GET",
        "/callbacks/wait",
        "Wait, in real time, until this many requests match. 408 if there are not enough in time.",
        wait,
        {200: _FOUND},
        errors=(408,),
        query={
            **_FILTERS,
            "count": number("How many requests to wait for.", minimum=0, maximum=1000, default=1),
            "timeout": {**DURATION, "description": "How long to wait; a minute at most."},
        },
    ),
    ControlOperation(
        "listCallbackAnswers",
        "GET",
        "/callbacks/answers",
        "List the answers to requests of workflows.",
        list_answers,
        {200: shape({"answers": many(ref("CallbackAnswer"))})},
    ),
    ControlOperation(
        "addCallbackAnswer",
        "POST",
        "/callbacks/answers",
        "Answer requests that workflows send. Answers with `times` come first, in the order in which they "
        "were added; then the last one without.",
        respond,
        {201: ref("CallbackAnswer")},
        errors=(409,),
        body=_ANSWER,
    ),
    ControlOperation(
        "clearCallbackAnswers",
        "DELETE",
        "/callbacks/answers",
        "Remove all answers to requests of workflows.",
        clear_answers,
        {204: None},
    ),
    ControlOperation(
        "addCallbackFault",
        "POST",
        "/callbacks/faults",
        "Let something go wrong with the next requests of workflows: one of `drop`, `delay`, `duplicate` and "
        "`reorder`.",
        add_fault,
        {204: None},
        errors=(409,),
        body=_FAULT,
    ),
    ControlOperation(
        "clearCallbackFaults",
        "DELETE",
        "/callbacks/faults",
        "Remove all faults of requests of workflows.",
        clear_faults,
        {204: None},
    ),
]
