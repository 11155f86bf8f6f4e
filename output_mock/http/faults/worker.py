"""Workers that go away."""

from __future__ import annotations

from typing import ClassVar

from output_mock.contract.schemas import DURATION
from output_mock.durations import format_duration, nanoseconds
from output_mock.http.faults.kind import AffectedRequest, Effect, Options, OptionSchemas


class WorkerAway(Effect):
    """The worker of the default catalog goes away for a while on the fake's clock (`worker_away`)."""

    options: ClassVar[OptionSchemas] = {
        "worker_away": {
            **DURATION,
            "description": "How long the worker of the default catalog goes away, on the world's clock.",
        }
    }

    def __init__(self, options: Options) -> None:
        self.length: int = nanoseconds(options["worker_away"])

    @property
    def is_nothing(self) -> bool:
        return not self.length

    def words(self) -> str:
        return f"send the worker away for {format_duration(self.length)}"

    def before(self, request: AffectedRequest) -> None:
        request.world.send_worker_away(self.length)
