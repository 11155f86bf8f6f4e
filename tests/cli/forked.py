"""Runs the command, or a program, in new processes, forked from one that has already imported the fake."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import traceback
import warnings
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TextIO

# Starting Python and importing the package takes ten times as long as the rest of a test.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["__main__", "output_mock.mock", "output_mock.control.front", __name__])


class Forked:
    """A process that runs the command, as `subprocess.Popen` would."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path) -> None:
        reader, writer = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(
            target=_main, args=([*words], dict(environment), str(folder), writer, str(log))
        )
        self._process.start()
        writer.close()
        self.stdout: TextIO = os.fdopen(os.dup(reader.fileno()))
        reader.close()
        self.stderr = None

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float) -> int:
        self._process.join(timeout)
        status = self._process.exitcode
        if status is None:
            raise subprocess.TimeoutExpired("output-mock", timeout)
        return status

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()


def _main(
    words: Sequence[str], environment: Mapping[str, str], folder: str, out: Connection, log: str
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.dup2(out.fileno(), 1)
    out.close()
    with open(log, "w") as file:
        os.dup2(file.fileno(), 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    sys.argv = ["output-mock", *words]
    # The same settings as in a new Python process.
    warnings.simplefilter("error")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    from output_mock.cli import main

    main()


def error_of(program: str) -> str:
    """Run Python code in a new process. Returns the traceback of its error, or nothing if it has none."""
    reader, writer = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_execute, args=(textwrap.dedent(program), writer))
    process.start()
    writer.close()
    with reader:
        try:
            error: str = reader.recv()
        except EOFError:
            error = "the process ended early"
    process.join()
    return error


def _execute(program: str, out: Connection) -> None:
    try:
        exec(compile(program, "program.py", "exec"), {"__name__": "program"})
    except BaseException:
        out.send(traceback.format_exc())
    else:
        out.send("")
