"""Writes the starts of runs and their events as JSON, and reads them again."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

from output_mock.contract import events
from output_mock.contract.events import Event
from output_mock.contract.failures import Cause
from output_mock.contract.history import History
from output_mock.contract.run_start import (
    ActivityOptions,
    Memo,
    ParentInfo,
    StartInfo,
    WorkflowDetails,
)
from output_mock.scripts.definition import ScheduledSignal
from output_mock.sdk.failures import ChildFailure, StepFailure
from output_mock.sdk.options import plain_options, resolved_options
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
from output_mock.state.json_values import (
    STATUSES,
    cause,
    cause_json,
    failure,
    failure_json,
    json_object,
    value,
    value_json,
)

# What runs begin with

_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def read_run_id(given: Any) -> str:
    if type(given) is not str or not _RUN_ID.fullmatch(given):
        raise Unreadable("it is not the id of a run")
    return given


def scheduled_signal_json(signal: ScheduledSignal) -> list[Any]:
    return [signal.name, value_json(signal.payload), time_json(signal.after), signal.place]


def scheduled_signal(given: Any) -> ScheduledSignal:
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


class Shared:
    """Values that many events of a run share, each stored once: memos, options and details."""

    def __init__(self) -> None:
        self.memos: list[Any] = []
        self.options: list[Any] = []
        self.details: list[Any] = []
        self._places: dict[int, int] = {}
        # Keeps objects alive while their position is looked up by `id()`.
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
        # Most workflows have the SDK's defaults, which need not be written.
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


class SharedAgain:
    """Reads what `Shared` has written."""

    def __init__(self, given: Mapping[str, Any], info: StartInfo) -> None:
        def details(given: Any) -> WorkflowDetails:
            return WorkflowDetails(info, *row(given, text, time))

        with below("shared"):
            self._options = many(_written_options)(given.get("options", []))
            self._details = many(details)(given.get("details", []))
            self._memos = many(self._memo)(given.get("memos", []))

    def _memo(self, given: Any) -> Memo:
        info, options, trace = row(given, maybe(_trace_info), maybe(self.option), maybe(texts_by_name))
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
    return _options(json.dumps(json_object(given)))


def _trace_info(given: Any) -> tuple[str, str, str, int]:
    workflow_id, workflow_type, run_id, start = row(given, text, text, text, time)
    return workflow_id, workflow_type, run_id, start


def texts_by_name(given: Any) -> dict[str, str]:
    found = mapping(given)
    for name, one in found.items():
        with below(name):
            text(one)
    return found


def start_info_json(info: StartInfo, shared: Shared) -> dict[str, Any]:
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
        # Of the first run, only its client's input is ever needed.
        found["first"] = start_info_json(info.first, shared)
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


def start_info(given: Any) -> tuple[StartInfo, Any]:
    """The start of a run, and the position of its memo."""
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
    **dict.fromkeys(("runId", "firstRunId", "continuedRunId"), read_run_id),
    "input": value,
    **dict.fromkeys(("start", "traceStart", "expiration"), time),
    **dict.fromkeys(("timeout", "backoff"), length),
    "first": lambda given: start_info(given),
    "resetPoints": lambda given: tuple(row(given, text, whole, time, time)),
    "parent": _parent,
    "memo": whole,
    "invocation": json_object,
    "turn": whole,
}

# Events

# The types of the fields of each kind of event, in order. The state file stores them as a list.
_EVENTS: Mapping[int, tuple[tuple[str, Any], ...]] = {
    number: tuple(
        (name, hints[name])
        for hints in [get_type_hints(kind, include_extras=True)]
        for name in (one.name for one in dataclasses.fields(kind))
        if name != "time"
    )
    for number, kind in events.KINDS.items()
}
# Types that are written unchanged.
_AS_IT_IS = (int, int | None, str, str | None, bool, dict[str, Any])
# The positions and types of all other fields, by kind of event. Positions count the event's kind and time.
_WRITTEN: Mapping[int, tuple[tuple[int, Any], ...]] = {
    number: tuple((place, of) for place, (_, of) in enumerate(held, 2) if of not in _AS_IT_IS)
    for number, held in _EVENTS.items()
}


def cause_or_none_json(cause: Cause | None) -> Any:
    return None if cause is None else cause_json(cause)


def _writers(shared: Shared) -> dict[Any, Callable[[Any], Any]]:
    return {
        StartInfo: lambda _: None,
        events.Json: value_json,
        events.Length: time_json,
        Cause: cause_json,
        Cause | None: cause_or_none_json,
        ActivityOptions: shared.option,
        Memo: shared.memo,
        WorkflowDetails: shared.detail,
        tuple[str, ...]: list,
        events.Requester | None: lambda by: None if by is None else list(by),
        events.StepThrew: lambda outcome: [failure_json(outcome.failure), cause_json(outcome.chain)],
        events.ChildThrew: lambda outcome: [outcome.status, cause_json(outcome.chain)],
    }


def events_json(written: Sequence[Event], batches: Sequence[int]) -> dict[str, Any]:
    """Consecutive events of a run, and the ends of their batches."""
    shared = Shared()
    writers = _writers(shared)
    found = []
    for event in written:
        number = event.number
        held = [number, time_json(event.time), *(getattr(event, name) for name, _ in _EVENTS[number])]
        for place, of in _WRITTEN[number]:
            held[place] = writers[of](held[place])
        found.append(held)
    return {"events": found, "batches": list(batches), **shared.as_json()}


def _step_failure(given: Any) -> StepFailure:
    return StepFailure(*row(given, failure, cause))


def _child_failure(given: Any) -> ChildFailure:
    return ChildFailure(*row(given, one_of(*STATUSES), cause))


def _readers(shared: SharedAgain, info: StartInfo) -> dict[Any, Callable[[Any], Any]]:
    return {
        StartInfo: lambda _: info,
        int: whole,
        int | None: maybe(whole),
        str: text,
        str | None: maybe(text),
        bool: flag,
        dict[str, Any]: json_object,
        events.Json: value,
        events.Length: length,
        Cause: cause,
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
    """Append what `events_json` has written to a run's history; `info` is the start of the run."""
    chunk = mapping(given)
    readers = _readers(SharedAgain(chunk, info), info)
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
