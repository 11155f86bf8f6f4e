"""The worker: connects, starts the catalog, plays scripts until you stop it, and cleans up."""

from __future__ import annotations

import asyncio
import bisect
import functools
import os
import platform
import secrets
import threading
import uuid
from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    DeleteWorkflowExecutionRequest,
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
)
from temporalio.client import (
    Client,
    WorkflowExecutionDescription,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowHandle,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.common import QueryRejectCondition, WorkflowIDConflictPolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.workflow import NondeterminismError

from output_mock.temporal.payloads import CONVERTER
from output_mock.temporal.served_catalog import HASH_PREFIX, ServedCatalog
from output_mock.temporal.steps import StepActivities
from output_mock.temporal.workflows import (
    CATALOG_TYPE,
    LEAVE,
    LEFT,
    CatalogWorkflow,
    RefuseOtherWorkflows,
    ScriptWorkflow,
)

T = TypeVar("T")
# The prefix of this package's worker identities. Workers recognise each other by it.
_IDENTITY = "output-mock"
_CONNECT_TIMEOUT = 15.0
_RPC_TIMEOUT = timedelta(seconds=10)
# How long the catalog may take to answer.
_READY_TIMEOUT = 60.0
# How often to look for runs to delete, and how many seconds apart.
_PASSES = 5
_BETWEEN_PASSES = 0.2
# A worker polls at least once a minute. One that has not is gone.
_POLLED_WITHIN = timedelta(seconds=70)
_EXECUTION_TIMEOUT = timedelta(hours=24)
_STEPS_AT_ONCE = 1000
_LOGGED = "warn,temporalio_sdk_core::worker=error"
_REASON = "the worker of output-mock has stopped"


class TemporalError(Exception):
    """A problem with Temporal or its catalog that you can fix."""


class NotReachableError(TemporalError):
    """Temporal does not answer at that address, lacks the namespace, or denies access."""


class CatalogTakenError(TemporalError):
    """The catalog belongs to another worker, or another worker has taken it over."""


class ScriptWorker:
    """A worker that plays the scripts of a catalog on the Temporal at `target`. Use it once.

    `run` in an event loop does everything; `stop`, from any thread, ends it.
    """

    # The error that ended it before it was stopped.
    problem: BaseException | None = None

    def __init__(
        self,
        offer: ServedCatalog,
        *,
        target: str = "127.0.0.1:7233",
        namespace: str = "default",
        api_key: str | None = None,
        leave_no_trace: bool = False,
    ) -> None:
        self.offer: ServedCatalog = offer
        self.target: str = target
        self.namespace: str = namespace
        # Whether other workers serve the same catalog, and keep it after this one stops.
        self.shared: bool = False
        self._api_key = api_key
        # The runs to remove, in addition to those that Temporal lists: lists may be out of date.
        self._played: dict[tuple[str, str], datetime] = {}
        if leave_no_trace:
            offer.played = self._played
        self._leave_no_trace = leave_no_trace
        self._identity = f"{_IDENTITY}:{os.getpid()}@{platform.node()}:{uuid.uuid4().hex[:8]}"
        # A signal handler may run in a thread that is already in here.
        self._lock = threading.RLock()
        # The run that holds the catalog, and its start. Earlier runs do not belong to this worker.
        self._run_id = ""
        self._began = datetime.min.replace(tzinfo=timezone.utc)
        # Whether it has left the catalog, or ended it.
        self._gone = False
        # Whether something else has ended it.
        self._lost = False
        self._stopped = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Make `run` clean up and return. Calling it twice is harmless."""
        with self._lock:
            self._stopped = True
            if self._loop is not None and not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._stop.set)

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve the catalog until `stop`. Calls `ready` once the catalog answers.

        Raises `NotReachableError` and `CatalogTakenError`, and `TemporalError` if it cannot remove the runs
        that it started.
        """
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._stopped:
                return
        client = await self._unless_stopped(self._connected())
        if client is not None:
            await self._serve(client, ready)

    async def _serve(self, client: Client, ready: Callable[[], None]) -> None:
        try:
            joined = await self._begin_catalog(client)
        except RPCError as error:
            raise TemporalError(
                f"cannot begin catalog {self.offer.name!r} on Temporal at {self.target}: {error.message}"
            ) from None
        try:
            async with self._worker(client):
                if await self._unless_stopped(self._answers(client)):
                    if not joined:
                        await self._begin_first_runs(client)
                    ready()
                await self._unless_stopped(self._until_lost(client))
                await self._leave(client)
                if self._leave_no_trace and not self.shared:
                    await self._end_runs(client)
        except (RPCError, RuntimeError) as error:
            raise TemporalError(f"the worker on Temporal at {self.target} has failed: {error}") from error
        finally:
            await self._clean_up(client)

    async def _unless_stopped(self, work: Coroutine[Any, Any, T]) -> T | None:
        """The result of `work`, or None if the worker is stopped first."""
        doing, stop = asyncio.create_task(work), asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait((doing, stop), return_when=asyncio.FIRST_COMPLETED)
            return doing.result() if doing.done() else None
        finally:
            for task in (doing, stop):
                task.cancel()

    def _worker(self, client: Client) -> Worker:
        return Worker(
            client,
            task_queue=self.offer.name,
            identity=self._identity,
            workflows=[CatalogWorkflow, ScriptWorkflow],
            activities=[StepActivities(self.offer, client).perform],
            interceptors=[RefuseOtherWorkflows(self.offer)],
            workflow_runner=UnsandboxedWorkflowRunner(),
            # A step that only waits costs almost nothing.
            max_concurrent_activities=_STEPS_AT_ONCE,
            # A script that behaves differently on replay fails its run with a clear message. The default
            # would be to try again for ever.
            workflow_failure_exception_types=[NondeterminismError],
        )

    # Starting

    async def _connected(self) -> Client:
        where = f"Temporal at {self.target}"
        try:
            client = await asyncio.wait_for(
                Client.connect(
                    self.target,
                    namespace=self.namespace,
                    api_key=self._api_key,
                    tls=self._api_key is not None,
                    data_converter=CONVERTER,
                    identity=self._identity,
                    runtime=_runtime(),
                ),
                _CONNECT_TIMEOUT,
            )
        except (RuntimeError, ValueError, RPCError, asyncio.TimeoutError) as error:
            said = " ".join(str(error).split())[:300] or f"no answer within {_CONNECT_TIMEOUT:g} s"
            raise NotReachableError(
                f"cannot reach a {where} ({said}); start one (temporal server start-dev), or say where it is "
                "as HOST:PORT"
            ) from None
        try:
            await client.workflow_service.describe_namespace(
                DescribeNamespaceRequest(namespace=self.namespace), timeout=_RPC_TIMEOUT
            )
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                raise NotReachableError(
                    f"{where} has no namespace {self.namespace!r}; name another one, or make it with "
                    f"'temporal operator namespace create {self.namespace}'"
                ) from None
            if error.status in (RPCStatusCode.PERMISSION_DENIED, RPCStatusCode.UNAUTHENTICATED):
                raise NotReachableError(
                    f"{where} denies access to namespace {self.namespace!r} ({error.message}); set "
                    f"TEMPORAL_API_KEY"
                ) from None
            raise NotReachableError(f"{where} answers with an error: {error.message}") from None
        return client

    async def _begin_catalog(self, client: Client) -> bool:
        """Start the workflow that holds the catalog. Returns whether it was running already.

        Do not poll the task queue before this: it may belong to another worker.
        """
        pollers = await self._pollers(client)
        if foreign := [one for one in pollers if not one.startswith(_IDENTITY)]:
            raise self._taken(f"another worker ({foreign[0]}) serves it or did within the last minute")
        self.shared = bool(pollers)
        await self._refuse_foreign_runs(client)
        for _ in range(3):
            try:
                handle = await client.start_workflow(
                    CATALOG_TYPE,
                    self.offer.as_json(),
                    id=self.offer.name,
                    task_queue=self.offer.name,
                    memo=self.offer.memo(),
                    id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                    rpc_timeout=_RPC_TIMEOUT,
                )
                self._run_id = handle.result_run_id or ""
                self._own(await self._catalog(client).describe(rpc_timeout=_RPC_TIMEOUT))
                return False
            except WorkflowAlreadyStartedError:
                if await self._can_join(client):
                    return True
        raise self._taken("it keeps being started by somebody else")

    async def _can_join(self, client: Client) -> bool:
        """Whether the existing catalog is the same. Ends it if one of our workers left it behind."""
        handle = client.get_workflow_handle(self.offer.name)
        description = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
        if description.status != WorkflowExecutionStatus.RUNNING:
            return False
        known = str((await description.memo()).get("hash", ""))
        if known == self.offer.hash:
            self._own(description)
            return True
        if description.workflow_type != CATALOG_TYPE or not known.startswith(HASH_PREFIX):
            raise self._taken("another workflow with that id is running")
        if self.shared:
            raise self._taken("a worker with other scripts serves it")
        # A worker that has just started a catalog does not poll yet.
        if description.start_time > datetime.now(timezone.utc) - _POLLED_WITHIN:
            raise self._taken(
                "a worker with other scripts has begun it just now",
                or_else=f"try again in {_POLLED_WITHIN.total_seconds():g} s if that one has stopped",
            )
        await _terminate(client, self.offer.name, description.run_id)
        return False

    def _own(self, catalog: WorkflowExecutionDescription) -> None:
        self._run_id, self._began = catalog.run_id, catalog.start_time

    async def _refuse_foreign_runs(self, client: Client) -> None:
        """Raise if the task queue has open runs that do not belong to a catalog of ours.

        They wait for the worker of a real deployment that is down now. Our worker would fail them all.
        """
        catalogs: list[tuple[datetime, bool]] = []
        query = f'WorkflowId = "{self.offer.name}" AND WorkflowType = "{CATALOG_TYPE}"'
        async for one in client.list_workflows(query, rpc_timeout=_RPC_TIMEOUT):
            catalogs.append((one.start_time, str((await one.memo()).get("hash", "")).startswith(HASH_PREFIX)))
        catalogs.sort()
        query = f'TaskQueue = "{self.offer.name}" AND ExecutionStatus = "Running"'
        async for run in client.list_workflows(query, rpc_timeout=_RPC_TIMEOUT):
            before = bisect.bisect_right(catalogs, (run.start_time, True))
            if run.id == self.offer.name or (before and catalogs[before - 1][1]):
                continue
            if await self._runs_on(client, run.id, run.run_id):
                raise self._taken(
                    f"its task queue has open runs that no worker of output-mock had a catalog for, like "
                    f"{run.workflow_type} {run.id!r}; their own worker may be down",
                    or_else="end those runs first, if nobody needs them",
                )

    async def _runs_on(self, client: Client, workflow_id: str, run_id: str) -> bool:
        """Whether a run that Temporal lists as running really runs: lists may be out of date."""
        handle: WorkflowHandle[object, object] = client.get_workflow_handle(workflow_id, run_id=run_id)
        try:
            description = await handle.describe(rpc_timeout=_RPC_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            return False
        return description.status == WorkflowExecutionStatus.RUNNING

    def _taken(self, by: str, *, or_else: str = "stop the other one") -> CatalogTakenError:
        return CatalogTakenError(
            f"catalog {self.offer.name!r} is taken on Temporal at {self.target}, namespace "
            f"{self.namespace!r}: {by}; choose another name for the catalog, or {or_else}"
        )

    async def _pollers(self, client: Client) -> list[str]:
        """The identities of other workers on the task queue.

        Workers that have not polled since the catalog started served an earlier catalog.
        """
        answer = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=self.namespace,
                task_queue=TaskQueue(name=self.offer.name),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
            ),
            timeout=_RPC_TIMEOUT,
        )
        since = max(datetime.now(timezone.utc) - _POLLED_WITHIN, self._began)
        return [
            one.identity
            for one in answer.pollers
            if one.identity != self._identity and one.last_access_time.ToDatetime(tzinfo=timezone.utc) > since
        ]

    def _catalog(self, client: Client) -> WorkflowHandle[object, object]:
        """The run that this worker serves. Another run with that id belongs to another worker."""
        return client.get_workflow_handle(self.offer.name, run_id=self._run_id)

    async def _answers(self, client: Client) -> bool:
        """Wait until the catalog answers. Raises if it does not."""
        handle = self._catalog(client)
        deadline = asyncio.get_running_loop().time() + _READY_TIMEOUT
        while True:
            try:
                await handle.query(
                    "get", reject_condition=QueryRejectCondition.NOT_OPEN, rpc_timeout=_RPC_TIMEOUT
                )
                return True
            except WorkflowQueryRejectedError:
                raise self._no_longer_ours() from None
            except (RPCError, WorkflowQueryFailedError) as error:
                ended = isinstance(error, RPCError) and error.status == RPCStatusCode.NOT_FOUND
                if ended or asyncio.get_running_loop().time() > deadline:
                    raise TemporalError(
                        f"catalog {self.offer.name!r} does not answer on Temporal at {self.target}: {error}"
                    ) from None
            await asyncio.sleep(0.1)

    async def _begin_first_runs(self, client: Client) -> None:
        for run in self.offer.first_runs:
            try:
                await client.start_workflow(
                    self.offer.names[run.name],
                    args=[run.input],
                    id=run.workflow_id or _new_id(),
                    task_queue=self.offer.name,
                    execution_timeout=_EXECUTION_TIMEOUT,
                    rpc_timeout=_RPC_TIMEOUT,
                )
            except WorkflowAlreadyStartedError:
                # The catalog exists, which is enough.
                continue

    # Stopping

    async def _until_lost(self, client: Client) -> None:
        """Wait while the catalog exists. Raise once something else has ended it."""
        while True:
            try:
                await self._catalog(client).result(follow_runs=False)
            except WorkflowFailureError:
                pass
            except RPCError as error:
                if error.status != RPCStatusCode.NOT_FOUND:
                    # Temporal does not answer, but may come back.
                    await asyncio.sleep(1)
                    continue
            raise self._no_longer_ours()

    def _no_longer_ours(self) -> CatalogTakenError:
        # From here on, another worker may play the runs of the task queue.
        self._lost = True
        return CatalogTakenError(
            f"catalog {self.offer.name!r} is no longer this worker's on Temporal at {self.target}, namespace "
            f"{self.namespace!r}: somebody has ended it or begun it anew, and its runs are left as they are; "
            "choose another name for the catalog, or stop the other worker, and start this one again"
        )

    async def _end_runs(self, client: Client) -> None:
        """Terminate the catalog and all runs since its start, while a worker still exists."""
        await _terminate(client, self.offer.name, self._run_id)
        for workflow_id, run_id in await self._runs(client):
            await _terminate(client, workflow_id, run_id)

    async def _leave(self, client: Client) -> None:
        """End the catalog, unless other workers serve it.

        Temporal lists a worker for minutes after it has stopped. So workers that share a catalog tell the
        catalog when they leave. The worker that then reads that no other is left ends it.
        """
        try:
            latest = await client.get_workflow_handle(self.offer.name).describe(rpc_timeout=_RPC_TIMEOUT)
            if latest.run_id != self._run_id:
                raise self._no_longer_ours()
            self.shared = bool(await self._others(client))
        except RPCError as error:
            # The catalog has ended already.
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            self.shared = False
        if not self.shared:
            await _terminate(client, self.offer.name, self._run_id)
        self._gone = True

    async def _others(self, client: Client) -> list[str]:
        """The other workers of the catalog. This also tells them that this worker has left."""
        catalog = self._catalog(client)
        others = await self._pollers(client)
        if not others:
            return []
        await catalog.signal(LEAVE, self._identity, rpc_timeout=_RPC_TIMEOUT)
        left = await catalog.query(LEFT, rpc_timeout=_RPC_TIMEOUT)
        return [one for one in others if one not in left]

    async def _clean_up(self, client: Client) -> None:
        if self._lost:
            return
        try:
            if not self._gone:
                # It has failed, but other machines may continue.
                self.shared = bool(await self._pollers(client))
            if self.shared:
                return
            if self._leave_no_trace:
                await self._end_runs(client)
                await self._delete(client)
            else:
                await _terminate(client, self.offer.name, self._run_id)
        except RPCError as error:
            raise TemporalError(
                f"catalog {self.offer.name!r} could not be removed from Temporal at {self.target}: "
                f"{error.message}; terminate the workflow {self.offer.name!r} yourself"
            ) from None

    async def _runs(self, client: Client) -> set[tuple[str, str]]:
        """Every run of the task queue since the catalog began.

        These are the runs that Temporal lists, and the runs that this worker has played.
        """
        found = {one for one, began in list(self._played.items()) if began >= self._began}
        found.add((self.offer.name, self._run_id))
        query = f'TaskQueue = "{self.offer.name}" AND StartTime >= "{self._began.isoformat()}"'
        async for run in client.list_workflows(query, rpc_timeout=_RPC_TIMEOUT):
            found.add((run.id, run.run_id))
        return found

    async def _delete(self, client: Client) -> None:
        """Delete every run. Temporal does so later, and its lists may be out of date."""
        asked: set[tuple[str, str]] = set()
        for _ in range(_PASSES):
            found = await self._runs(client) - asked
            if asked and not found:
                return
            for workflow_id, run_id in found:
                await self._delete_run(client, WorkflowExecution(workflow_id=workflow_id, run_id=run_id))
            asked |= found
            await asyncio.sleep(_BETWEEN_PASSES)

    async def _delete_run(self, client: Client, execution: WorkflowExecution) -> None:
        try:
            await client.workflow_service.delete_workflow_execution(
                DeleteWorkflowExecutionRequest(namespace=self.namespace, workflow_execution=execution),
                timeout=_RPC_TIMEOUT,
            )
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise


async def _terminate(client: Client, workflow_id: str, run_id: str | None) -> None:
    handle: WorkflowHandle[object, object] = client.get_workflow_handle(workflow_id, run_id=run_id)
    try:
        await handle.terminate(reason=_REASON, rpc_timeout=_RPC_TIMEOUT)
    except RPCError as error:
        # The run has ended, or no longer exists.
        if error.status != RPCStatusCode.NOT_FOUND:
            raise


@functools.cache
def _runtime() -> Runtime:
    """The SDK's runtime, one for each process. Its log reports problems with Temporal.

    It does not report steps that end after their run: stopping and terminating cause that.
    """
    return Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(filter=_LOGGED)))


def _new_id() -> str:
    """An id in the same form as the real server's."""
    return secrets.token_urlsafe(24).replace("-", "x")[:21]
