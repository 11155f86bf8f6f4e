"""Fixtures of tests that start an inner pytest."""

from __future__ import annotations

import pytest

from tests.inner_pytest import only_plugins


@pytest.fixture
def pytester(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Runs inner pytests with this plugin and pytest-asyncio."""
    for name, value in only_plugins("pytest_asyncio.plugin").items():
        monkeypatch.setenv(name, value)
    return pytester
