"""Sequences of requests: workflows are started, then something is done to them and they are looked at.

A sequence is a scenario, so that what it finds can be recorded and replayed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from hypothesis import strategies as st

from output_mock.comparing.requests import PATIENCE, Actor, actor_of, calls, starting
from output_mock.comparing.values import Strategy
from output_mock.comparing.vocabulary import Workflow
from output_mock.recording.scenario import Scenario, Step

_Draw = Callable[[Strategy], Any]
_MOST_RUNS, _MOST_CALLS = 2, 7
# The name of a sequence until it has shown a difference.
_NAME = "sequence"


def sequences(workflows: Sequence[Workflow], settle: float) -> Strategy:
    """Scenarios with these workflows. They wait this many seconds after a request that changes a run."""
    return _steps(tuple(workflows), settle).map(scenario_of)


def scenario_of(steps: Sequence[dict[str, Any]]) -> Scenario:
    """The scenario of these steps."""
    return Scenario(_NAME, tuple(Step(step) for step in steps))


@st.composite
def _steps(draw: _Draw, workflows: tuple[Workflow, ...], settle: float) -> list[dict[str, Any]]:
    begun = draw(st.lists(st.sampled_from(workflows), min_size=1, max_size=_MOST_RUNS))
    actors = tuple(actor_of(number, workflow) for number, workflow in enumerate(begun, 1))
    steps: list[dict[str, Any]] = []
    for actor in actors:
        steps += [draw(starting(actor)), {"wait": settle}]
    for some in draw(st.lists(_anything(actors, workflows, settle), min_size=1, max_size=_MOST_CALLS)):
        steps += some
    return _pages_named(steps)


@lru_cache
def _anything(actors: tuple[Actor, ...], workflows: tuple[Workflow, ...], settle: float) -> Strategy:
    one = calls(actors, workflows).map(
        lambda call: [dict(call.step), *([{"wait": settle}] if call.changes else [])]
    )
    return st.one_of(one, one, one, one, one, _paging(actors), _waiting(actors))


def _waiting(actors: tuple[Actor, ...]) -> Strategy:
    """Wait until a run is closed, or had enough time to settle."""
    ended = ["completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new"]
    return st.sampled_from(actors).map(
        lambda actor: [
            {
                "request": f"GET /workflow/{{{{{actor.id}}}}}/status",
                "until": {"status": ended},
                "within": "3s",
                "every": "250ms",
            }
        ]
    )


def _paging(actors: tuple[Actor, ...]) -> Strategy:
    """A history page by page, or a long poll for what comes after it."""
    return st.builds(
        lambda actor, path, size, more, payloads: [
            {
                "request": f"GET {path.format(id=actor.id, run=actor.run)}?pageSize={size}{more}{payloads}",
                "save": {"page": "nextPageToken"},
            },
            {
                "request": f"GET {path.format(id=actor.id, run=actor.run)}?pageSize={size}{payloads}"
                f"&runId={{{{{actor.run}}}}}&pageToken={{{{page}}}}{more}",
                "timeout": PATIENCE,
                "save": {"page": "nextPageToken"},
            },
        ],
        st.sampled_from(actors),
        st.sampled_from(
            ["/workflow/{{{{{id}}}}}/history", "/workflow/{{{{{id}}}}}/runs/{{{{{run}}}}}/history"]
        ),
        st.sampled_from(["5", "1", "2", "50"]),
        st.sampled_from(["", "&longPollTimeoutMs=1500", "&longPollTimeoutMs=300"]),
        st.sampled_from(["", "&includePayloads=true"]),
    )


def _pages_named(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The same with a different variable for each page token, so that they are not mixed up."""
    named, number = [], 0
    for step in steps:
        line, saved = step.get("request", ""), step.get("save", {})
        step = {**step, "request": line.replace("{{page}}", f"{{{{page{number}}}}}")} if line else step
        if "page" in saved:
            number += 1
            step["save"] = {f"page{number}": saved["page"]}
        named.append(step)
    return named
