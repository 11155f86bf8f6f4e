"""The requests that workflows have sent, for tests to look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

from output_mock.callbacks.faults import is_at
from output_mock.callbacks.request import Headers, normal
from output_mock.javascript_json import UNDEFINED, parse
from output_mock.masking import masked_text
from output_mock.sdk.values import short, unlike


class Callback(NamedTuple):
    """A request that a workflow has sent, and what came of it."""

    # Its number, from 1.
    number: int
    # When it was sent, in nanoseconds since 1970 on the fake's clock.
    time: int
    # The run that has sent it.
    workflow_id: str
    # The id of that run itself.
    run_id: str
    # Which attempt of the step it was, from 1.
    attempt: int
    # The method.
    method: str
    # The URL, before redirects.
    url: str
    # The headers: pairs of a name in lower case and a value.
    headers: Headers
    # The body; `callback.json` and, without the workflow id of a question, `callback.payload` are its value.
    body: bytes
    # The status of the answer; 0 when there was none.
    status: int = 0
    # Why there was no answer, or what the application raised.
    problem: str | None = None
    # Why nothing has answered it, with the nearest URL; None if something has.
    unmatched_reason: str | None = None
    # Whether it has no answer yet.
    under_way: bool = True
    # The values that `$NAME` in its headers stood for.
    hidden: tuple[str, ...] = ()

    @property
    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` if it is not JSON."""
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
        url = masked_text(self.url)
        return f"#{self.number} {self.workflow_id}: {self.method} {url}{again} -> {outcome}"


def _so_many(number: int) -> str:
    return "is none" if not number else f"{'is' if number == 1 else 'are'} {number}"


def _differences(one: Callback, wanted: Mapping[str, Any], payload: Any) -> list[str]:
    found = []
    if wanted["url"] is not None and not is_at(one.url, normal(wanted["url"])):
        found.append(unlike("url", one.url, wanted["url"]))
    for name, given in (("method", one.method), ("workflow id", one.workflow_id)):
        if wanted[name] not in (None, given):
            found.append(unlike(name, given, wanted[name]))
    if payload is not UNDEFINED:
        try:
            sent = one.payload
        except ValueError:
            sent = one.body.decode("utf-8", "replace")
        if sent != payload:
            found.append(unlike("payload", sent, payload))
    return found


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
        """The only one. Raises `AssertionError`, which lists the requests, if there are more, or none."""
        if len(self) != 1:
            listed = "".join(f"\n  {one}" for one in self)
            raise AssertionError(f"expected one request of a workflow, but there are {len(self)}{listed}")
        return self[0]

    def check(
        self,
        url: str | None,
        payload: Any,
        *,
        method: str | None,
        workflow_id: str | None,
        times: int | None,
    ) -> CallbackList:
        """Those that match; see `Callbacks.assert_called_back`."""
        __tracebackhide__ = True
        wanted = {"url": url, "method": method, "workflow id": workflow_id}
        different = {
            one.number: _differences(one, wanted, payload) for one in self if not one.unmatched_reason
        }
        found = CallbackList([one for one in self if not different.get(one.number, ["unmatched"])])
        if len(found) == times or (times is None and found):
            return found
        words = ", ".join(f"{name} {value}" for name, value in wanted.items() if value is not None)
        if payload is not UNDEFINED:
            words += f", payload {short(payload)}"
        often = "" if times is None else f" {times} time{'' if times == 1 else 's'}"
        text = f"expected a request of a workflow{often} ({words}), and there {_so_many(len(found))}"
        if not found and different:
            nearest = min(self, key=lambda one: len(different.get(one.number, "never mind")))
            text += f"; the nearest is {nearest}: {'; '.join(different.get(nearest.number, []))}"
        listed = "".join(f"\n  {one}" for one in self)
        raise AssertionError(f"{text}{listed or '. No workflow has sent any request'}")

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
