"""Presets: faults that occur together on real networks, under a name."""

from __future__ import annotations

from collections.abc import Callable

from output_mock.http.faults.fault import Fault
from output_mock.suggestions import nearest


def _flaky() -> list[Fault]:
    return [
        Fault(status=503, retry_after=1, probability=0.1),
        Fault(status=502, probability=0.03),
        Fault(drop="answer", reset=True, probability=0.04),
        Fault(drop="body", reset=True, probability=0.02),
        Fault(drop="body", probability=0.02),
        Fault(malformed=True, probability=0.02),
        Fault(cut_after=3, route="history_stream", probability=0.3),
    ]


def _slow() -> list[Fault]:
    return [
        Fault(delay={"lognormal": {"median": "400ms", "sigma": 0.6}}, wall=True, times="always"),
        Fault(dribble="1s", probability=0.1),
    ]


def _deploying() -> list[Fault]:
    return [
        # Neither the worker nor its catalog exists yet.
        Fault(status=503, route="run", times=3),
        Fault(status=503, route="start", times=3),
        Fault(status=503, route="catalog", times=3),
        # The old version of the API stops during a request, and the new one is not up yet.
        Fault(drop="request", reset=True, after=5, times=1),
        Fault(status=502, after=6, times=2),
        # The worker is replaced last.
        Fault(worker_away="30s", route="run", after=5, times=1),
        Fault(worker_away="30s", route="start", after=5, times=1),
    ]


# What each is, in words, and what makes its faults.
PRESETS: dict[str, tuple[str, Callable[[], list[Fault]]]] = {
    "flaky": (
        "One call in five fails: 503 with Retry-After, 502, connections reset before or in the body, broken "
        "JSON. Streams are cut.",
        _flaky,
    ),
    "slow": (
        "Answers are about 400 ms late in real time, some much later. One body in ten arrives in small "
        "pieces.",
        _slow,
    ),
    "deploying": (
        "The first three calls that need the catalog find none. Then the API restarts. Then the worker goes "
        "away for 30 seconds on the fake's clock.",
        _deploying,
    ),
}


def preset(name: str) -> list[Fault]:
    """The faults of a preset, new ones each time. Raises `ValueError` for an unknown name."""
    if name not in PRESETS:
        raise ValueError(
            f"there is no preset {name!r}{nearest(name, list(PRESETS))}; presets are {', '.join(PRESETS)}"
        )
    faults = PRESETS[name][1]()
    for fault in faults:
        fault.of_preset = True
    return faults
