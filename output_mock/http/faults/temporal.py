"""A Temporal that the server cannot reach."""

from __future__ import annotations

from typing import ClassVar

from output_mock.contract.schemas import flag
from output_mock.http.faults.kind import AffectedRequest, Effect, Options, OptionSchemas
from output_mock.http.response import WSGIResponse


class TemporalAway(Effect):
    """The server behind the API cannot reach Temporal (`temporal_away`); calls that do not need it work as
    usual.
    """

    options: ClassVar[OptionSchemas] = {
        "temporal_away": flag(
            "Whether the server cannot reach Temporal: it answers 500 after 20 s on the world's clock."
        )
    }
    affects_all: bool = False

    def __init__(self, options: Options) -> None:
        self.is_away: bool = options["temporal_away"]

    def words(self) -> str:
        return "cannot reach Temporal"

    def before(self, request: AffectedRequest) -> None:
        request.temporal_away = self.is_away

    def has_affected(self, request: AffectedRequest, response: WSGIResponse) -> bool:
        return request.temporal_failed
