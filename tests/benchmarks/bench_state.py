"""What `serve --state` and many snapshots of a world cost, as ratios within one run.

`pytest tests/benchmarks/bench_state.py -s` shows them; see `bench_speed.py` for how to read them.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_benchmark.fixture import BenchmarkFixture

from output_mock import OutputMock
from output_mock.control.saver import begun
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.state.snapshot import Snapshot
from tests.benchmarks.bench_speed import a_mock, run_one, show

RUNS = 3_000
TURNS = 5
CLOSED, SNAPSHOTS = 10_000, 100


@contextmanager
def kept(mock: OutputMock, path: Path) -> Iterator[None]:
    saver = begun(path, Worlds(mock), lambda _: None)
    try:
        yield
    finally:
        saver.close(60)


def seconds_of_runs(mock: OutputMock) -> float:
    """The CPU time of many runs, including the thread that saves them."""
    begin = time.process_time()
    for _ in range(RUNS):
        run_one(mock)
    return time.process_time() - begin


def test_a_run_costs_little_more_with_a_state_file(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    pairs = []
    for turn in range(TURNS):
        plain, written = a_mock(), a_mock()
        without = seconds_of_runs(plain)
        begin = time.process_time()
        with kept(written, tmp_path / f"state-{turn}"):
            seconds_of_runs(written)
        pairs.append((time.process_time() - begin, without))
        plain.close()
        written.close()
    one, other = (min(column) for column in zip(*pairs, strict=True))
    benchmark.extra_info["ratio"] = round(one / other, 3)
    mock = a_mock()
    with kept(mock, tmp_path / "state"):
        benchmark.pedantic(lambda: run_one(mock), rounds=1000, warmup_rounds=10)
    size = (tmp_path / "state-0").stat().st_size / RUNS
    show(benchmark.name, one / other, 2.5, f"{size:,.0f} bytes a run")


def test_many_snapshots_take_little_more_memory_than_the_world(benchmark: BenchmarkFixture) -> None:
    tracemalloc.start()
    mock = a_mock()
    for _ in range(CLOSED):
        run_one(mock)
    held = WorldEntry("one", mock, {})
    gc.collect()
    world = tracemalloc.get_traced_memory()[0]
    snapshots = [Snapshot.of(held.app) for _ in range(SNAPSHOTS)]
    gc.collect()
    both = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    benchmark.extra_info["ratio"] = round(both / world, 3)
    benchmark.pedantic(lambda: Snapshot.of(held.app), rounds=20, warmup_rounds=1)
    show(benchmark.name, both / world, 1.5, f"{len(snapshots)} snapshots of {CLOSED:,} closed runs")
