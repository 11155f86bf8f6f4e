"""Expected calls of a world, and the report for a failed test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import click

from output_mock.contract.operations import NAMES
from output_mock.contract.schemas import fields, flag, many, number, ref, shape, text
from output_mock.control.calls import CALLS, listed
from output_mock.control.names import LONGEST_ID
from output_mock.control.operation import ControlOperation, ControlRequest, ControlResponse
from output_mock.control.problems import AssertionFailed, InvalidRequest
from output_mock.expected import (
    ANY,
    Expected,
    called,
    check_called,
    check_only,
    check_order,
    containing,
    queried,
    reset,
    signalled,
    started,
    stopped,
    terminated,
    updated,
)
from output_mock.http.journal import Calls
from output_mock.masking import masked_text
from output_mock.report import sections

if TYPE_CHECKING:
    from output_mock.mock import OutputMock

# The functions that make expected calls from a request.
_MAKERS: dict[str, Callable[..., Expected]] = {
    maker.__name__: maker
    for maker in (started, signalled, updated, queried, stopped, terminated, reset, called)
}
# The JSON names of parameters that have another name in Python.
_IN_JSON = {"workflow_id": "workflowId"}
# How many of the last runs have their timeline in a report, and its width in characters.
_MOST_TIMELINES = 10
_WIDTH = 100


def check(request: ControlRequest) -> ControlResponse:
    """The calls that were expected."""
    body = request.body
    wanted = [_expected(one, f"the body, expected/{index}") for index, one in enumerate(body["expected"])]
    times, in_order, only = body.get("times"), body.get("inOrder", False), body.get("only", False)
    if times is not None and (in_order or only):
        raise InvalidRequest(
            "the body: 'times' cannot be combined with 'inOrder' or 'only'; send two requests"
        )
    calls = Calls(request.entry.app.calls)
    try:
        if in_order:
            check_order(calls, wanted)
        if only:
            check_only(calls, wanted)
        if not in_order and not only:
            for one in wanted:
                check_called(calls, one, times)
    except AssertionError as error:
        raise AssertionFailed(str(error)) from None
    found = Calls(call for call in calls if any(not one.differences(call) for one in wanted))
    return ControlResponse(200, listed(found, 100))


def _expected(given: Mapping[str, Any], where: str) -> Expected:
    kind, partly = given["call"], given.get("partly", False)
    maker = _MAKERS[kind]
    parameters = inspect.signature(maker).parameters
    known = {_IN_JSON.get(name, name): name for name in parameters}
    arguments = {}
    for name, value in given.items():
        if name in ("call", "partly"):
            continue
        if name not in known:
            raise InvalidRequest(f"{where}: {kind!r} has no {name!r}; it has {', '.join(known)}")
        arguments[known[name]] = containing(value) if partly else value
    for name, parameter in parameters.items():
        if parameter.default is parameter.empty and name not in arguments:
            if name == "route":
                raise InvalidRequest(f"{where}: 'called' needs a 'route'")
            arguments[name] = ANY
    return maker(**arguments)


def report(request: ControlRequest) -> ControlResponse:
    """The report."""
    mock = request.entry.mock
    shown = [(title.removeprefix("output_mock: "), told) for title, told in sections(mock, _is_own)]
    shown += [(f"timeline of {name}", told) for name, told in _timelines(mock)]
    return ControlResponse(200, {"sections": [{"title": title, "text": told} for title, told in shown]})


def _is_own(place: str) -> bool:
    """Whether something was scripted by a request, not in a file of the server."""
    return ", line " not in place or place.startswith("the body, ")


def _timelines(mock: OutputMock) -> Iterator[tuple[str, str]]:
    from output_mock.traces.drawing import drawn

    for run in list(mock.runs.values())[-_MOST_TIMELINES:]:
        tree = run.trace
        if tree is not None:
            lines = (click.unstyle(line) for line in drawn(tree, width=_WIDTH))
            yield run.workflow_id, masked_text("\n".join(lines))


_EXPECTED = fields(
    {
        "call": text("What kind of call it is.", enum=list(_MAKERS)),
        "workflow": text("The name of the workflow.", maxLength=LONGEST_ID),
        "workflowId": text("The workflow id.", maxLength=LONGEST_ID),
        "catalog": text("The catalog that the call named.", maxLength=LONGEST_ID),
        "input": {"description": "The input of the run."},
        "name": text("The name of the signal, query or update.", maxLength=LONGEST_ID),
        "payload": {"description": "The payload of the signal, query or update."},
        "reason": text("The reason of a termination."),
        "step": text("The step of a reset.", maxLength=LONGEST_ID),
        "route": text("An operation of the API, for `called`.", enum=list(NAMES)),
        "status": number("The status of the answer, for `called`.", minimum=0, maximum=599),
        "partly": flag("Whether objects may have other keys besides. Default: false, the keys are all."),
    },
    "call",
    about="A call that is expected. What is left out may be anything. All but `called` must have succeeded.",
)
SCHEMAS = {
    "ExpectedCall": _EXPECTED,
    "ReportSection": shape({"title": text(), "text": text()}, about="A part of a report, for people."),
}
OPERATIONS = [
    ControlOperation(
        "assertCalls",
        "POST",
        "/calls/assert",
        "Check that these calls were made. 422 if not, with the closest call and how it differs.",
        check,
        {200: CALLS},
        errors=(422,),
        body=fields(
            {
                "expected": many(_EXPECTED, minItems=1, maxItems=100),
                "times": number(
                    "How often each of them was made; default is at least once.", minimum=0, maximum=100_000
                ),
                "inOrder": flag("Whether they were made in this order; others may be between them."),
                "only": flag("Whether there was no other call that changes anything."),
            },
            "expected",
        ),
    ),
    ControlOperation(
        "getReport",
        "GET",
        "/report",
        "What a failed test shows: calls, where each run stands, what was never used, and timelines.",
        report,
        {200: shape({"sections": many(ref("ReportSection"))})},
    ),
]
