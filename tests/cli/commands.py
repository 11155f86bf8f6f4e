"""Runs commands that end by themselves in the tests' own process."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from output_mock.cli import main
from tests.conftest import no_hang

ROOT = Path(__file__).parents[2]
# The environment of the command.
REAL_VARIABLES = ("OUTPUT_", "TEMPORAL_", "NODE_ENV")
# Long enough for a busy machine. No test waits for the full time.
PATIENCE = 60.0


class Ended(NamedTuple):
    """A finished command."""

    returncode: int
    stdout: str
    stderr: str


def run(
    *arguments: str | Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Ended:
    """Run a command that ends by itself, in this process."""
    with (
        no_hang(),
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
        pytest.MonkeyPatch.context() as patch,
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        for name in [name for name in os.environ if name.startswith(REAL_VARIABLES)]:
            patch.delenv(name)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        patch.chdir(cwd or ROOT)
        patch.setattr(sys, "argv", ["output-mock", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out.seek(0)
        err.seek(0)
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, out.read(), err.read())


def one_line(ended: Any) -> str:
    """The one line that a failed command printed. Raises when there is more."""
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert ended.stderr.endswith("\n")
    text: str = ended.stderr
    return text
