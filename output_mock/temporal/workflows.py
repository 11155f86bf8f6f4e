"""The two workflows of a worker: the one that holds the catalog, and the one that plays every script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue
from temporalio.worker import (
    HandleQueryInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from output_mock.javascript_json import UNDEFINED, null_if_undefined
from output_mock.temporal.run import ScriptRun, milliseconds, no_such_query

if TYPE_CHECKING:
    from output_mock.temporal.served_catalog import ServedCatalog

CATALOG_TYPE = "$catalog"
# By these, workers that share a catalog tell each other who has left it.
LEAVE, LEFT = "__output_mock_leave", "__output_mock_left"
_ABANDON = workflow.HandlerUnfinishedPolicy.ABANDON
_OFFER = "output_mock_offer"
_METADATA = "__temporal_workflow_metadata"


@workflow.defn(name=CATALOG_TYPE, sandboxed=False)
class CatalogWorkflow:
    """Holds a catalog: its id is the catalog's name, and `get` tells what it has (routing)."""

    def __init__(self) -> None:
        self._contents: Any = None
        self._complete = False
        self._left: list[str] = []

    @workflow.run
    async def run(self, contents: Any) -> Any:
        self._contents = contents
        await workflow.wait_condition(lambda: self._complete)
        return UNDEFINED

    @workflow.query
    def get(self) -> Any:
        return self._contents

    @workflow.query
    def ping(self) -> str:
        return "pong"

    @workflow.signal(name=LEAVE)
    def leave(self, identity: str) -> None:
        self._left.append(identity)

    @workflow.query(name=LEFT)
    def left(self) -> list[str]:
        return self._left

    @workflow.query(dynamic=True)
    def unknown(self, name: str, args: Sequence[RawValue]) -> Any:
        raise no_such_query(name, ("get", "ping"))

    @workflow.update
    def complete(self) -> bool:
        self._complete = True
        return True


@workflow.defn(dynamic=True, sandboxed=False)
class ScriptWorkflow:
    """Plays whatever workflow the worker's offer has under the name that was asked for."""

    def __init__(self) -> None:
        self._run = ScriptRun(workflow.extern_functions()[_OFFER]())

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> Any:
        return await self._run.play([_value(one) for one in args])

    @workflow.signal(dynamic=True, unfinished_policy=_ABANDON)
    def signal(self, name: str, args: Sequence[RawValue]) -> None:
        self._run.signal(name, _payload(args))

    @workflow.query(dynamic=True)
    def query(self, name: str, args: Sequence[RawValue]) -> Any:
        return self._run.query(name, _payload(args))

    def metadata(self) -> dict[str, Any]:
        """What the run says of itself."""
        return self._run.metadata()

    @workflow.update(dynamic=True, unfinished_policy=_ABANDON)
    async def update(self, name: str, args: Sequence[RawValue]) -> Any:
        return await self._run.update(name, _payload(args))

    @update.validator
    def check_update(self, name: str, args: Sequence[RawValue]) -> None:
        self._run.check_update(name, _payload(args))


def _value(raw: RawValue) -> Any:
    return workflow.payload_converter().from_payload(raw.payload)


def _payload(args: Sequence[RawValue]) -> Any:
    """What a client has sent with a message, None when it has sent nothing."""
    return null_if_undefined(_value(args[0])) if args else None


class RefuseOtherWorkflows(Interceptor):
    """Hands the offer to the workflows, and gives activities the headers of the real SDK's workers."""

    def __init__(self, offer: ServedCatalog) -> None:
        self._offer = offer

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        input.unsafe_extern_functions[_OFFER] = lambda: self._offer
        return _Inbound


class _Inbound(WorkflowInboundInterceptor):
    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Outbound(outbound))

    async def handle_query(self, input: HandleQueryInput) -> Any:
        instance = workflow.instance()
        if input.query == _METADATA and isinstance(instance, ScriptWorkflow):
            return instance.metadata()
        return await super().handle_query(input)


class _Outbound(WorkflowOutboundInterceptor):
    def start_activity(self, input: StartActivityInput) -> workflow.ActivityHandle[Any]:
        input.headers = {**input.headers, **_headers()}
        return super().start_activity(input)


def _headers() -> dict[str, Payload]:
    """What every step is told of its run (run_completes, child_workflow)."""
    info = workflow.info()
    details: dict[str, Any] = {
        "attempt": info.attempt,
        "firstExecutionRunId": info.first_execution_run_id,
        "runId": info.run_id,
        "runStartTime": milliseconds(info.start_time),
        "startTime": milliseconds(info.workflow_start_time),
        "workflowId": info.workflow_id,
        "workflowType": info.workflow_type,
    }
    if info.continued_run_id is not None:
        details["continuedFromExecutionRunId"] = info.continued_run_id
    if info.parent is not None:
        details["parent"] = {
            "workflowId": info.parent.workflow_id,
            "runId": info.parent.run_id,
            "namespace": info.parent.namespace,
        }
    if info.root is not None:
        details["root"] = {"workflowId": info.root.workflow_id, "runId": info.root.run_id}
    return {**info.raw_memo, "workflowDetails": workflow.payload_converter().to_payload(details)}
