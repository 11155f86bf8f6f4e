"""A history as workers of an older version would have written it.

The newest workers write events that older ones did not, and leave out a step that older ones took. So the
numbers of all that follows differ, and whatever refers to an event by its number: other events, pages and
streams. A view is the list of events as it was, made before anything is paged; it grows with the history.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from output_mock.contract import events
from output_mock.contract.events import Event
from output_mock.contract.history import History
from output_mock.contract.rendering import render
from output_mock.contract.run_start import Memo, StartInfo, WorkflowDetails
from output_mock.contract.versions.change import Facts, ShownEvent
from output_mock.contract.versions.deployment import Deployment
from output_mock.javascript_json import UNDEFINED

INTERNAL = "__internal#getTraceDestinations"
# The number of an event in another version, by its number in the newest one.
Numbering = Callable[[int], int]
# These name an event of a parent's history.
_OF_THE_PARENT = frozenset({"parentInitiatedEventId", "externalInitiatedEventId"})


class HistoryView(History):
    """The events of a run and their batches, as a deployment shows them.

    Takes what the run began with, its history, a function that tells of the run what the history does not,
    and one that finds the numbering of another run's history by workflow id and run id (None: it has gone).
    """

    __slots__ = (
        "_activity_shift",
        "_deployment",
        "_elsewhere",
        "_facts",
        "_history",
        "_info",
        "_internal",
        "_made",
        "_numbers",
        "_read",
    )

    def __init__(
        self,
        info: StartInfo,
        history: History,
        deployment: Deployment,
        facts: Callable[[], Facts],
        elsewhere: Callable[[str, str], Numbering | None],
    ) -> None:
        super().__init__()
        self._info = info
        self._history = history
        self._deployment = deployment
        self._facts = facts
        self._elsewhere = elsewhere
        # How many batches have been taken over.
        self._read: int = 0
        # The new number of every event, by its number; 0 for those that are not shown.
        self._numbers: list[int] = [0]
        # Those that no event of the history stands for, by their new numbers; and those of the SDK's step.
        self._made: set[int] = set()
        self._internal: set[int] = set()
        self._activity_shift: int = 0

    def refresh(self) -> None:
        """Take over what the history has got. Take the lock of the run's world first."""
        history = self._history
        while self._read < len(history.batches):
            begin = history.batches[self._read - 1] if self._read else 0
            for event in history.events[begin : history.batches[self._read]]:
                self._take(event)
            self._read += 1
            if len(self.events) > (self.batches[-1] if self.batches else 0):
                self.batches.append(len(self.events))

    def number(self, event_id: int) -> int:
        """The number that an event of the history has here, or the last one before it that is shown."""
        if not 0 < event_id < len(self._numbers):
            return event_id
        while event_id and not self._numbers[event_id]:
            event_id -= 1
        return self._numbers[event_id]

    def render(self, event_id: int, event: Event, *, include_payloads: bool) -> dict[str, Any]:
        """An event of this view, by its number here, as the API shows it."""
        shown = render(self._info, event_id, event, include_payloads=include_payloads)
        attributes: dict[str, Any] = shown[event.key]
        if event_id not in self._made:
            self._renumber(event, attributes)
        facts = self._facts()
        nothing = isinstance(event, events.ActivityTaskCompleted) and event.result is UNDEFINED
        if isinstance(event, events.WorkflowExecutionCompleted):
            nothing = event.result is UNDEFINED or (event.result is None and facts.input is UNDEFINED)
        self._deployment.event(
            ShownEvent(type(event), attributes, facts, event_id in self._internal, nothing)
        )
        return shown

    # Taking over

    def _take(self, event: Event) -> None:
        if type(event) in self._deployment.hidden_events:
            self._numbers.append(0)
            return
        self._add(event)
        self._numbers.append(len(self.events))
        if self._is_internal(event):
            self._internal.add(len(self.events))
        elif (
            isinstance(event, events.WorkflowTaskCompleted)
            and not self._activity_shift
            and self._asks_for_nothing()
        ):
            self._ask_for_nothing(event)

    def _is_internal(self, event: Event) -> bool:
        if isinstance(event, events.ActivityTaskScheduled):
            return event.activity_type == INTERNAL
        return (
            isinstance(event, (events.ActivityTaskStarted, events.ActivityTaskCompleted))
            and self.number(event.scheduled) in self._internal
        )

    def _add(self, event: Event) -> None:
        self.events.append(event)

    def _asks_for_nothing(self) -> bool:
        """Whether this run asked for the places of a trace that it does not write."""
        facts = self._facts()
        asks = facts.root and facts.scripted and not facts.traced
        return asks and self._deployment.untraced_runs_ask

    def _ask_for_nothing(self, completed: Event) -> None:
        """Put in the step that asks for them, after the first workflow task."""
        info = self._info
        now = completed.time
        self._activity_shift = 1
        options = self._facts().options
        memo = Memo((info.workflow_id, info.workflow_type, info.run_id, info.trace_start), options)
        details = WorkflowDetails(info, info.run_id, now)
        first = len(self.events)
        about = memo.trace_info_json()
        step = first + 1
        self._make(
            events.ActivityTaskScheduled(
                now,
                activity_id="1",
                activity_type=INTERNAL,
                memo=memo,
                details=details,
                input=about,
                task_completed=first,
                options=options,
            )
        )
        self.batches.append(len(self.events))
        self._make(events.ActivityTaskStarted(now, step, 1, None, True))
        self._make(events.ActivityTaskCompleted(now, {}, step, step + 1))
        self._internal |= {step, step + 1, step + 2}
        self._make(events.WorkflowTaskScheduled(now, True))
        self.batches.append(len(self.events))
        self._make(events.WorkflowTaskStarted(now, step + 3, True))
        self.batches.append(len(self.events))
        self._make(events.WorkflowTaskCompleted(now, step + 3, step + 4))
        # What the script asks for at its beginning it asks for in that task.
        self._numbers[-1] = len(self.events)

    def _make(self, event: Event) -> None:
        self._add(event)
        self._made.add(len(self.events))

    # References

    def _renumber(self, event: Event, attributes: dict[str, Any]) -> None:
        for key, value in attributes.items():
            if key.endswith("EventId"):
                numbering = self._parents(attributes) if key in _OF_THE_PARENT else self.number
                attributes[key] = _renumbered(value, numbering)
        if self._activity_shift and isinstance(event, events.ActivityTaskScheduled):
            attributes["activityId"] = str(int(attributes["activityId"]) + self._activity_shift)
        for key in ("failure", "lastFailure"):
            if key in attributes:
                child = attributes.get("workflowExecution")
                own = child is None
                numbering = self.number if child is None else self._of(child)
                attributes[key] = self._failure(attributes[key], numbering, own=own)

    def _parents(self, attributes: dict[str, Any]) -> Numbering:
        about = attributes.get("parentWorkflowExecution", attributes.get("externalWorkflowExecution"))
        return self._of(about)

    def _of(self, execution: dict[str, Any] | None) -> Numbering:
        if execution is None:
            return _same
        return self._elsewhere(execution["workflowId"], execution["runId"]) or _same

    def _failure(self, proto: dict[str, Any], numbering: Numbering, *, own: bool) -> dict[str, Any]:
        """A chain of failures; below a child's failure the numbers are those of the child's history."""
        turned = dict(proto)
        for field in ("activityFailureInfo", "childWorkflowExecutionFailureInfo"):
            if field not in turned:
                continue
            info = turned[field] = dict(turned[field])
            for key in ("scheduledEventId", "startedEventId", "initiatedEventId"):
                if key in info:
                    info[key] = _renumbered(info[key], numbering)
            if own and self._activity_shift and "activityId" in info:
                info["activityId"] = str(int(info["activityId"]) + self._activity_shift)
            if "workflowExecution" in info:
                numbering, own = self._of(info["workflowExecution"]), False
        if "cause" in turned:
            turned["cause"] = self._failure(turned["cause"], numbering, own=own)
        return turned


def _same(event_id: int) -> int:
    return event_id


def _renumbered(value: Any, numbering: Numbering) -> Any:
    if isinstance(value, str):
        return str(numbering(int(value)))
    return {**value, "low": numbering(value["low"])}
