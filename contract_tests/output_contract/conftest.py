"""Loads the suite's plugin for a plain pytest that has not been told to."""

from __future__ import annotations

import pytest


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.import_plugin("output_contract.plugin")
