"""Records of worlds and runs as JSON, and the JSON as records again.

JSON is read as if somebody hostile had written it: a field that is not what it should be raises `Unreadable`,
which says where. Times are nanoseconds; a value that may be undefined is a list of one or of none.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import re
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, get_args, get_type_hints

from output_mock.contract import events
from output_mock.contract.events import Event
from output_mock.contract.failures import ApplicationFailure, Cause
from output_mock.contract.history import History
from output_mock.contract.run_start import (
    TRACE_DESTINATIONS,
    ActivityOptions,
    Memo,
    ParentInfo,
    StartInfo,
    WorkflowDetails,
)
from output_mock.engine.attempts import Attempt
from output_mock.engine.clock import LATEST
from output_mock.engine.pending import Kind
from output_mock.engine.records import (
    CatalogRecord,
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
    WorldRecord,
)
from output_mock.engine.run import Run
from output_mock.javascript_json import UNDEFINED, as_json
from output_mock.scripts.definition import ScheduledSignal, WorkflowDefinition
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import Application, ChildFailure, Failure, StepFailure
from output_mock.sdk.options import plain_options, resolved_options
from output_mock.sdk.trace_nodes import TraceNode
from output_mock.state.checked import (
    Unreadable,
    base_64,
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

# Makes of a workflow what a record refers to it by, and the other way round.
KeyOf = Callable[[WorkflowDefinition], int]
DefinitionOf = Callable[[Any, str], WorkflowDefinition]
_STATUSES = (*("running", "completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new"),)

# How many of the mistakes in a world's scripts are written, the last ones.
_ERRORS = 100

# Values


def value_json(value: Any) -> list[Any]:
    """A value that may be undefined."""
    return [] if value is UNDEFINED else [value]


def value(given: Any) -> Any:
    """See `value_json`."""
    if type(given) is not list or len(given) > 1:
        raise Unreadable("a value is a list of one, or of none where it is undefined")
    return as_json(given[0]) if given else UNDEFINED


def _json_object(given: Any) -> dict[str, Any]:
    found: dict[str, Any] = as_json(mapping(given))
    return found


def random_json(state: Any) -> list[Any]:
    """The state of a source of chance."""
    _, numbers, gauss = state
    packed = struct.pack(f"<{len(numbers)}I", *numbers)
    return [base64.b64encode(packed).decode(), gauss]


def random_state(given: Any) -> Any:
    """See `random_json`."""
    packed, _ = row(given, text, maybe(_number))
    try:
        numbers = struct.unpack("<625I", base_64(packed))
    except (struct.error, Unreadable):
        raise Unreadable("it is not the state of a source of chance") from None
    if numbers[-1] > 624:
        raise Unreadable("it is not the state of a source of chance")
    return 3, numbers, given[1]


def _number(given: Any) -> float:
    if type(given) not in (int, float):
        raise Unreadable("it is not a number")
    number: float = given
    return number


# Failures


def failure_json(failure: Failure) -> dict[str, Any]:
    """What a script said of a failure."""
    return {
        "message": failure.message,
        "name": failure.name,
        "cause": None if failure.cause is None else failure_json(failure.cause),
        "retryable": failure.retryable,
        "properties": failure.properties,
        "thrown": failure.thrown,
        "isError": failure.is_error,
    }


def failure(given: Any) -> Failure:
    """See `failure_json`."""
    read = fields(given, _FAILURE)
    found = Failure(read["message"], read["name"], cause=read["cause"], retryable=read["retryable"])
    found.properties, found.thrown, found.is_error = read["properties"], read["thrown"], read["isError"]
    return found


_FAILURE: Mapping[str, Callable[[Any], Any]] = {
    "message": text,
    "name": text,
    "cause": lambda given: None if given is None else failure(given),
    "retryable": flag,
    "properties": _json_object,
    "thrown": as_json,
    "isError": flag,
}


def cause_json(cause: Cause) -> dict[str, Any]:
    """A link of a chain of failures, with those below it."""
    found: dict[str, Any] = {"message": cause.message, "kind": cause.kind}
    if cause.type is not None:
        found["type"] = cause.type
    if cause.info:
        found["info"] = cause.info
    if cause.stack is not None:
        found["stack"] = cause.stack
    if cause.source is not None:
        found["source"] = cause.source
    if cause.cause is not None:
        found["cause"] = cause_json(cause.cause)
    if isinstance(cause, Application):
        found["application"] = [value_json(cause.error), cause.non_retryable]
    return found


def cause(given: Any) -> Cause:
    """See `cause_json`."""
    read = fields(given, _CAUSE, optional=True)
    if "message" not in read or "kind" not in read:
        raise Unreadable("a failure has a message and a kind")
    application = read.get("application")
    found: Cause = Cause.__new__(Cause if application is None else Application)
    found.message, found.kind, found.type = read["message"], read["kind"], read.get("type")
    found.info, found.stack, found.source = read.get("info", {}), read.get("stack"), read.get("source")
    found.cause, found.error = read.get("cause"), None
    if isinstance(found, Application) and application is not None:
        found.error, found.non_retryable = application
    if found.kind == "ActivityFailure":
        with below("info"):
            info = mapping(found.info.get("activityFailureInfo"))
            text(mapping(info.get("activityType")).get("name"))
    return found


_CAUSE: Mapping[str, Callable[[Any], Any]] = {
    "message": text,
    "kind": text,
    "type": text,
    "info": _json_object,
    "stack": text,
    "source": text,
    "cause": lambda given: cause(given),
    "application": lambda given: row(given, value, flag),
}


def _script_error_json(error: ScriptError) -> list[Any]:
    return [error.message, error.workflow_id]


def _script_error(given: Any) -> ScriptError:
    message, workflow_id = row(given, text, maybe(text))
    return ScriptError(message, workflow_id=workflow_id)


# What runs begin with

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _run_id(given: Any) -> str:
    if type(given) is not str or not _RUN_ID.fullmatch(given):
        raise Unreadable("it is not the id of a run")
    return given


def _signal_json(signal: ScheduledSignal) -> list[Any]:
    return [signal.name, value_json(signal.payload), time_json(signal.after), signal.place]


def _signal(given: Any) -> ScheduledSignal:
    return ScheduledSignal(*row(given, text, value, length, text))


def _parent_json(parent: ParentInfo) -> list[Any]:
    return [
        parent.workflow_id,
        parent.run_id,
        parent.initiated_id,
        parent.root_workflow_id,
        parent.root_run_id,
    ]


def _parent(given: Any) -> ParentInfo:
    return ParentInfo(*row(given, text, text, whole, text, text))


@functools.lru_cache(maxsize=1000)
def _options(written: str) -> ActivityOptions:
    layer = json.loads(written)
    try:
        return resolved_options(layer, "the options of a step")
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise Unreadable(f"they are no options of a step: {error}") from None


class _Shared:
    """What many events of a run refer to, each once: memos, options and details, by their places."""

    def __init__(self) -> None:
        self.memos: list[Any] = []
        self.options: list[Any] = []
        self.details: list[Any] = []
        self._places: dict[int, int] = {}
        # What must stay for as long as its place is looked up by its id.
        self._kept: list[object] = []

    def _place(self, thing: object, among: list[Any], written: Callable[[Any], Any]) -> int:
        place = self._places.get(id(thing))
        if place is None:
            made = written(thing)
            place = self._places[id(thing)] = len(among)
            self._kept.append(thing)
            among.append(made)
        return place

    def memo(self, memo: Memo | None) -> int | None:
        return None if memo is None else self._place(memo, self.memos, self._memo_json)

    def _memo_json(self, memo: Memo) -> list[Any]:
        info = None
        if memo.trace_info is not None:
            *names, start = memo.trace_info
            info = [*names, time_json(start)]
        return [info, None if memo.options is None else self.option(memo.options), memo.trace]

    def option(self, options: ActivityOptions) -> int:
        # Most workflows have those of the SDK, which need not be written.
        text = None if options.text == plain_options().text else options.text
        if text not in self.options:
            self.options.append(text)
        return self.options.index(text)

    def detail(self, details: WorkflowDetails) -> int:
        return self._place(
            details, self.details, lambda details: [details.run_id, time_json(details.run_start)]
        )

    def as_json(self) -> dict[str, Any]:
        named = {"memos": self.memos, "options": self.options, "details": self.details}
        return {name: among for name, among in named.items() if among}


class _SharedAgain:
    """See `_Shared`."""

    def __init__(self, given: Mapping[str, Any], info: StartInfo) -> None:
        def details(given: Any) -> WorkflowDetails:
            return WorkflowDetails(info, *row(given, text, time))

        with below("shared"):
            self._options = many(_written_options)(given.get("options", []))
            self._details = many(details)(given.get("details", []))
            self._memos = many(self._memo)(given.get("memos", []))

    def _memo(self, given: Any) -> Memo:
        info, options, trace = row(given, maybe(_trace_info), maybe(self.option), maybe(_texts))
        return Memo(info, options, trace)

    def memo(self, given: Any) -> Memo:
        found: Memo = _at(self._memos, given)
        return found

    def option(self, given: Any) -> ActivityOptions:
        found: ActivityOptions = _at(self._options, given)
        return found

    def detail(self, given: Any) -> WorkflowDetails:
        found: WorkflowDetails = _at(self._details, given)
        return found


def _at(among: Sequence[Any], given: Any) -> Any:
    if whole(given) >= len(among):
        raise Unreadable(f"there is nothing at place {given}")
    return among[given]


def _written_options(given: Any) -> ActivityOptions:
    if given is None:
        return plain_options()
    return _options(json.dumps(_json_object(given)))


def _trace_info(given: Any) -> tuple[str, str, str, int]:
    workflow_id, workflow_type, run_id, start = row(given, text, text, text, time)
    return workflow_id, workflow_type, run_id, start


def _texts(given: Any) -> dict[str, str]:
    found = mapping(given)
    for name, one in found.items():
        with below(name):
            text(one)
    return found


def _info_json(info: StartInfo, shared: _Shared) -> dict[str, Any]:
    found: dict[str, Any] = {
        "namespace": info.namespace,
        "workflowId": info.workflow_id,
        "runId": info.run_id,
        "firstRunId": info.first_run_id,
        "workflowType": info.workflow_type,
        "taskQueue": info.task_queue,
        "input": value_json(info.input),
        "start": time_json(info.start),
        "traceStart": time_json(info.trace_start),
        "timeout": time_json(info.timeout),
        "expiration": time_json(info.expiration),
    }
    if info.continued_run_id is not None:
        found["continuedRunId"] = info.continued_run_id
    if info.first is not None:
        # Of that one, only what its client has sent is ever asked for.
        found["first"] = _info_json(info.first, shared)
        found["first"].pop("memo", None)
    if info.backoff:
        found["backoff"] = time_json(info.backoff)
    if info.reset_points is not None:
        run_id, event_id, *times = info.reset_points
        found["resetPoints"] = [run_id, event_id, *map(time_json, times)]
    if info.parent is not None:
        found["parent"] = _parent_json(info.parent)
    if info.memo is not None:
        found["memo"] = shared.memo(info.memo)
    if info.invocation is not None:
        found["invocation"] = info.invocation
    if info.turn is not None:
        found["turn"] = info.turn
    return found


def _info(given: Any) -> tuple[StartInfo, Any]:
    """With what a run began, and the place of its memo."""
    read = fields(given, _INFO, optional=True)
    try:
        info = StartInfo(
            read["namespace"],
            read["workflowId"],
            read["runId"],
            read["firstRunId"],
            read["workflowType"],
            read["taskQueue"],
            read["input"],
            read["start"],
            read["timeout"],
            read["expiration"],
        )
        info.trace_start = read["traceStart"]
    except KeyError as missing:
        raise Unreadable(f"the field {missing} is missing") from None
    info.continued_run_id = read.get("continuedRunId")
    if "first" in read:
        info.first, _ = read["first"]
    info.backoff = read.get("backoff", 0)
    info.reset_points = read.get("resetPoints")
    info.parent, info.invocation, info.turn = read.get("parent"), read.get("invocation"), read.get("turn")
    return info, read.get("memo")


_INFO: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("namespace", "workflowId", "workflowType", "taskQueue"), text),
    **dict.fromkeys(("runId", "firstRunId", "continuedRunId"), _run_id),
    "input": value,
    **dict.fromkeys(("start", "traceStart", "expiration"), time),
    **dict.fromkeys(("timeout", "backoff"), length),
    "first": lambda given: _info(given),
    "resetPoints": lambda given: tuple(row(given, text, whole, time, time)),
    "parent": _parent,
    "memo": whole,
    "invocation": _json_object,
    "turn": whole,
}

# Events

# What the fields of each kind of event hold, in their order; the state file keeps them as a list.
_EVENTS: Mapping[int, tuple[tuple[str, Any], ...]] = {
    number: tuple(
        (name, hints[name])
        for hints in [get_type_hints(kind, include_extras=True)]
        for name in (one.name for one in dataclasses.fields(kind))
        if name != "time"
    )
    for number, kind in events.KINDS.items()
}
# What is written as it is.
_AS_IT_IS = (int, int | None, str, str | None, bool, dict[str, Any])
# The places and types of what is not, by kind of event; places count the event's kind and time.
_WRITTEN: Mapping[int, tuple[tuple[int, Any], ...]] = {
    number: tuple((place, of) for place, (_, of) in enumerate(held, 2) if of not in _AS_IT_IS)
    for number, held in _EVENTS.items()
}


def _cause_or_none_json(cause: Cause | None) -> Any:
    return None if cause is None else cause_json(cause)


def _writers(shared: _Shared) -> dict[Any, Callable[[Any], Any]]:
    return {
        StartInfo: lambda _: None,
        events.Json: value_json,
        events.Length: time_json,
        Cause: cause_json,
        ApplicationFailure: cause_json,
        Cause | None: _cause_or_none_json,
        ActivityOptions: shared.option,
        Memo: shared.memo,
        WorkflowDetails: shared.detail,
        tuple[str, ...]: list,
        events.Requester | None: lambda by: None if by is None else list(by),
        events.StepThrew: lambda outcome: [failure_json(outcome.failure), cause_json(outcome.chain)],
        events.ChildThrew: lambda outcome: [outcome.status, cause_json(outcome.chain)],
    }


def events_json(written: Sequence[Event], batches: Sequence[int]) -> dict[str, Any]:
    """Some events of a run that follow each other, and the ends of their batches."""
    shared = _Shared()
    writers = _writers(shared)
    found = []
    for event in written:
        number = event.number
        held = [number, time_json(event.time), *(getattr(event, name) for name, _ in _EVENTS[number])]
        for place, of in _WRITTEN[number]:
            held[place] = writers[of](held[place])
        found.append(held)
    return {"events": found, "batches": list(batches), **shared.as_json()}


def _application(given: Any) -> Cause:
    found = cause(given)
    if not isinstance(found, Application):
        raise Unreadable("it is not the failure of an application")
    return found


def _step_failure(given: Any) -> StepFailure:
    return StepFailure(*row(given, failure, cause))


def _child_failure(given: Any) -> ChildFailure:
    return ChildFailure(*row(given, one_of(*_STATUSES), cause))


def _readers(shared: _SharedAgain, info: StartInfo) -> dict[Any, Callable[[Any], Any]]:
    return {
        StartInfo: lambda _: info,
        int: whole,
        int | None: maybe(whole),
        str: text,
        str | None: maybe(text),
        bool: flag,
        dict[str, Any]: _json_object,
        events.Json: value,
        events.Length: length,
        Cause: cause,
        ApplicationFailure: _application,
        Cause | None: maybe(cause),
        ActivityOptions: shared.option,
        Memo: shared.memo,
        WorkflowDetails: shared.detail,
        tuple[str, ...]: many(text),
        events.Requester | None: maybe(lambda given: events.Requester(*row(given, text, text, whole))),
        events.StepThrew: _step_failure,
        events.ChildThrew: _child_failure,
    }


def read_events(given: Any, info: StartInfo, into: History) -> None:
    """Append what `events_json` has written to a run's history; `info` is with what the run began."""
    chunk = mapping(given)
    readers = _readers(_SharedAgain(chunk, info), info)
    with below("events"):
        for number, one in enumerate(items(chunk.get("events"))):
            with below(number):
                into.events.append(_event(one, readers))
    with below("batches"):
        last = into.batches[-1] if into.batches else 0
        for end in many(whole)(chunk.get("batches")):
            if not last < end <= len(into.events):
                raise Unreadable(f"no batch ends with event {end}")
            last = end
            into.batches.append(end)
        if last != len(into.events):
            raise Unreadable("the last batch ends with the last event")


