"""Arrows of imports point down, and no package imports another one that imports it."""

from __future__ import annotations

from pathlib import Path

import pytest
from importlinter.cli import lint_imports

CONFIGURATION = Path(__file__).parents[1] / "pyproject.toml"


def test_the_layers_hold_and_there_are_no_circles(capsys: pytest.CaptureFixture[str]) -> None:
    broken = lint_imports(config_filename=str(CONFIGURATION), no_cache=True)
    assert broken == 0, capsys.readouterr().out
