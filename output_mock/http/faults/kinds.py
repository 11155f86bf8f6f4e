"""All kinds of faults, in the order in which they are described and applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from output_mock.durations import Duration
from output_mock.http.faults.body import DribbledBody, MalformedBody
from output_mock.http.faults.connection import DroppedConnection, Loss
from output_mock.http.faults.delays import WrittenDelay
from output_mock.http.faults.error_answer import ErrorAnswer
from output_mock.http.faults.kind import Condition, Effect, Kind
from output_mock.http.faults.lateness import Late
from output_mock.http.faults.limits import ExpiringToken, RateLimit
from output_mock.http.faults.storage import StorageTrouble
from output_mock.http.faults.streams import CutStream
from output_mock.http.faults.temporal import TemporalAway
from output_mock.http.faults.worker import WorkerAway
from output_mock.http.trace_log import Trouble

CONDITIONS: tuple[type[Condition], ...] = (RateLimit, ExpiringToken)
EFFECTS: tuple[type[Effect], ...] = (
    ErrorAnswer,
    Late,
    DroppedConnection,
    MalformedBody,
    DribbledBody,
    CutStream,
    StorageTrouble,
    WorkerAway,
    TemporalAway,
)
KINDS: tuple[type[Kind], ...] = (*CONDITIONS, *EFFECTS)


class FaultOptions(TypedDict, total=False):
    """The keywords of all kinds, for type checkers."""

    status: int | None
    body: Any
    headers: Mapping[str, str] | None
    retry_after: int | None
    limit: int | None
    per: Duration
    token_lasts: Duration | None
    delay: WrittenDelay
    wall: bool
    drop: Loss | None
    reset: bool
    malformed: bool
    dribble: Duration
    cut_after: int | None
    worker_away: Duration
    temporal_away: bool
    s3: Trouble | None