def _event(given: Any, readers: Mapping[Any, Callable[[Any], Any]]) -> Event:
    if type(given) is not list or len(given) < 2 or type(given[0]) is not int:
        raise Unreadable("an event is a list of its kind, its time, and what it holds")
    number = given[0]
    held = _EVENTS.get(number)
    if held is None:
        raise Unreadable(f"there is no kind {number} of event")
    if len(given) != len(held) + 2:
        raise Unreadable(f"an event of kind {number} holds {len(held)} things")
    found = [time(given[1])]
    for place, (_, of) in enumerate(held, 2):
        try:
            found.append(readers[of](given[place]))
        except Unreadable as problem:
            problem.path.append(str(place))
            raise
    return events.KINDS[number](*found)


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
    found = _json_object(given)
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
        _cause_or_none_json(attempt.failure),
        value_json(attempt.result),
        [_node_json(node) for node in attempt.nodes],
    ]


def _attempt(given: Any) -> Attempt:
    return Attempt(*row(given, text, time, time, maybe(cause), value, many(_node)))


# What is under way


def _subject_json(subject: Subject | None) -> Any:
    return None if subject is None else list(subject)


_subject_kind = one_of("step", "timer", "child", "loose")


def _subject(given: Any) -> Subject:
    return Subject(*row(given, _subject_kind, whole))


