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
import tempfile
from pathlib import Path
from typing import Any

import pytest
import slipcover
from _pytest.assertion.rewrite import AssertionRewritingHook

SOURCES = ["output_mock", "pytest_output", "contract_tests/output_contract"]
# A probe is a call, and calls are where Python lets interruptions in. This module counts on where they are.
OMITTED = ["output_mock/engine/watchdog.py"]
EXCLUDED = ["if TYPE_CHECKING:", "raise NotImplementedError", "@overload"]
# Where the workers of pytest-xdist leave what they have seen.
FOLDER = "BRANCH_COVERAGE_FOLDER"

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


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    if not _is_worker and FOLDER not in os.environ:
        os.environ[FOLDER] = tempfile.mkdtemp(prefix="branch-coverage-")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    if _is_worker:
        name = f"{os.environ['PYTEST_XDIST_WORKER']}.json"
        Path(os.environ[FOLDER], name).write_text(json.dumps(_measured.get_coverage()))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    coverage = _measured.get_coverage()
    for file in Path(os.environ[FOLDER]).iterdir():
        slipcover.merge_coverage(coverage, json.loads(file.read_text()))
    terminalreporter.section("branch coverage")
    slipcover.print_coverage(coverage, outfile=terminalreporter._tw._file, skip_covered=True)
