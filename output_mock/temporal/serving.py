"""Offer scripts on a real Temporal for as long as a `with` block runs."""

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

    A worker in its own thread starts the catalog's workflow and runs the scripts. The `with` block begins
    once the catalog answers queries, and gets the catalog's name. A real API server on the same Temporal
    then runs them: `POST /workflow/run {"catalog": …, "workflowName": …}`.

    At the end, in any case, the catalog is terminated and the worker stops. With `leave_no_trace`, every run
    of the catalog's task queue that is not older than the catalog is terminated and deleted; older runs, and
    those of other task queues, are never touched. If other workers serve the same catalog, it stays, with
    its runs: the last worker cleans up. `traces` is the trace location that the API reports, by default the
    folder in the recordings; nothing is written there. `api_key` is for a Temporal that needs one, and
    implies TLS. `callbacks` says where requests of workflows go, by default to this machine only.

    Raises `NotReachableError` if no Temporal answers there or it has no such namespace, `CatalogTakenError`
    if another worker offers a catalog of that name or has open runs on its task queue, and `ValueError` for
    an invalid catalog name, and for two workflows with the same name.
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
