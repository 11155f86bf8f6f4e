"""`/history/stream`: server-sent events that follow a run (stream_completed, stream_live, stream_chain)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

from output_mock.contract.errors import OutputError
from output_mock.contract.events import Event, WorkflowExecutionContinuedAsNew
from output_mock.contract.view import View
from output_mock.engine.run import Run
from output_mock.engine.world import World
from output_mock.http.faults import Dropped
from output_mock.http.pages import described
from output_mock.http.renderings import Renderings
from output_mock.http.responses import error_body
from output_mock.javascript_json import to_bytes

KEEPALIVE = 15.0
# How many batches go into one frame: as many as the real server fetches at once.
_FRAME_BATCHES = 50
# About how many bytes are passed on at once: a client that does not read keeps no more than that in memory.
_PIECE = 64 * 1024


class Client:
    """The client that a stream is for: whether it is still there."""

    def __init__(self, run: Run) -> None:
        self.gone: bool = False
        self._run = run

    def leave(self) -> None:
        """The client has disconnected, so stop waiting for it.

        Any thread may call this. It takes no lock, as a script may hold it for long. If the stream begins to
        wait at this moment, it ends with the next comment instead.
        """
        self.gone = True
        self._run.latest().wake()


def nothing() -> Generator[bytes, None, None]:
    """The frames for a HEAD request, which nobody reads."""
    yield from ()


def frames(
    world: World,
    run: Run,
    client: Client,
    renderings: Renderings,
    view: View,
    *,
    after: int,
    include_payloads: bool,
    cut_after: int | None = None,
    not_cut: Callable[[], object] = lambda: None,
) -> Generator[bytes, None, None]:
    """The frames of a stream that begins after event number `after`, until the run has closed.

    A large frame comes in pieces, each of which is made when it is asked for. While nothing happens the
    iterator waits, and yields a comment every 15 seconds. It ends early when its client has gone, and with a
    frame `server_error` if the run cannot be followed any more: its world has ended or is stuck, or the
    server stops. With `cut_after` it sends this many events and then raises `Dropped`. If it ends before
    that, it calls `not_cut` once: before its last frame, so that the client cannot have seen the end yet.
    """
    ended = False

    def whole() -> None:
        nonlocal ended
        if not ended:
            ended = True
            not_cut()

    try:
        yield from _followed(world, run, client, renderings, view, after, include_payloads, cut_after, whole)
    except OutputError as problem:
        whole()
        yield last_frame(run, view, problem)
    except Dropped:
        ended = True
        raise
    finally:
        whole()


def last_frame(run: Run, view: View, problem: OutputError) -> bytes:
    """The frame `server_error`, after which nothing comes."""
    told = {**error_body(problem), "workflowId": run.workflow_id, "runId": run.run_id}
    return _frame(view, "server_error", told)


def _followed(
    world: World,
    run: Run,
    client: Client,
    renderings: Renderings,
    view: View,
    after: int,
    include_payloads: bool,
    cut_after: int | None,
    whole: Callable[[], None],
) -> Generator[bytes, None, None]:
    lock = world.clock.lock
    with lock:
        workflow = {**described(run, view), "closed": not run.running}
        first = 0
    yield _frame(view, "workflow", workflow)
    while True:
        with lock:
            shown = view.history(run)
            ends = shown.batches
            last = min(first + _FRAME_BATCHES, len(ends))
            begin, end = ends[first - 1] if first else 0, ends[last - 1] if last else 0
            begin = max(begin, min(after, end))
            fresh = shown.events[begin:end]
            first = last
            drained = last == len(ends)
            closing = shown.events[-1] if drained and not run.running else None
        if cut_after is not None:
            fresh, cut_after = fresh[:cut_after], cut_after - len(fresh)
        if fresh:
            yield from _events(run, begin, fresh, renderings, include_payloads)
        if cut_after is not None and cut_after <= 0:
            raise Dropped
        if closing is not None:
            whole()
            yield _frame(view, "done", _done(closing))
            return
        if not drained:
            continue
        moved = world.wait(run, _longer_than(run, view, first, client), until=None, wall=KEEPALIVE)
        if client.gone:
            return
        if not moved:
            yield b": keepalive\n\n"


def _events(
    run: Run, before: int, events: list[Event], renderings: Renderings, include_payloads: bool
) -> Iterator[bytes]:
    """The frame of the events that come after `before` others."""
    piece = bytearray(b"id: %d\nevent: history\ndata: [" % (before + len(events)))
    for number, event in enumerate(events, before + 1):
        if number > before + 1:
            piece += b","
        rendered = renderings.of(run, number, event, include_payloads=include_payloads)
        if len(piece) + len(rendered.content) < _PIECE:
            piece += rendered.content
            continue
        yield bytes(piece)
        piece.clear()
        for begin in range(0, len(rendered.content), _PIECE):
            yield rendered.content[begin : begin + _PIECE]
    yield bytes(piece + b"]\n\n")


def _longer_than(run: Run, view: View, batches: int, client: Client) -> Callable[[], bool]:
    return lambda: len(view.history(run).batches) > batches or client.gone


def _done(closing: Event) -> dict[str, Any]:
    reason = {"reason": closing.name}
    if isinstance(closing, WorkflowExecutionContinuedAsNew):
        reason["newRunId"] = closing.new_run_id
    return reason


def _frame(view: View, name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + to_bytes(view.frame(name, data)) + b"\n\n"
