"""Scripts on a real Temporal for as long as a `with` lasts, whatever else the program does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

from output_mock.callbacks.sending import Callbacks
from output_mock.engine.trace_storage import Traces
from output_mock.scripts.script import Scripted
from output_mock.temporal.served_catalog import ServedCatalog
from output_mock.temporal.worker import ScriptWorker


@contextmanager
def serve_on_temporal(
    script: Scripted | Sequence[Scripted],
    *,
    target: str = "127.0.0.1:7233",
    namespace: str = "default",
    catalog: str = "main",
    traces: Traces | None = None,
    api_key: str | None = None,
    leave_no_trace: bool = True,
    callbacks: Callbacks | None = None,
) -> Iterator[str]:
    """Offer the workflows of a script (or of several) in a catalog on the Temporal at `target`.

    A worker in a thread of its own begins the catalog's workflow and plays the scripts; the `with` is
    entered once the catalog answers queries, and gives the catalog's name. A real API server on the same
    Temporal then runs them: `POST /workflow/run {"catalog": …, "workflowName": …}`.

    At the end, however it comes, the catalog is terminated, the worker leaves, and with `leave_no_trace`
    every run of the catalog's task queue that began no earlier than the catalog is terminated and deleted;
    older runs, and those of other task queues, are never touched. While other workers serve the same catalog
    it stays, with its runs: the last one to go cleans up. `traces` says where traces are said to be (nobody
    writes them), by default in the folder of the recordings; `api_key` is for a Temporal that asks for one,
    which is then spoken to with TLS; `callbacks` says where requests of workflows go, by default to this
    machine only.

    Raises `NotReachableError` when no Temporal answers there or it has no such namespace,
    `CatalogTakenError` when somebody else offers a catalog of that name or has open runs on its task queue,
    and `ValueError` for a catalog's name with other signs than letters, digits and _ . @ -, and for workflows
    whose names clash.
    """
    scripts = [script] if isinstance(script, Scripted) else list(script)
    offer = ServedCatalog(catalog, scripts, traces or Traces(), callbacks)
    worker = ScriptWorker(
        offer, target=target, namespace=namespace, api_key=api_key, leave_no_trace=leave_no_trace
    )
    ready: Future[None] = Future()
    thread = threading.Thread(target=_work, args=(worker, ready), name=f"worker of {catalog}", daemon=True)
    thread.start()
    try:
        ready.result()
        yield catalog
    finally:
        worker.stop()
        thread.join()
    if worker.problem is not None:
        raise worker.problem


def _work(worker: ScriptWorker, ready: Future[None]) -> None:
    try:
        asyncio.run(worker.run(lambda: ready.set_result(None)))
    except BaseException as error:
        if ready.done():
            worker.problem = error
        else:
            ready.set_exception(error)
    else:
        if not ready.done():
            ready.cancel()
