"""Answers of a world where the real server would wait for ever, or in cases that it cannot have.

The real server never sends these answers.
"""

from __future__ import annotations

from enum import Enum

from output_mock.contract.errors import OutputError


class WorldStuckError(OutputError):
    """A script blocks the world: it does not return. The message says which one, with file and line.

    The real server never answers this, as a stuck worker is another process there.
    """

    name = "WorldStuckError"
    status = 503
    retry_after: int | None = 3

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"this world is stuck: {holder}. All other requests to it have to wait for that. In the script, "
            f"use "
            "ctx.sleep instead of time.sleep, and ctx.step(…, returns=…, takes=…) for what comes from "
            "outside. To go on now, wipe the world (POST /__mock__/world/wipe) or delete it "
            "(DELETE /__mock__/worlds/NAME)"
        )
        self.holder = holder
        self.unmatched_reason: str | None = self.message


class WorldBusyError(OutputError):
    """The world had so much to do at once that the request was not started.

    The real server never answers this.
    """

    name = "WorldBusyError"
    status = 503
    retry_after: int | None = 3

    def __init__(self) -> None:
        super().__init__(
            "this world has been busy for so long that this request was not begun. Too much happens at "
            "once: the clock moved far, there are many runs, or a snapshot is made. Try again later, or "
            "wipe the world (POST /__mock__/world/wipe)"
        )
        self.unmatched_reason: str | None = self.message


class Ending(Enum):
    """Why all waiting for something in a world has ended. The values say it in words."""

    CLOSED = "the fake was closed"
    WIPED = "its world was wiped"
    RESTORED = "its world went back to a snapshot"
    DELETED = "its world was deleted"
    STOPPED = "the server stops"

    def error(self, workflow_id: str | None = None) -> WaitEndedError:
        """The error for a request that waits for this workflow (None: for something else)."""
        return WaitEndedError(self, workflow_id)


class WaitEndedError(OutputError):
    """What the request waited for cannot come: its world was wiped, restored or deleted, or the server stops.

    410, or 503 when the server stops.

    The real server never answers this; it cuts the connection when it stops.
    """

    name = "WaitEndedError"

    def __init__(self, ending: Ending, workflow_id: str | None = None) -> None:
        what = "" if workflow_id is None else f" for workflow {workflow_id!r}"
        then = (
            "send the request again when it is back"
            if ending is Ending.STOPPED
            else "its old runs are gone, so start the workflow again"
        )
        super().__init__(f"while this request waited{what}, {ending.value}; {then}", workflow_id=workflow_id)
        self.status = 503 if ending is Ending.STOPPED else 410


class StalledError(OutputError):
    """The request waits for something that only another request can bring, and none came for ten seconds.

    The real server would keep waiting; a test should not.
    """

    name = "StalledError"

    def __init__(self, message: str, *, workflow_id: str | None = None) -> None:
        super().__init__(message, workflow_id=workflow_id)
        self.unmatched_reason: str | None = message
