"""Writes runs without their histories as JSON, and reads them again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from output_mock.contract import events
from output_mock.contract.history import History
from output_mock.contract.run_start import (
    TRACE_DESTINATIONS,
    StartInfo,
)
from output_mock.engine.attempts import Attempt
from output_mock.engine.pending import Kind
from output_mock.engine.records import (
    ChildState,
    Coming,
    DueWork,
    FamilyState,
    NextWork,
    Pause,
    RunRecord,
    StepState,
    Subject,
    UnderWay,
    UpdateState,
)
from output_mock.engine.run import Run
from output_mock.scripts.definition import ScheduledSignal, WorkflowDefinition
from output_mock.sdk.trace_nodes import TraceNode
from output_mock.state.checked import (
    Unreadable,
    below,
    fields,
    flag,
    items,
    length,
    many,
    mapping,
    maybe,
    one_of,
    row,
    text,
    time,
    time_json,
    whole,
)
from output_mock.state.database import MOST_RUNS
from output_mock.state.json_history import (
    Shared,
    SharedAgain,
    cause_or_none_json,
    read_events,
    read_run_id,
    scheduled_signal,
    scheduled_signal_json,
    start_info,
    start_info_json,
    texts_by_name,
)
from output_mock.state.json_values import (
    STATUSES,
    cause,
    failure,
    failure_json,
    json_object,
    script_error,
    script_error_json,
    value,
    value_json,
)

# Converts a workflow to its reference in a record, and back.
KeyOf = Callable[[WorkflowDefinition], int]
DefinitionOf = Callable[[Any, str], WorkflowDefinition]


# Attempts


def _node_json(node: TraceNode) -> list[Any]:
    return [
        node.kind,
        node.name,
        value_json(node.input),
        value_json(node.output),
        None if node.failure is None else failure_json(node.failure),
        {name: dict(one) for name, one in node.attributes.items()},
        None if node.takes is None else time_json(node.takes),
        node.request,
    ]


def _attributes(given: Any) -> dict[str, Any]:
    found = json_object(given)
    for name, one in found.items():
        with below(name):
            mapping(one)
    return found


def _node(given: Any) -> TraceNode:
    return TraceNode(*row(given, text, text, value, value, maybe(failure), _attributes, maybe(length), flag))


def _attempt_json(attempt: Attempt) -> list[Any]:
    return [
        attempt.activity_id,
        time_json(attempt.began),
        time_json(attempt.ended),
        cause_or_none_json(attempt.failure),
        value_json(attempt.result),
        [_node_json(node) for node in attempt.nodes],
    ]


def _attempt(given: Any) -> Attempt:
    return Attempt(*row(given, text, time, time, maybe(cause), value, many(_node)))


# Work in progress


def _subject_json(subject: Subject | None) -> Any:
    return None if subject is None else list(subject)


_subject_kind = one_of("step", "timer", "child", "loose")


def _subject(given: Any) -> Subject:
    return Subject(*row(given, _subject_kind, whole))


# The subject of each kind of work. Other kinds have none.
_ABOUT: Mapping[Kind, str] = {
    "first task after a pause": "loose",
    "signal arrives": "loose",
    "timer fires": "timer",
    "step is tried again": "step",
    "step ends": "step",
    "request is sent": "step",
    "request arrives": "step",
    "request takes too long": "step",
    "step takes too long": "step",
    "child starts": "child",
    "child is asked to stop": "child",
}
_kind_of_work = one_of(*get_args(Kind))


def next_work_json(work: NextWork) -> list[Any]:
    return [work.run_id, work.kind, _subject_json(work.subject)]


def next_work(given: Any) -> NextWork:
    found = NextWork(*row(given, text, _kind_of_work, maybe(_subject)))
    _check_work(found.kind, found.subject)
    return found


def _check_work(kind: Kind, subject: Subject | None) -> None:
    if _ABOUT.get(kind) != (None if subject is None else subject.kind):
        raise Unreadable(f"{kind!r} is not about that")


def _due_work(given: Any) -> DueWork:
    found = DueWork(*row(given, whole, time, flag, _kind_of_work, maybe(_subject)))
    _check_work(found.kind, found.subject)
    return found


def _step_json(step: StepState) -> list[Any]:
    return [
        step.scheduled,
        time_json(step.scheduled_at),
        time_json(step.started_at),
        step.attempt,
        cause_or_none_json(step.last_failure),
        time_json(step.due),
        int(step.cancel_requested),
    ]


def _step(given: Any) -> StepState:
    return StepState(*row(given, whole, time, time, _attempts, maybe(cause), time, whole))


def _attempts(given: Any) -> int:
    if not 1 <= whole(given) < 2**31:
        raise Unreadable("attempts are counted from 1")
    found: int = given
    return found


def _loose_json(thing: Pause | Coming) -> list[Any]:
    if isinstance(thing, Pause):
        return [time_json(thing.due)]
    scheduled = None if thing.scheduled is None else scheduled_signal_json(thing.scheduled)
    return [time_json(thing.due), thing.name, value_json(thing.payload), scheduled]


def _loose(given: Any) -> Pause | Coming:
    if len(items(given)) == 1:
        return Pause(time(given[0]))
    due, name, payload, scheduled = row(given, time, text, value, maybe(scheduled_signal))
    return Coming(name, payload, due, scheduled)


def _job_json(job: UpdateState | int) -> Any:
    if isinstance(job, int):
        return job
    return [job.update_id, job.name, value_json(job.payload), job.admitted]


def _job(given: Any) -> UpdateState | int:
    if type(given) is int:
        return whole(given)
    return UpdateState(*row(given, text, text, value, whole))


def _under_way_json(under_way: UnderWay) -> dict[str, Any]:
    return {
        "begun": under_way.begun,
        "steps": [_step_json(step) for step in under_way.steps],
        "timers": [[started, time_json(due)] for started, due in under_way.timers],
        "loose": [_loose_json(thing) for thing in under_way.loose],
        "children": [list(child) for child in under_way.children],
        "work": [_subject_json(subject) for subject in under_way.work],
        "jobs": [_job_json(job) for job in under_way.jobs],
        "calls": [
            [call.number, time_json(call.when), call.is_timeout, call.kind, _subject_json(call.subject)]
            for call in under_way.calls
        ],
    }


_UNDER_WAY: Mapping[str, Callable[[Any], Any]] = {
    "begun": flag,
    "steps": many(_step),
    "timers": many(lambda given: tuple(row(given, whole, time))),
    "loose": many(_loose),
    "children": many(lambda given: ChildState(*row(given, whole, whole))),
    "work": many(_subject),
    "jobs": many(_job),
    "calls": many(_due_work),
}


def _under_way(given: Any) -> UnderWay:
    return UnderWay(**fields(given, _UNDER_WAY))


# Runs


def _unsent_json(unsent: Sequence[tuple[ScheduledSignal, int]]) -> list[Any]:
    return [[scheduled_signal_json(signal), time_json(max(0, left))] for signal, left in unsent]


def run_json(record: RunRecord, key_of: KeyOf) -> dict[str, Any]:
    """A run without its history, which `events_json` writes."""
    values, shared = record.values, Shared()
    info: StartInfo = values["info"]
    found: dict[str, Any] = {
        "number": record.number,
        "ended": record.ended,
        "workflow": key_of(record.definition),
        "catalog": record.catalog,
        "info": start_info_json(info, shared),
        "runId": values["run_id"],
        "start": time_json(values["start_time"]),
    }
    for name, (key, write, _) in _VALUES.items():
        if name in values and values[name] != getattr(Run, name):
            found[key] = write(values[name])
    if values.get("memo") is not None:
        found["memo"] = shared.memo(values["memo"])
    if values.get("details") is not None:
        found["details"] = shared.detail(values["details"])
    if record.attempts:
        found["attempts"] = [_attempt_json(attempt) for attempt in record.attempts]
    if record.family is not None:
        family = record.family
        found["family"] = [*family[:4], time_json(family.burst_began)]
    if record.parent is not None:
        found["parent"] = list(record.parent)
    if record.stays_for is not None:
        found["staysFor"] = record.stays_for
    if record.under_way is not None:
        found["underWay"] = _under_way_json(record.under_way)
    found["shared"] = shared.as_json()
    return found


def same(given: Any) -> Any:
    return given


# Attributes of runs: their names in a file, and how to write and read them.
_VALUES: Mapping[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "status": ("status", same, one_of(*STATUSES)),
    "close_time": ("closed", time_json, time),
    "began": ("began", same, flag),
    "result": ("result", value_json, value),
    "failure": ("failure", cause_or_none_json, maybe(cause)),
    "script_error": (
        "scriptError",
        lambda error: None if error is None else script_error_json(error),
        maybe(script_error),
    ),
    "next_run_id": ("nextRunId", same, maybe(read_run_id)),
    "evaluators": ("evaluators", sorted, lambda given: frozenset(many(text)(given))),
    "uploaded": ("uploaded", same, flag),
    "trace_tree": ("trace", same, maybe(json_object)),
    "task_scheduled": ("taskScheduled", same, whole),
    "speculative": ("speculative", same, flag),
    "cancel_requested": ("cancelRequested", same, flag),
    "deadline": ("deadline", time_json, time),
    "sent": ("sent", lambda sent: [scheduled_signal_json(signal) for signal in sent], many(scheduled_signal)),
    "unsent": ("unsent", _unsent_json, many(lambda given: tuple(row(given, scheduled_signal, length)))),
    "depth": ("depth", same, whole),
    "answers": ("answers", same, flag),
}


def run_number(given: Any) -> int:
    if whole(given) >= MOST_RUNS:
        raise Unreadable(f"{given} is too large for the number of a run")
    number: int = given
    return number


_RUN: Mapping[str, Callable[[Any], Any]] = {
    "number": run_number,
    "ended": run_number,
    "workflow": same,
    "catalog": text,
    "info": start_info,
    "runId": read_run_id,
    "start": time,
    **{key: read for key, _, read in _VALUES.values()},
    "memo": whole,
    "details": whole,
    "attempts": many(_attempt),
    "family": lambda given: FamilyState(*row(given, text, text, text, whole, time)),
    "parent": lambda given: tuple(row(given, text, whole)),
    "staysFor": text,
    "underWay": _under_way,
    "shared": mapping,
}


def run(given: Any, definition_of: DefinitionOf) -> RunRecord:
    """Read what `run_json` has written. The history is still empty."""
    read = fields(given, _RUN, optional=True)
    try:
        number, ended, catalog = read["number"], read["ended"], read["catalog"]
        (info, memo), run_id, start = read["info"], read["runId"], read["start"]
        workflow, given_shared = read["workflow"], read["shared"]
    except KeyError as missing:
        raise Unreadable(f"the field {missing} is missing") from None
    status = read.get("status", "running")
    if (status == "running") != (not ended):
        raise Unreadable(f"its status is {status}, and as the number of its end it has {ended}")
    shared = SharedAgain(given_shared, info)
    values: dict[str, Any] = {"info": info, "run_id": run_id, "start_time": start}
    if status != "running":
        values["running"] = False
    if status == "continued_as_new" and read.get("nextRunId") is None:
        raise Unreadable("it goes on in another run, and nothing says in which")
    for name, (key, _, _) in _VALUES.items():
        if key in read:
            values[name] = read[key]
    if memo is not None:
        info.memo = shared.memo(memo)
    if "memo" in read:
        values["memo"] = shared.memo(read["memo"])
    if "details" in read:
        values["details"] = shared.detail(read["details"])
    with below("workflow"):
        definition = definition_of(workflow, catalog)
    under_way = read.get("underWay")
    family = read.get("family")
    if status == "running" and (under_way is None or family is None):
        raise Unreadable("it is running, and nothing says what is under way for it")
    return RunRecord(
        number,
        ended,
        definition,
        catalog,
        values,
        History(),
        0,
        0,
        read.get("attempts", ()),
        family if status == "running" else None,
        read.get("parent"),
        read.get("staysFor"),
        under_way,
    )


def with_history(record: RunRecord, chunks: Sequence[Any]) -> RunRecord:
    """The run with the history from these chunks of events."""
    for number, chunk in enumerate(chunks):
        with below(number):
            read_events(chunk, record.values["info"], record.history)
    written = record.history.events
    if not written or not isinstance(written[0], events.WorkflowExecutionStarted):
        raise Unreadable("a history begins with the event 1, that the run has started")
    destinations = set()
    for number, event in enumerate(written, 1):
        if isinstance(event, events.ActivityTaskScheduled) and event.activity_type == TRACE_DESTINATIONS:
            destinations.add(number)
        elif isinstance(event, events.ActivityTaskCompleted) and event.scheduled in destinations:
            # The run's memo depends on it.
            with below(f"event {number}, where its trace goes"):
                texts_by_name(event.result)
    return record._replace(length=len(written), batches=len(record.history.batches))
