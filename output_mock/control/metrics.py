"""Counts for Prometheus, in its text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from output_mock.contract.schemas import JsonSchema, text
from output_mock.control.operation import ControlOperation, ControlRequest, ControlResponse
from output_mock.http.request_counts import RequestCounts
from output_mock.version import version

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SCHEMAS: dict[str, JsonSchema] = {}

Labels = Mapping[str, object]


class _Metric(NamedTuple):
    """A metric, with a value for each set of labels."""

    name: str
    kind: str
    about: str
    samples: Iterable[tuple[str, Labels, float]]

    def lines(self) -> Iterable[str]:
        """The lines for Prometheus."""
        yield f"# HELP {self.name} {self.about}"
        yield f"# TYPE {self.name} {self.kind}"
        for suffix, labels, value in self.samples:
            shown = ",".join(f'{name}="{_escaped(str(one))}"' for name, one in labels.items())
            yield f"{self.name}{suffix}{{{shown}}} {value!r}" if shown else f"{self.name}{suffix} {value!r}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _one(name: str, kind: str, about: str, value: float) -> _Metric:
    return _Metric(name, kind, about, [("", {}, value)])


def _metrics(request: ControlRequest) -> Iterable[_Metric]:
    worlds = request.visible()
    counts = RequestCounts()
    for entry in worlds:
        counts.include(entry.app.counts)
    if request.entry is request.worlds.default:
        counts.include(request.worlds.gone)
    answered = sorted(counts.answered.items())
    yield _Metric(
        "output_mock_info",
        "gauge",
        "The version of output-mock, and the versions that this world stands in for.",
        [
            (
                "",
                {
                    "version": version(),
                    "api_version": request.entry.world.deployment.api,
                    "sdk_version": request.entry.world.deployment.sdk,
                },
                1,
            )
        ],
    )
    yield _Metric(
        "output_mock_requests_total",
        "counter",
        "Requests to the API, by route and status. Status 0 means that the answer was lost on the way.",
        [("", {"route": route, "status": status}, number) for (route, status), number in answered],
    )
    by_route: dict[str, int] = {}
    for (route, _), number in answered:
        by_route[route] = by_route.get(route, 0) + number
    yield _Metric(
        "output_mock_request_duration_seconds",
        "summary",
        "Seconds of real time until the answer, or until a stream's first byte.",
        [
            sample
            for route, number in by_route.items()
            for sample in (
                ("_sum", {"route": route}, round(counts.seconds[route], 6)),
                ("_count", {"route": route}, number),
            )
        ],
    )
    yield _one(
        "output_mock_unmatched_requests_total",
        "counter",
        "Requests that no script matches.",
        counts.unmatched,
    )
    for name, about, value in (
        ("worlds", "The number of worlds.", len(worlds)),
        ("runs_open", "Runs that have not ended.", sum(entry.world.open_runs for entry in worlds)),
        (
            "runs_closed",
            "Runs that have ended and are kept.",
            sum(entry.world.closed_runs for entry in worlds),
        ),
        (
            "requests_waiting",
            "Requests that are waiting at the moment.",
            sum(h.app.waiting_requests() for h in worlds),
        ),
        ("faults", "Faults that are still active.", sum(len(entry.app.faults) for entry in worlds)),
        (
            "script_errors",
            "Mistakes in scripts, in all current worlds.",
            sum(len(entry.world.script_errors) for entry in worlds),
        ),
    ):
        yield _one(f"output_mock_{name}", "gauge", about, value)
    yield _one(
        "output_mock_runs_removed_total",
        "counter",
        "Ended runs that were removed because there were more than the server keeps, in all worlds.",
        request.entry.world.kept_runs.gone,
    )


def show(request: ControlRequest) -> ControlResponse:
    """All metrics."""
    lines = [line for metric in _metrics(request) for line in metric.lines()]
    return ControlResponse(200, "".join(f"{line}\n" for line in lines))


OPERATIONS = [
    ControlOperation(
        "getMetrics",
        "GET",
        "/metrics",
        "Counts for Prometheus, over all worlds; below `/w/NAME`, for one world.",
        show,
        {200: text("Prometheus' text format.")},
        media_type=MEDIA_TYPE,
    ),
]
