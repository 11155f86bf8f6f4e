"""The approval of a post, and what happens when nobody reviews it."""

from __future__ import annotations

import pytest
from publishing.approval import NotReviewed, approve, publish, reject
from publishing.client import OutputClient, RunFailed

from output_mock import OutputMock, called, queried, signalled, started, stopped

# Runs may take two days where this is deployed; the API's default is one.
pytestmark = [
    pytest.mark.output(sleep="virtual", execution_timeout="48h"),
    pytest.mark.usefixtures("write_post"),
]


def nobody(post: str, draft: str) -> None:
    """Ask nobody for a review."""


def test_an_approved_post_is_published(output_mock: OutputMock, client: OutputClient) -> None:
    url = publish(client, "bees", ask=lambda post, draft: approve(client, post, by="ana"))
    assert url == "https://blog.example/bees"
    output_mock.assert_called_in_order(
        started("write_post", {"topic": "bees"}),
        queried("post-bees", "progress"),
        signalled("post-bees", "review", {"approved": True, "by": "ana"}),
    )


def test_a_rejected_post_is_not_published(output_mock: OutputMock, client: OutputClient) -> None:
    with pytest.raises(RunFailed, match="too long"):
        publish(client, "bees", ask=lambda post, draft: reject(client, post, by="ben", why="too long"))
    output_mock.assert_called_only(started("write_post"), signalled("post-bees"))


def test_the_reviewer_is_shown_the_draft(client: OutputClient) -> None:
    asked = []

    def ask(post: str, draft: str) -> None:
        asked.append((post, draft))
        approve(client, post, by="ana")

    publish(client, "bees", ask)
    assert asked == [("post-bees", "All about bees.")]


def test_a_post_can_be_approved_a_day_later(output_mock: OutputMock, client: OutputClient) -> None:
    output_mock.workflow("write_post").receives("review", {"approved": True}, after="24h")
    assert publish(client, "bees", ask=nobody) == "https://blog.example/bees"


@pytest.mark.output(clock="manual")
def test_a_post_that_nobody_reviews_is_stopped_after_24_hours(
    output_mock: OutputMock, client: OutputClient
) -> None:
    with pytest.raises(NotReviewed):
        publish(client, "bees", ask=nobody)
    # On a manual clock no time is skipped: the client polled every five minutes.
    output_mock.assert_called(called("status", workflow_id="post-bees"), times=24 * 12 + 1)
    output_mock.assert_called(stopped("post-bees"), times=1)
    assert output_mock.runs["post-bees"].status == "cancelled"
