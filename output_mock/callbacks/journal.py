"""The requests that workflows have sent, for tests to look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

from output_mock.callbacks.faults import is_at
from output_mock.callbacks.request import Headers, normal
from output_mock.javascript_json import parse


class Callback(NamedTuple):
    """A request that a workflow has sent, and what came of it."""

    number: int
    # When it was sent, in nanoseconds since 1970 on the fake's clock.
    time: int
    workflow_id: str
    run_id: str
    # Which attempt of the activity it was, from 1 on.
    attempt: int
    method: str
    url: str
    headers: Headers
    body: bytes
    # Of the answer; 0 when there was none.
    status: int = 0
    # Why there was no answer, or what the application raised.
    problem: str | None = None
    # What nothing matches about it, and the nearest thing that there is; None when something answered.
    unmatched_reason: str | None = None
    # Whether it has not come to its end.
    under_way: bool = True

    @property
    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` when it is none."""
        return parse(self.body.decode())

    @property
    def payload(self) -> Any:
        """What the workflow has sent, without the `workflowId` that a question adds."""
        sent = self.json
        is_question = (
            isinstance(sent, dict) and set(sent) <= {"workflowId", "payload"} and "workflowId" in sent
        )
        return sent.get("payload") if is_question else sent

    def __str__(self) -> str:
        outcome = self.problem.strip().splitlines()[-1] if self.problem else str(self.status)
        if self.under_way:
            outcome = "under way"
        again = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"#{self.number} {self.workflow_id}: {self.method} {self.url}{again} -> {outcome}"


class CallbackList(Sequence[Callback]):
    """Requests in the order in which they were sent."""

    def __init__(self, callbacks: Sequence[Callback]) -> None:
        self._callbacks = tuple(callbacks)

    def __call__(
        self,
        url: str | None = None,
        *,
        method: str | None = None,
        workflow_id: str | None = None,
        status: int | None = None,
    ) -> CallbackList:
        """Those to this URL (without its query, or one that ends with `*`), with this method and so on."""
        wanted = None if url is None else normal(url)
        return CallbackList(
            [
                one
                for one in self
                if (wanted is None or is_at(one.url, wanted))
                and method in (None, one.method)
                and workflow_id in (None, one.workflow_id)
                and status in (None, one.status)
            ]
        )

    def one(self) -> Callback:
        """The only one. Raises `AssertionError` that lists what there is, when there are more, or none."""
        if len(self) != 1:
            listed = "".join(f"\n  {one}" for one in self)
            raise AssertionError(f"expected one request of a workflow, and there are {len(self)}{listed}")
        return self[0]

    @overload
    def __getitem__(self, index: int) -> Callback: ...
    @overload
    def __getitem__(self, index: slice) -> CallbackList: ...
    def __getitem__(self, index: int | slice) -> Callback | CallbackList:
        if isinstance(index, slice):
            return CallbackList(self._callbacks[index])
        return self._callbacks[index]

    def __len__(self) -> int:
        return len(self._callbacks)

    def __iter__(self) -> Iterator[Callback]:
        return iter(self._callbacks)

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "(no request of a workflow)"
