"""Python files that hold scripts."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from os import PathLike
from pathlib import Path

from output_mock.scripts.script import Scripted


class ScriptFileError(Exception):
    """A file that cannot be loaded; the message names the file, the line and what to do."""


def load_file(path: str | PathLike[str]) -> list[Scripted]:
    """The `Script` and `OutputMock` objects that a Python file makes at its top level.

    Raises `ScriptFileError`.
    """
    file = Path(path)
    if file.suffix != ".py":
        raise ScriptFileError(f"{file}: a script is a Python file whose name ends in .py")
    if not file.is_file():
        raise ScriptFileError(f"{file}: there is no such file")
    name = f"output_mock_script_{file.stem}_{abs(hash(file.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    # A script may import its neighbours.
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ScriptFileError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except Exception as error:
        place = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
        line = f", line {place[-1].lineno}" if place else ""
        raise ScriptFileError(f"{file}{line}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(folder)
    found = [value for value in vars(module).values() if isinstance(value, Scripted)]
    if not found:
        raise ScriptFileError(
            f"{file}: it makes no Script; write `script = output_mock.Script()` and script workflows on it"
        )
    return list(dict.fromkeys(found))
