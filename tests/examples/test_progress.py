"""The progress page shows each finished step, even if the connection is dropped meanwhile."""

from __future__ import annotations

import pytest
from publishing.approval import approve
from publishing.client import OutputClient
from publishing.progress import pages

from output_mock import OutputMock

pytestmark = pytest.mark.asyncio

PAGES = [
    "<h1>post-bees: running</h1><ol></ol>",
    "<h1>post-bees: running</h1><ol><li>draft: running</li></ol>",
    "<h1>post-bees: running</h1><ol><li>draft: done</li></ol>",
    "<h1>post-bees: running</h1><ol><li>draft: done</li><li>publish: running</li></ol>",
    "<h1>post-bees: running</h1><ol><li>draft: done</li><li>publish: done</li></ol>",
    "<h1>post-bees: completed</h1><ol><li>draft: done</li><li>publish: done</li></ol>",
]


@pytest.fixture(autouse=True)
def post(client: OutputClient, write_post: None) -> None:
    client.start("write_post", {"topic": "bees"}, workflow_id="post-bees")


async def test_the_page_shows_each_step(output_mock: OutputMock) -> None:
    output_mock.signal("post-bees", "review", {"approved": True}, after="1h")
    assert [page async for page in pages("post-bees")] == PAGES


@pytest.mark.output(clock="manual")
async def test_the_page_changes_when_the_run_continues(output_mock: OutputMock, client: OutputClient) -> None:
    shown = pages("post-bees")
    assert [await anext(shown), await anext(shown)] == PAGES[:2]
    output_mock.clock.advance("10m")
    assert await anext(shown) == PAGES[2]
    approve(client, "post-bees", by="ana")
    assert await anext(shown) == PAGES[3]
    output_mock.clock.advance("1m")
    assert [page async for page in shown] == PAGES[4:]


@pytest.mark.output(sleep="virtual")
@pytest.mark.parametrize("after", [0, 1, 9, 12, 20])
async def test_the_page_survives_a_dropped_connection(output_mock: OutputMock, after: int) -> None:
    output_mock.signal("post-bees", "review", {"approved": True}, after="1h")
    output_mock.cut_next_stream(after)
    assert [page async for page in pages("post-bees")] == PAGES
    first, second = output_mock.calls(route="history_stream")
    assert (first.headers["Last-Event-Id"], second.headers["Last-Event-Id"]) == ("0", str(after))
