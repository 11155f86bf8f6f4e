"""What the plugin costs a test suite, as ratios between measurements of the same run.

`pytest tests/benchmarks/bench_plugin.py -s` shows them; see `bench_speed.py` for how to read them.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.bench_speed import show

# Measures whole tests, fixtures and hooks included, and what is left behind by many.
MEASURING = """
import gc, json, pathlib, resource, threading, time
import pytest

taken, marks = {}, []

@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    begun = time.perf_counter()
    yield
    taken.setdefault(item.path.stem, []).append(time.perf_counter() - begun)
    if sum(map(len, taken.values())) % 500 == 0:
        gc.collect()
        world = __import__("sys").modules.get("output_mock.engine.world")
        worlds = sum(isinstance(one, world.World) for one in gc.get_objects()) if world else 0
        kept = int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
        marks.append([worlds, sum(one.name != "output-mock-watchdog" for one in threading.enumerate()), kept])

def pytest_sessionfinish():
    # What a busy machine adds is no part of a test's cost: the quickest tenth has least of it.
    best = {name: sorted(times)[len(times) // 10] for name, times in taken.items()}
    pathlib.Path("measured.json").write_text(json.dumps({"best": best, "marks": marks}))
"""
EMPTY = """
def test_NUMBER():
    pass
"""
DECORATED = """
@responses.activate
def test_NUMBER():
    responses.post("http://output/workflow/run", json={"status": "completed", "output": {"total": 1}})
    answer = requests.post("http://output/workflow/run", json={"workflowName": "sum", "input": {"a": 1}})
    assert answer.json()["output"] == {"total": 1}
"""
IN_FIXTURE = """
def test_NUMBER(mocked):
    mocked.post("http://output/workflow/run", json={"status": "completed", "output": {"total": 1}})
    answer = requests.post("http://output/workflow/run", json={"workflowName": "sum", "input": {"a": 1}})
    assert answer.json()["output"] == {"total": 1}
"""
OURS = """
def test_NUMBER(output_mock):
    output_mock.workflow("sum").returns({"total": 1})
    url = f"{output_mock.url}/workflow/run"
    answer = requests.post(url, json={"workflowName": "sum", "input": {"a": 1}})
    assert answer.json()["output"] == {"total": 1}
"""
HEAD = """
import pytest, requests, responses

@pytest.fixture
def mocked():
    with responses.RequestsMock() as mock:
        yield mock

"""


def measured(folder: Path, files: dict[str, str]) -> dict[str, Any]:
    """Run test files in one pytest and return what its tests took."""
    (folder / "conftest.py").write_text(MEASURING)
    for name, code in files.items():
        (folder / f"{name}.py").write_text(code)
    others = [
        "cacheprovider",
        "randomly",
        "asyncio",
        "benchmark",
        "xdist",
        "cov",
        "anyio",
        "hypothesispytest",
        "schemathesis",
    ]
    options = [option for name in others for option in ("-p", f"no:{name}")]
    run = [sys.executable, "-m", "pytest", "-q", *options, *(f"{name}.py" for name in files)]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "measured.json").read_text())
    return found


def many(test: str, count: int = 200) -> str:
    return HEAD + "\n".join(test.replace("NUMBER", str(number)) for number in range(count))


def test_a_test_with_a_fake_costs_little_more_than_the_same_with_bare_responses(tmp_path: Path) -> None:
    kinds = {"empty": EMPTY, "decorated": DECORATED, "in_fixture": IN_FIXTURE, "ours": OURS}
    ratios: dict[str, list[float]] = {"decorated": [], "in_fixture": []}
    for _ in range(3):
        best = measured(tmp_path, {f"test_{name}": many(code) for name, code in kinds.items()})["best"]
        own = best["test_ours"] - best["test_empty"]
        for name, found in ratios.items():
            found.append(own / (best[f"test_{name}"] - best["test_empty"]))
    for name, target in (("in_fixture", 1.5), ("decorated", 1.5)):
        ratio = statistics.median(ratios[name])
        show(f"a test with output_mock over one with responses {name}", ratio, target)


def test_a_session_that_uses_no_fake_starts_hardly_later() -> None:
    code = (
        "import time; a = time.perf_counter(); import pytest, _pytest.main; b = time.perf_counter(); "
        "import pytest_output.plugin; print(b - a, time.perf_counter() - b)"
    )
    pairs = []
    for _ in range(7):
        printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        pairs.append([float(part) for part in printed.stdout.split()])
    ratio = statistics.median(plugin / own for own, plugin in pairs)
    milliseconds = statistics.median(plugin for _, plugin in pairs) * 1000
    show("the plugin's start over pytest's own", ratio, 0.1, f"{milliseconds:.1f} ms")


@pytest.mark.parametrize("fixture", ["output_server", "output_mock"])
def test_many_tests_leave_nothing_behind(tmp_path: Path, fixture: str) -> None:
    count = 1500
    code = f"""
import http.client, urllib.parse
import pytest, requests

@pytest.mark.parametrize("number", range({count}))
def test_it({fixture}, number):
    {fixture}.workflow("sum").returns(1)
    {fixture}.begin_with("sum", workflow_id="w")
    if "{fixture}" == "output_mock":
        assert requests.get({fixture}.url + "/workflow/w/status").status_code == 200
        return
    connection = http.client.HTTPConnection(urllib.parse.urlsplit({fixture}.url).netloc)
    connection.request("GET", "/workflow/w/status")
    assert connection.getresponse().read()
    connection.close()
"""
    marks = measured(tmp_path, {"test_many": code})["marks"]
    (worlds, threads, kept), (worlds_then, threads_then, kept_then) = marks[0], marks[-1]
    growth = (kept_then - kept) / (count - 500)
    print(f"\n{fixture}: {threads} threads, then {threads_then}; {growth:.0f} bytes a test, pytest's too")
    # A few may be under way at that moment. What every test left behind would be a thousand.
    assert max(worlds, worlds_then) <= 4
    assert max(threads, threads_then) <= 4
    # What pytest itself keeps of a test, its report above all, is most of it.
    assert growth < 20_000
