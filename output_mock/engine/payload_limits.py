"""What the real server does with payloads that are too large for it (too_big_*).

It takes at most 2 MiB of payloads in one place, and messages of at most 4 MiB from a worker. A step whose
result is larger has failed; a run that gives more in a command is terminated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from output_mock.contract.failures import Cause, server_failure
from output_mock.engine.commands import CHILD, COMPLETE, CONTINUE, FAIL, FINISH, STEP, Command
from output_mock.engine.history_limits import length_of, length_of_failure
from output_mock.javascript_json import UNDEFINED, to_bytes

MOST_BYTES = 2 * 1024 * 1024
MOST_IN_A_MESSAGE = 4 * 1024 * 1024
# A value's JSON is at most so many times as long as estimated: a control character takes six.
_UNDERESTIMATED = 6
# What the answer to an update has besides its payload, and what the answer to a query has, about.
_ANSWER, _QUERY = 80, 130


class Oversized(Exception):
    """A workflow task that the real server refuses, and ends the run for: `reason` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def size_of(*values: Any) -> int:
    """The bytes of these values as one message of payloads, exact when they are many."""
    if _UNDERESTIMATED * sum(length_of(value) for value in values) < MOST_BYTES:
        return 0
    size = 0
    for value in values:
        data = b"" if value is UNDEFINED else to_bytes(value)
        encoding = b"binary/null" if value is UNDEFINED else b"json/plain"
        one = _field(_field(len(b"encoding")) + _field(len(encoding))) + (_field(len(data)) if data else 0)
        size += _field(one)
    return size


def _field(length: int) -> int:
    """How many bytes a field of so many bytes takes in a message."""
    return 1 + max(1, (length.bit_length() + 6) // 7) + length


def refused_result(value: Any) -> Cause | None:
    """What a step fails with that returns this value; None when the server takes it."""
    large = size_of(value) > MOST_BYTES
    return server_failure("Complete result exceeds size limit.") if large else None


def refused_failure(cause: Cause) -> Cause | None:
    """What a step fails with instead of this; None when the server takes it."""
    return server_failure("Failure exceeds size limit.", stack="") if _told(cause) > MOST_BYTES else None


def refused_answer(answer: Any) -> str | None:
    """The error of a query that is answered so; None when the server takes it (too_big_query)."""
    size = size_of(answer)
    if size + _QUERY > MOST_IN_A_MESSAGE:
        return "GRPC Message too large"
    return "Blob data size exceeds limit." if size > MOST_BYTES else None


def cannot_be_sent(outcome: Any) -> bool:
    """Whether a worker cannot even tell the server of this result, or of this failure, of a step."""
    return (_told(outcome) if isinstance(outcome, Cause) else size_of(outcome)) > MOST_IN_A_MESSAGE


def check(commands: Sequence[Command]) -> None:
    """Look whether the server takes the commands of a workflow task. Raises `Oversized` if it does not."""
    sizes = [(kind, _size(kind, subject)) for kind, subject in commands if kind in _REASONS]
    if sum(size for _, size in sizes) > MOST_IN_A_MESSAGE:
        raise Oversized("GrpcMessageTooLarge")
    for kind, size in sizes:
        if size > MOST_BYTES:
            raise Oversized(_REASONS[kind])


def _size(kind: int, subject: Any) -> int:
    if kind == STEP:
        return size_of(subject.input)
    if kind == CHILD:
        return size_of(subject.input, subject.invocation)
    if kind == FINISH:
        size = size_of(subject.result)
        return size + _ANSWER if size else 0
    return _told(subject) if kind == FAIL else size_of(subject)


def _told(cause: Cause) -> int:
    """About how many bytes a chain of failures takes, with the errors in it."""
    errors = (link.error for link in cause.chain() if link.error is not None)
    return length_of_failure(cause) + sum(map(length_of, errors))


_REASONS = {
    STEP: "BadScheduleActivityAttributes: ScheduleActivityTaskCommandAttributes.Input exceeds size limit.",
    CHILD: (
        "BadStartChildExecutionAttributes: StartChildWorkflowExecutionCommandAttributes. "
        "Input exceeds size limit."
    ),
    COMPLETE: (
        "BadScheduleActivityAttributes: CompleteWorkflowExecutionCommandAttributes.Result exceeds size limit."
    ),
    FAIL: (
        "BadFailWorkflowExecutionAttributes: FailWorkflowExecutionCommandAttributes."
        "Failure exceeds size limit."
    ),
    CONTINUE: (
        "BadContinueAsNewAttributes: ContinueAsNewWorkflowExecutionCommandAttributes. "
        "Input exceeds size limit."
    ),
    FINISH: (
        "BadUpdateWorkflowExecutionMessage: Message type temporal.api.update.v1.Response exceeds size limit."
    ),
}
