"""How the server's client library reads the failures of a history, link by link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from output_mock.contract.payloads import value_of

if TYPE_CHECKING:
    from output_mock.contract.failures import Cause

Proto = dict[str, Any]

# The field that identifies a link, and the class that the client library builds from it.
KINDS = {
    "applicationFailureInfo": "ApplicationFailure",
    "activityFailureInfo": "ActivityFailure",
    "childWorkflowExecutionFailureInfo": "ChildWorkflowFailure",
    "timeoutFailureInfo": "TimeoutFailure",
    "canceledFailureInfo": "CancelledFailure",
    "terminatedFailureInfo": "TerminatedFailure",
    "serverFailureInfo": "ServerFailure",
}
_FIELDS = {kind: field for field, kind in KINDS.items()}
_LONGEST_CHAIN = 20


class Link(NamedTuple):
    """One link of a chain. `type` and the decoded `details` belong to an application failure."""

    kind: str
    message: str
    type: str | None = None
    non_retryable: bool | None = None
    activity_type: str | None = None
    details: tuple[Any, ...] = ()


def proto_of(failure: Cause) -> Proto:
    """A chain of failures as the history would show it, including stops and terminations."""
    proto = failure.proto()
    field = _FIELDS.get(failure.kind)
    if field is not None:
        # The server's own way of ending a run has no such field: it is an event instead.
        proto.setdefault(field, {})
    return proto


def kind_of(proto: Mapping[str, Any]) -> str:
    """The class that the client library builds from a link."""
    return next((kind for field, kind in KINDS.items() if field in proto), "TemporalFailure")


def links(proto: Proto) -> Iterator[Link]:
    """A chain, outermost link first. Like the client library, it drops links below a timeout."""
    link: Proto | None = proto
    for _ in range(_LONGEST_CHAIN):
        if link is None:
            return
        kind = kind_of(link)
        application: Mapping[str, Any] | None = link.get("applicationFailureInfo")
        activity: Mapping[str, Any] | None = link.get("activityFailureInfo")
        yield Link(
            kind,
            link.get("message", ""),
            None if application is None else application.get("type"),
            None if application is None else bool(application.get("nonRetryable")),
            None if activity is None else activity["activityType"]["name"],
            tuple(map(value_of, details_of(link))),
        )
        link = None if kind == "TimeoutFailure" else link.get("cause")


def details_of(proto: Mapping[str, Any]) -> list[Any]:
    """The payloads of an application failure's details. Other failures have none."""
    found: list[Any] = proto.get("applicationFailureInfo", {}).get("details", {}).get("payloads", [])
    return found
