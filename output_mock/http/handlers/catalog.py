"""Which workflows there are (routing, worker_down)."""

from __future__ import annotations

from output_mock.contract.reply import Reply
from output_mock.http.api_request import ApiRequest


def catalog(request: ApiRequest) -> Reply:
    """`/workflow/catalog`, of the default catalog or of the one of that name."""
    world = request.world
    return Reply(world.query(request.id or world.default_catalog, "get"))
