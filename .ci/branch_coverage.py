"""A pytest plugin that measures branch coverage with SlipCover: `PYTHONPATH=.ci pytest -p branch_coverage`.

SlipCover writes its probes into the code that is measured. coverage.py has Python call it for each function
on Python 3.11 and earlier, also for those of other packages, which doubles the time of the tests.
What runs in the processes that tests start is not counted.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from typing import Any

import pytest
import slipcover
from _pytest.assertion.rewrite import AssertionRewritingHook

SOURCES = ["output_mock", "pytest_output", "contract_tests/output_contract"]
# A probe is a call, and calls are where Python lets interruptions in. This module counts on where they are.
OMITTED = ["output_mock/engine/watchdog.py"]
EXCLUDED = ["if TYPE_CHECKING:", "raise NotImplementedError", "@overload"]
# Under which name the workers of pytest-xdist hand over what they have seen, and what they have handed over.
_OUTPUT = "branch_coverage"
_of_workers: list[Any] = []

_is_worker = "PYTEST_XDIST_WORKER" in os.environ
# Probes stay: taking them out means to replace functions, which other threads may be running meanwhile.
_measured = slipcover.Slipcover(
    d_miss_threshold=2**31 - 1,
    branch=True,
    source=None if _is_worker else SOURCES,
    omit=OMITTED,
    exclude_also=EXCLUDED,
)
_sources = slipcover.FileMatcher(sources=SOURCES, omit=OMITTED)
# At once, as other plugins import what is measured.
slipcover.ImportManager(_measured, _sources).__enter__()
# pytest would rewrite the assertions of its plugins itself, and SlipCover would not see them.
_finders = [*sys.meta_path]
sys.meta_path[:] = [finder for finder in _finders if not isinstance(finder, AssertionRewritingHook)]
for _name in ("contract", "fakes", "plugin", "settings", "unreached"):
    importlib.import_module(f"pytest_output.{_name}")

sys.meta_path[:] = _finders
# Tests run pytest within pytest, which would warn that it can no longer do so.
for _name, _module in sys.modules.copy().items():
    if _name.partition(".")[0] == "pytest_output":
        _module.__doc__ = f"{_module.__doc__}\nPYTEST_DONT_REWRITE"


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _is_worker:
        session.config.workeroutput[_OUTPUT] = json.dumps(_measured.get_coverage())  # type: ignore[attr-defined]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of pytest-xdist has ended; a worker that crashed has no output."""
    if output := getattr(node, "workeroutput", None):
        _of_workers.append(json.loads(output[_OUTPUT]))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    coverage = _measured.get_coverage()
    for one in _of_workers:
        slipcover.merge_coverage(coverage, one)
    terminalreporter.section("branch coverage")
    slipcover.print_coverage(coverage, outfile=terminalreporter._tw._file, skip_covered=True)
