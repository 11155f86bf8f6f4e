"""A workflow writes a post, and publishes it once somebody has approved it."""

from __future__ import annotations

import time
from collections.abc import Callable

from publishing.client import POLL_EVERY, OutputClient, StillRunning

# In seconds.
WRITTEN_WITHIN = 3600.0
REVIEWED_WITHIN = 24 * 3600.0


class NotReviewed(Exception):
    """Nobody has approved or rejected the post in time."""


def publish(client: OutputClient, topic: str, ask: Callable[[str, str], None]) -> str:
    """Have a post written, `ask` somebody to review it (with its id and its draft), and return its URL.

    Raises `RunFailed` when it is rejected, `NotReviewed` when nobody answers: the run is stopped then.
    """
    post = f"post-{topic}"
    client.start("write_post", {"topic": topic}, workflow_id=post)
    ask(post, draft_of(client, post))
    try:
        url: str = client.wait(post, within=REVIEWED_WITHIN)["url"]
    except StillRunning:
        client.stop(post)
        raise NotReviewed(f"{post}: nobody has reviewed it") from None
    return url


def draft_of(client: OutputClient, post: str) -> str:
    """The draft, once there is one. Raises `StillRunning` when it is not written in time."""
    deadline = time.monotonic() + WRITTEN_WITHIN
    while (progress := client.query(post, "progress"))["stage"] != "review":
        if time.monotonic() >= deadline:
            raise StillRunning(f"{post} is not written yet")
        time.sleep(POLL_EVERY)
    draft: str = progress["draft"]
    return draft


def approve(client: OutputClient, post: str, *, by: str) -> None:
    """Approve the post."""
    client.signal(post, "review", {"approved": True, "by": by})


def reject(client: OutputClient, post: str, *, by: str, why: str) -> None:
    """Reject the post."""
    client.signal(post, "review", {"approved": False, "by": by, "why": why})
