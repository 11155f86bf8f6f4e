"""Collects the reports of tests, also from workers of pytest-xdist, into a verdict."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from output_contract.verdict import Outcome, Verdict
from output_contract.versions import Judged

# The keys that carry a test's outcome, and the evidence in its answers, in its report.
PROPERTY, SEEN = "output_contract", "output_contract seen"
# The versions that a process detected itself.
JUDGED = "output_contract judged"


class Collector:
    """Makes a verdict from test reports. Calls `progress(done, all, failed, id)` for each."""

    def __init__(self, url: str, progress: Callable[[int, int, int, str], object] | None = None) -> None:
        self.verdict = Verdict(url)
        # How many tests will run.
        self.expected = 0
        self._progress = progress

    def pytest_configure(self, config: pytest.Config) -> None:
        if not config.pluginmanager.has_plugin("terminal"):
            # Nothing shows the tracebacks, and formatting them takes a quarter of the whole time.
            config.option.tbstyle = "native"

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.expected = max(self.expected, len(session.items))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        self.expected = max(self.expected, len(ids))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            # One line says what is wrong. The traceback is for developers of the suite.
            line = str(report.longrepr).strip().splitlines()[-1]
            self.verdict.problems.append(f"{report.nodeid} cannot be loaded: {line}")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        noted = properties.get(PROPERTY)
        # The report of the teardown repeats the properties of the call.
        if isinstance(noted, dict) and (report.when == "call" or report.outcome != "passed"):
            self.verdict.add(Outcome(**noted))
            if isinstance(counts := properties.get(SEEN), dict):
                self.verdict.seen.update(counts)
            if isinstance(judged := properties.get(JUDGED), dict):
                self.verdict.judged = Judged(**judged)
        if report.when == "teardown" and self._progress is not None:
            counts = self.verdict.counts()
            self._progress(sum(counts.values()), self.expected, counts["failed"], report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: Any) -> None:
        if error:
            self.verdict.problems.append(f"a process that checks has ended: {str(error).splitlines()[-1]}")

    def pytest_internalerror(self, excrepr: object) -> None:
        self.verdict.problems.append(f"the suite itself has failed: {str(excrepr).strip().splitlines()[-1]}")
