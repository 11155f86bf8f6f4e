"""How long things take that take no time in a script."""

from __future__ import annotations

from dataclasses import dataclass

from output_mock.durations import MILLISECOND
from output_mock.engine.clock import Mode


@dataclass(frozen=True, slots=True)
class Latency:
    """How long things take that take no time in a script, in nanoseconds."""

    first_task: int = 0
    task: int = 0
    step: int = 0
    # From a signal to the answer to its sender.
    signal: int = 0


# About as long as on the deployment that was recorded, so that a client on a real clock sees a run that
# it has just started running, as it would there. A client that sends signals one after another gets them in
# at least 10 ms apart (fact_signals_early), and so each has a workflow task of its own (approval).
_REAL_LATENCY = Latency(
    first_task=20 * MILLISECOND, task=5 * MILLISECOND, step=5 * MILLISECOND, signal=10 * MILLISECOND
)


def latency_of(mode: Mode) -> Latency:
    """How long things take on a clock of this mode that take no time in a script."""
    return _REAL_LATENCY if mode == "real" else Latency()