# What each kind of work is about; the others are about nothing.
_ABOUT: Mapping[Kind, str] = {
    "first task after a pause": "loose",
    "signal arrives": "loose",
    "timer fires": "timer",
    "step is tried again": "step",
    "step ends": "step",
    "step takes too long": "step",
    "child starts": "child",
    "child is asked to stop": "child",
}
_kind_of_work = one_of(*get_args(Kind))


def _next_work_json(work: NextWork) -> list[Any]:
    return [work.run_id, work.kind, _subject_json(work.subject)]


def _next_work(given: Any) -> NextWork:
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
        _cause_or_none_json(step.last_failure),
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
    scheduled = None if thing.scheduled is None else _signal_json(thing.scheduled)
    return [time_json(thing.due), thing.name, value_json(thing.payload), scheduled]


def _loose(given: Any) -> Pause | Coming:
    if len(items(given)) == 1:
        return Pause(time(given[0]))
    due, name, payload, scheduled = row(given, time, text, value, maybe(_signal))
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
    return [[_signal_json(signal), time_json(max(0, left))] for signal, left in unsent]


def run_json(record: RunRecord, key_of: KeyOf) -> dict[str, Any]:
    """A run but for its history, which `events_json` writes."""
    values, shared = record.values, _Shared()
    info: StartInfo = values["info"]
    found: dict[str, Any] = {
        "number": record.number,
        "ended": record.ended,
        "workflow": key_of(record.definition),
        "catalog": record.catalog,
        "info": _info_json(info, shared),
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


def _same(given: Any) -> Any:
    return given


# Attributes of runs, and what they are called in a file, written and read with.
_VALUES: Mapping[str, tuple[str, Callable[[Any], Any], Callable[[Any], Any]]] = {
    "status": ("status", _same, one_of(*_STATUSES)),
    "close_time": ("closed", time_json, time),
    "began": ("began", _same, flag),
    "result": ("result", value_json, value),
    "failure": ("failure", _cause_or_none_json, maybe(cause)),
    "script_error": (
        "scriptError",
        lambda error: None if error is None else _script_error_json(error),
        maybe(_script_error),
    ),
    "next_run_id": ("nextRunId", _same, maybe(_run_id)),
    "evaluators": ("evaluators", sorted, lambda given: frozenset(many(text)(given))),
    "uploaded": ("uploaded", _same, flag),
    "trace_tree": ("trace", _same, maybe(_json_object)),
    "task_scheduled": ("taskScheduled", _same, whole),
    "speculative": ("speculative", _same, flag),
    "cancel_requested": ("cancelRequested", _same, flag),
    "deadline": ("deadline", time_json, time),
    "sent": ("sent", lambda sent: [_signal_json(signal) for signal in sent], many(_signal)),
    "unsent": ("unsent", _unsent_json, many(lambda given: tuple(row(given, _signal, length)))),
    "depth": ("depth", _same, whole),
    "answers": ("answers", _same, flag),
}


def _run_number(given: Any) -> int:
    if whole(given) >= MOST_RUNS:
        raise Unreadable(f"{given} is too large for the number of a run")
    number: int = given
    return number


_RUN: Mapping[str, Callable[[Any], Any]] = {
    "number": _run_number,
    "ended": _run_number,
    "workflow": _same,
    "catalog": text,
    "info": _info,
    "runId": _run_id,
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
    """See `run_json`. The record's history is empty so far."""
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
    shared = _SharedAgain(given_shared, info)
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
    """The run with the history that these chunks of events are."""
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
            # The run's memo is made of it.
            with below(f"event {number}, where its trace goes"):
                _texts(event.result)
    return record._replace(length=len(written), batches=len(record.history.batches))


# Worlds


def world_json(
    record: WorldRecord, key_of: KeyOf, part_of: Callable[[object], tuple[int, int] | None]
) -> dict[str, Any]:
    """A world but for its runs. `part_of` says of what gives answers in turn which workflow's and which part
    it is.
    """
    return {
        "clock": [record.mode, time_json(record.now), record.sequence],
        "seed": record.seed,
        "namespace": record.namespace,
        "catalog": record.default_catalog,
        "random": random_json(record.random),
        "entered": record.entered,
        "ended": record.ended,
        "catalogs": [_catalog_json(catalog, key_of) for catalog in record.catalogs],
        "scriptErrors": [_script_error_json(error) for error in record.script_errors[-_ERRORS:]],
        "outlasting": [[*key, *found] for key, found in record.outlasting.items()],
        "answersGiven": [
            [*part, count]
            for whose, count in record.answers_given.items()
            if (part := part_of(whose)) is not None
        ],
        "played": {
            name: [[*signal[:2], time_json(signal[2])] for signal in sorted(signals)]
            for name, signals in record.played.items()
        },
        "ready": [_next_work_json(call) for call in record.ready],
        "deadline": None if record.deadline is None else [time_json(record.deadline[0]), record.deadline[1]],
    }


def _catalog_json(catalog: CatalogRecord, key_of: KeyOf) -> dict[str, Any]:
    return {
        "name": catalog.name,
        "workflows": [key_of(definition) for definition in catalog.workflows],
        "worker": catalog.worker,
        "returns": None if catalog.returns is None else time_json(catalog.returns),
        "returning": catalog.returning,
        "waiting": [_next_work_json(call) for call in catalog.waiting],
        "run": catalog.run_id,
        "withheld": sorted(catalog.withheld),
    }


_CATALOG: Mapping[str, Callable[[Any], Any]] = {
    "name": text,
    "workflows": items,
    "worker": flag,
    "returns": maybe(time),
    "returning": maybe(whole),
    "waiting": many(_next_work),
    "run": text,
    "withheld": many(text),
}


def _seed(given: Any) -> int:
    if type(given) is not int or abs(given) > 2**53:
        raise Unreadable("a seed is a whole number")
    return given


def _played(given: Any) -> dict[str, frozenset[tuple[str, str, int]]]:
    found = {}
    for name, signals in mapping(given).items():
        with below(name):
            found[name] = frozenset(many(lambda one: tuple(row(one, text, text, length)))(signals))
    return found


def _now(given: Any) -> int:
    if time(given) > LATEST:
        raise Unreadable("no clock stands so late")
    return time(given)


_WORLD: Mapping[str, Callable[[Any], Any]] = {
    "clock": lambda given: row(given, one_of("real", "auto", "manual"), _now, whole),
    "seed": _seed,
    "namespace": text,
    "catalog": text,
    "random": random_state,
    "entered": _run_number,
    "ended": _run_number,
    "catalogs": many(lambda given: fields(given, _CATALOG)),
    "scriptErrors": many(_script_error),
    "outlasting": many(lambda given: row(given, text, text, text, flag)),
    "answersGiven": many(lambda given: row(given, _same, whole, whole)),
    "played": _played,
    "ready": many(_next_work),
    "deadline": maybe(lambda given: tuple(row(given, time, whole))),
}


def world(
    given: Any,
    runs: Sequence[RunRecord],
    offered: Callable[[Mapping[str, Any]], tuple[WorkflowDefinition, ...]],
    whose: Callable[[Any, str, int], object | None],
) -> WorldRecord:
    """See `world_json`.

    Takes the runs, what a catalog offers (given what `_catalog_json` has written of it), and what gives
    answers in turn (given the workflow and the part of it).
    """
    read = fields(given, _WORLD)
    mode, now, sequence = read["clock"]
    answers_given = {
        part: count
        for key, number, count in read["answersGiven"]
        if (part := whose(key, read["catalog"], number)) is not None
    }
    record = WorldRecord(
        mode,
        now,
        sequence,
        read["seed"],
        read["namespace"],
        read["catalog"],
        read["random"],
        read["entered"],
        read["ended"],
        tuple(
            CatalogRecord(
                catalog["name"],
                offered(catalog),
                catalog["worker"],
                catalog["returns"],
                catalog["returning"],
                catalog["waiting"],
                catalog["run"],
                frozenset(catalog["withheld"]),
            )
            for catalog in read["catalogs"]
        ),
        read["scriptErrors"],
        {(place, what): (said, is_guard) for place, what, said, is_guard in read["outlasting"]},
        answers_given,
        read["played"],
        read["ready"],
        read["deadline"],
        tuple(runs),
    )
    _check_together(record)
    return record


def _check_together(record: WorldRecord) -> None:
    """Raise `Unreadable` unless the parts of a world fit together."""
    runs: dict[str, RunRecord] = {}
    numbers = set()
    for one in record.runs:
        run_id = one.values["run_id"]
        if run_id in runs or one.number in numbers:
            raise Unreadable(f"the run {run_id} is there twice")
        if one.number > record.entered or one.ended > record.ended:
            raise Unreadable(f"the run {run_id} is beyond the number of the world's runs")
        runs[run_id] = one
        numbers.add(one.number)
    names = set()
    for catalog in record.catalogs:
        if catalog.name in names:
            raise Unreadable(f"the catalog {catalog.name!r} is there twice")
        names.add(catalog.name)
        if catalog.run_id not in runs:
            raise Unreadable(f"the catalog {catalog.name!r} has no run")
    if record.default_catalog not in names:
        raise Unreadable(f"there is no catalog {record.default_catalog!r}")
    for one in record.runs:
        run_id = one.values["run_id"]
        if one.catalog not in names:
            raise Unreadable(f"the run {run_id} is of a catalog that there is not")
    _check_order({run_id: [one.parent[0]] for run_id, one in runs.items() if one.parent is not None})
    _check_order({run_id: [one.stays_for] for run_id, one in runs.items() if one.stays_for is not None})
    _check_order({run_id: list(_that_follow(one)) for run_id, one in runs.items()})


def _that_follow(record: RunRecord) -> Iterator[str]:
    """The runs that come of one, as long as it has to do with them."""
    if record.values.get("status") == "continued_as_new":
        yield record.values["next_run_id"]
    if record.under_way is not None and not record.ended:
        for event in record.history.events:
            if isinstance(event, events.ChildWorkflowExecutionStarted):
                yield event.run_id


def _check_order(following: Mapping[str, list[str]]) -> None:
    """Raise `Unreadable` when a run comes of itself."""
    done: set[str] = set()
    for first in following:
        # Those that are looked at, each with what is still to be looked at of it.
        path: dict[str, Iterator[str]] = {}
        if first not in done:
            path[first] = iter(following[first])
        while path:
            run_id = next(reversed(path))
            after = next(path[run_id], None)
            if after is None:
                done.add(run_id)
                del path[run_id]
            elif after in path:
                raise Unreadable(f"the run {after} comes of itself")
            elif after not in done:
                path[after] = iter(following.get(after, ()))
