"""Compares the memory limit that docs/guides/scaling.md states with what Python really allocates.

`pytest tests/benchmarks/bench_memory.py -s` prints both. Bytes are counted (`tracemalloc`), so it does not
matter how fast the machine is.
"""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.http.journal import Journal
from tests.benchmarks.soaked import script

KEEP_RUNS = 100
# The formula of docs/guides/scaling.md: for each kept run so many bytes an event, and its payloads.
AN_EVENT = 500
JOURNAL = 2**19
# What any fake holds: its application, its workflows, the caches of Python.
BESIDES = 2**20


@pytest.mark.parametrize(
    ("workflow", "signals", "size", "events"),
    [("sum", 0, 10, 19), ("sum", 0, 20_000, 19), ("gather", 1, 10, 23), ("gather", 10, 2_000, 59)],
)
def test_the_memory_of_a_long_lived_fake_stays_below_what_the_readme_says(
    workflow: str, signals: int, size: int, events: int
) -> None:
    mock = OutputMock(scripts=[script], keep_runs=KEEP_RUNS)
    mock.app.calls = Journal(1_000, most_bytes=JOURNAL)
    client = mock.app.test_client()

    def play(number: int) -> None:
        given = {"a": 1, "b": 2, "text": "x" * size}
        workflow_id = f"{workflow}-{number}"
        body = {"workflowName": workflow, "workflowId": workflow_id, "input": given}
        assert client.post("/workflow/start", json=body).status_code == 200
        for signal in range(signals):
            payload: dict[str, Any] = {"last": signal == signals - 1, "text": "y" * size}
            answer = client.post(f"/workflow/{workflow_id}/signal/item", json={"payload": payload})
            assert answer.status_code == 200
        run = mock.world.find(workflow_id)
        mock.world.wait(run, lambda: not run.running, until=None)
        assert len(run.history) == events

    def held() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    play(0)
    gc.collect()
    tracemalloc.start()
    try:
        sizes = []
        for third in range(3):
            for number in range(KEEP_RUNS):
                play(1 + third * KEEP_RUNS + number)
            sizes.append(held())
    finally:
        tracemalloc.stop()
    payloads = (1 + signals) * (size + 200)
    bound = KEEP_RUNS * (AN_EVENT * events + payloads) + JOURNAL + BESIDES
    print(
        f"\n{workflow}, {signals} signals of {size}: {sizes[-1] / 1e6:.1f} MB of at most {bound / 1e6:.1f} MB"
    )
    assert mock.world.kept_runs.gone == 2 * KEEP_RUNS + 1
    assert sizes[-1] <= bound
    assert sizes[-1] <= 1.15 * sizes[0] + JOURNAL
