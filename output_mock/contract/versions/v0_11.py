"""What 0.11 brought. All of it is turned back for 0.10 and older.

Measured on 0.10.0 and 0.11.0, and on both pairs of them. Since 0.11.0 workers put into a run's memo what they
put into its result before: so newer servers understand older workers, and older servers no newer workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from output_mock.contract import events
from output_mock.contract.closed_runs import Closed
from output_mock.contract.failure_links import Proto, kind_of, proto_of
from output_mock.contract.payloads import payload, value_of
from output_mock.contract.reply import Reply
from output_mock.contract.run_start import SEND_HTTP_REQUEST
from output_mock.contract.versions.change import Change, Facts, ShownEvent, Trait
from output_mock.contract.versions.fatal_errors import NEVER_RETRIED, never_retried
from output_mock.javascript_json import UNDEFINED

# What workers leave behind


def _closed(closed: Closed, run: Facts) -> None:
    if not closed.versioned:
        # It was closed before its worker could say anything.
        return
    closed.versioned, closed.trace = False, None
    if closed.status == "completed":
        if closed.value is None and run.input is UNDEFINED:
            # What a script is given of an input that was not sent, it gives back.
            closed.value = UNDEFINED
        closed.value = _wrapped(closed.value, run)
    if closed.failure is not None:
        closed.proto = proto_of(closed.failure)
        if closed.status == "failed":
            closed.proto = _failure(closed.proto, run)


def _wrapped(output: Any, run: Facts) -> dict[str, Any]:
    """What a workflow function returned, in what the SDK returned."""
    wrapped = {"__output_workflow_wrapper_version": 1, "output": output, **_trace(run)}
    return {key: value for key, value in wrapped.items() if value is not UNDEFINED}


def _trace(run: Facts) -> dict[str, Any]:
    return {"trace": {"destinations": dict(run.destinations or {})}} if run.root else {}


def _failure(proto: Proto, run: Facts) -> Proto:
    """How a run fails. A root says where its trace is, unless it was cancelled."""
    plain = _without_details(proto)
    if not run.root or kind_of(list(_chain(proto))[-1]) == "CancelledFailure":
        return plain
    kind = kind_of(proto)
    details = {"details": {"payloads": [payload(_trace(run))]}}
    if kind == "ApplicationFailure":
        info = plain.pop("applicationFailureInfo")
        return {**plain, "cause": _bare(proto), "applicationFailureInfo": {**info, **details}}
    return {
        "message": proto.get("message", ""),
        "source": "TypeScriptSDK",
        "stackTrace": f"{kind}: {proto.get('message', '')}",
        "cause": plain,
        "applicationFailureInfo": {"type": kind, **details},
    }


def _chain(proto: Proto) -> Sequence[Proto]:
    chain = [proto]
    while "cause" in chain[-1]:
        chain.append(chain[-1]["cause"])
    return chain


def _without_details(proto: Proto) -> Proto:
    """A failure that is not marked as fatal and holds no copy of the error: what a step threw, or a run.

    What a step throws loses its causes on the way (run_fails_cause).
    """
    info = proto.get("applicationFailureInfo")
    if info is None:
        return {**proto, "cause": _without_details(proto["cause"])} if "cause" in proto else proto
    plain = {key: value for key, value in proto.items() if key != "cause"}
    # An error of the SDK's own is fatal by its name alone.
    kept = ("type",) if info.get("type") in NEVER_RETRIED else ("type", "nonRetryable")
    return {**plain, "applicationFailureInfo": {key: info[key] for key in kept if key in info}}


def _bare(proto: Proto) -> Proto:
    """The error itself, below the application failure that was made of it."""
    bare: Proto = {key: proto[key] for key in ("message", "source", "stackTrace") if key in proto}
    below = proto.get("cause")
    if "details" in proto.get("applicationFailureInfo", {}) and below is not None:
        # Below it is the same error once more.
        below = below.get("cause")
    return {**bare, "cause": _bare(below)} if below is not None else bare


# What histories show


def _event(shown: ShownEvent) -> None:
    turn = _EVENTS.get(shown.kind)
    if turn is not None:
        turn(shown.attributes, shown.run)
    if shown.nothing and "result" in shown.attributes:
        shown.attributes["result"][0].pop("output")


def _started(attributes: dict[str, Any], run: Facts) -> None:
    if "memo" in attributes and not run.root:
        attributes["memo"] = {"fields": _fields(attributes["memo"]["fields"], run, run.stack[:-1])}
        if "input" in attributes and run.input is UNDEFINED:
            del attributes["input"]
        elif "input" in attributes:
            attributes["input"] = attributes["input"][:1]


def _step_scheduled(attributes: dict[str, Any], run: Facts) -> None:
    attributes["header"] = {"fields": _fields(attributes["header"]["fields"], run, run.stack)}
    if attributes["activityType"]["name"] == SEND_HTTP_REQUEST:
        # Its list is the SDK's own (0.8/call_get).
        return
    policy = attributes["retryPolicy"]
    policy["nonRetryableErrorTypes"] = never_retried(policy["nonRetryableErrorTypes"])


def _step_started(attributes: dict[str, Any], _run: Facts) -> None:
    if "lastFailure" in attributes:
        attributes["lastFailure"] = _without_details(attributes["lastFailure"])


def _step_completed(attributes: dict[str, Any], _run: Facts) -> None:
    if "result" in attributes:
        (output,) = attributes["result"]
        attributes["result"] = [
            {"__output_activity_wrapper_version": 1, "output": output, "aggregations": None}
        ]


def _step_timed_out(attributes: dict[str, Any], _run: Facts) -> None:
    if "failure" in attributes:
        attributes["failure"] = _without_details(attributes["failure"])


def _completed(attributes: dict[str, Any], run: Facts) -> None:
    if "result" in attributes:
        attributes["result"] = [_wrapped(attributes["result"][0], run)]


def _failed(attributes: dict[str, Any], run: Facts) -> None:
    if "failure" in attributes:
        attributes["failure"] = _failure(attributes["failure"], run)


def _continued(attributes: dict[str, Any], run: Facts) -> None:
    if "memo" not in attributes:
        return
    if run.root:
        del attributes["memo"]
    else:
        attributes["memo"] = {"fields": _fields(attributes["memo"]["fields"], run, run.stack[:-1])}


def _child_initiated(attributes: dict[str, Any], run: Facts) -> None:
    invocation: Any = None
    if "input" in attributes:
        given, called = attributes["input"]["payloads"]
        invocation = value_of(called)
        if value_of(given) is UNDEFINED:
            del attributes["input"]
        else:
            attributes["input"] = {"payloads": [given]}
    fields = _fields(attributes["memo"]["fields"], run, run.stack)
    if isinstance(invocation, dict) and invocation.get("activityOptions"):
        options = value_of(fields["activityOptions"])
        fields["activityOptions"] = payload(_merged(options, invocation["activityOptions"]))
    attributes["memo"] = {"fields": fields}


def _child_completed(attributes: dict[str, Any], _run: Facts) -> None:
    if "result" in attributes:
        (result,) = attributes["result"]["payloads"]
        output = value_of(result)
        wrapped = {
            "__output_workflow_wrapper_version": 1,
            **({} if output is UNDEFINED else {"output": output}),
        }
        attributes["result"] = {"payloads": [payload(wrapped)]}


def _child_failed(attributes: dict[str, Any], _run: Facts) -> None:
    if "failure" in attributes:
        attributes["failure"] = _without_details(attributes["failure"])


_EVENTS = {
    events.WorkflowExecutionStarted: _started,
    events.ActivityTaskScheduled: _step_scheduled,
    events.ActivityTaskStarted: _step_started,
    events.ActivityTaskCompleted: _step_completed,
    events.ActivityTaskTimedOut: _step_timed_out,
    events.WorkflowExecutionCompleted: _completed,
    events.WorkflowExecutionFailed: _failed,
    events.WorkflowExecutionContinuedAsNew: _continued,
    events.StartChildWorkflowExecutionInitiated: _child_initiated,
    events.ChildWorkflowExecutionCompleted: _child_completed,
    events.ChildWorkflowExecutionFailed: _child_failed,
}


def _fields(fields: Mapping[str, Any], run: Facts, stack: Sequence[str]) -> dict[str, Any]:
    """The memo as it was: with a stack of workflow ids, and step options from the first moment on."""
    options = value_of(fields["activityOptions"]) if "activityOptions" in fields else run.options.text
    retry = {
        **options["retry"],
        "nonRetryableErrorTypes": never_retried(options["retry"]["nonRetryableErrorTypes"]),
    }
    older = {"stack": payload(list(stack)), "activityOptions": payload({**options, "retry": retry})}
    kept = {name: fields[name] for name in ("traceInfo", "workflowDetails") if name in fields}
    return {**older, **kept}


def _merged(options: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    retry = {**options.get("retry", {}), **over.get("retry", {})}
    return {**options, **over, "retry": retry}


# What traces show

_CONTINUED = "<<continued_as_new>>"


def _node(node: dict[str, Any], run: Facts) -> None:
    is_workflow = node["kind"] == "workflow"
    if isinstance(node.get("error"), dict):
        node["error"] = _shown_error(node["error"], is_workflow=is_workflow)
    elif is_workflow and node["endedAt"] is not None and node.get("output") != _CONTINUED:
        is_root = node["id"] == run.trace_info["runId"]
        places = _trace(run) if is_root else {}
        node["output"] = {"__output_workflow_wrapper_version": 1, **_output(node), **places}


def _output(node: Mapping[str, Any]) -> dict[str, Any]:
    return {"output": node["output"]} if "output" in node else {}


def _shown_error(error: Mapping[str, Any], *, is_workflow: bool) -> dict[str, Any]:
    """An error with nothing of its own. What a workflow throws loses its class on the way to the trace."""
    shown = {
        "name": "Error" if is_workflow else error.get("name", "Error"),
        "message": error.get("message", ""),
        "stack": error.get("stack", ""),
    }
    # Below what was made of a step's error there was nothing.
    below = None if "nonRetryable" in error else error.get("cause")
    if isinstance(below, dict):
        shown["cause"] = _shown_error(below, is_workflow=is_workflow)
    elif below is not None:
        shown["cause"] = below
    return shown


# What the server does


def _memo_not_read(closed: Closed, _run: Facts) -> None:
    closed.versioned = False


def _completed_or_failed(reply: Reply) -> None:
    if reply.status == 200:
        reply.body["status"] = "completed" if reply.body["error"] is None else "failed"


def _no_long_poll(query: dict[str, Any]) -> None:
    query.pop("longPollTimeoutMs", None)


def _no_request_id(shown: ShownEvent) -> None:
    if shown.kind is events.WorkflowExecutionSignaled:
        shown.attributes.pop("requestId", None)


# What the document says


def _no_versioned_results(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    if "LegacyWorkflowResult" not in schemas:
        return
    # No reference: generated clients have no class for what only stands for another schema.
    legacy = schemas["WorkflowResultResponse"] = schemas.pop("LegacyWorkflowResult")
    for name in ("WorkflowResult", "WorkflowError"):
        schemas.pop(name, None)
    legacy.pop("deprecated", None)
    # There is no other result to tell it from.
    legacy.pop("dependentSchemas", None)
    legacy["properties"].pop("v", None)
    legacy["description"] = "How a run ended. A workflow that failed is an answer like any other."
    # What is not there is left out: an output that is nothing, and a child's trace, or what the server loses.
    _optional(legacy, "output", "trace")


def _optional(schema: dict[str, Any], *names: str) -> None:
    schema["required"] = [name for name in schema["required"] if name not in names]


def _no_long_poll_documented(document: dict[str, Any]) -> None:
    for path in ("/workflow/{id}/history", "/workflow/{id}/runs/{rid}/history"):
        asked = document["paths"][path]["get"]
        asked["parameters"] = [one for one in asked["parameters"] if one.get("name") != "longPollTimeoutMs"]


def _no_request_id_documented(document: dict[str, Any]) -> None:
    signaled = document["components"]["schemas"]["WorkflowExecutionSignaledEventAttributes"]
    signaled["properties"].pop("requestId")
    _optional(signaled, "requestId")


CHANGES = (
    Change(
        id="results-in-the-memo",
        since="0.11.0",
        axis="api",
        says=(
            "Servers understand the results of workers since 0.11.0. Before, they lose those without a word: "
            "a completed run is a 200 with no `output` and no `trace`, and its trace log is a 404."
        ),
        routes=frozenset({"run", "result", "trace_log"}),
        before=frozenset({Trait.NESTED_TRACES_ONLY}),
        closed=_memo_not_read,
        document=_no_versioned_results,
    ),
    Change(
        id="ends-of-waited-runs",
        since="0.11.0",
        axis="api",
        says=(
            "The status that `POST /workflow/run` answers can be `cancelled`, `terminated` or `timed_out`; "
            "before, these were `failed`."
        ),
        routes=frozenset({"run"}),
        answer=_completed_or_failed,
    ),
    Change(
        id="long-polls",
        since="0.11.0",
        axis="api",
        says=(
            "`longPollTimeoutMs` lets a request for a history wait for the next event, and is validated; "
            "before, it was ignored."
        ),
        routes=frozenset({"history"}),
        query=_no_long_poll,
        document=_no_long_poll_documented,
    ),
    Change(
        id="signal-request-ids",
        since="0.11.0",
        axis="api",
        says="The event of a signal has a `requestId`.",
        event=_no_request_id,
        document=_no_request_id_documented,
    ),
    Change(
        id="plain-results",
        since="0.11.0",
        axis="sdk",
        says=(
            'Results have `v: "2"`, a flat `trace`, and `error` as an object in the place of a text and '
            "`errorDetails`. Runs that were cancelled, terminated, timed out or continued have a trace. "
            "Histories have two `WORKFLOW_PROPERTIES_MODIFIED` more, hold what steps and workflows returned "
            "as it is, and their steps have other headers."
        ),
        hides=frozenset({events.WorkflowPropertiesModified}),
        closed=_closed,
        event=_event,
        trace=_node,
        document=_no_versioned_results,
    ),
    Change(
        id="schemas-fill-in",
        since="0.11.0",
        axis="sdk",
        says=(
            "What a schema fills in or strips reaches workflows and steps, and what they return; before, a "
            "schema only checked."
        ),
        before=frozenset({Trait.SCHEMAS_ONLY_CHECK}),
    ),
    Change(
        id="childrens-options",
        since="0.11.0",
        axis="sdk",
        says="The step options of a child workflow lie over those of its parent; before, the parent's won.",
        before=frozenset({Trait.PARENTS_OPTIONS_WIN}),
    ),
    Change(
        id="fatal-whatever-is-listed",
        since="0.11.0",
        axis="sdk",
        says=(
            "A step that throws a `FatalError` is never tried again; before, it was if its "
            "`nonRetryableErrorTypes` were set and did not list that."
        ),
        before=frozenset({Trait.FATAL_BY_NAME}),
    ),
)
