"""The API of one world: what all its requests share."""

from __future__ import annotations

from output_mock.contract.view import NEWEST, View
from output_mock.engine.ids import Ids
from output_mock.engine.world import World
from output_mock.http.faults import Faults
from output_mock.http.renderings import Renderings
from output_mock.http.under_way import UnderWay


class Api:
    """The world, its view for a version, its faults, and its tokens.

    `auth_token` is the token that requests must send (None: none).
    """

    def __init__(self, world: World, *, view: View = NEWEST, auth_token: str | None = None) -> None:
        self.world = world
        self.view = view
        self.auth_token = auth_token
        # The fingerprints of other valid tokens: those that select this world.
        self.tokens: frozenset[bytes] = frozenset()
        # The origins of pages that may read answers; None: all pages, as on the real server.
        self.cors_origins: frozenset[str] | None = None
        self.faults: Faults = Faults(world.seed)
        self.renderings: Renderings = Renderings(view)
        self.under_way: UnderWay = UnderWay()
        # On a virtual clock, the same ids every time. A separate source, so that looking at a run does not
        # change the ids of the next one.
        self.request_ids: Ids = Ids(world.seed + 1)
