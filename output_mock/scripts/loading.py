"""Python files that hold scripts."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from contextlib import suppress
from os import PathLike
from pathlib import Path

from output_mock.scripts.script import Scripted


class ScriptFileError(Exception):
    """A file that cannot be loaded; the message names the file, the line and what to do."""


def load_file(path: str | PathLike[str]) -> list[Scripted]:
    """The `Script` and `OutputMock` objects that a Python file makes at its top level.

    The file is run anew each time, and may import its neighbours. Raises `ScriptFileError`.
    """
    file = Path(path)
    if file.is_dir():
        raise ScriptFileError(f"{file}: it is a folder; name the Python files in it that hold scripts")
    if not file.exists():
        raise ScriptFileError(f"{file}: there is no such file; looked in {file.absolute().parent}")
    if file.suffix != ".py":
        raise ScriptFileError(f"{file}: a script is a Python file, and its name ends in .py")
    name = f"output_mock_script_{file.stem}_{abs(hash(file.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ScriptFileError(_what_is_wrong(file, error)) from error
    finally:
        with suppress(ValueError):
            sys.path.remove(folder)
    found = [value for value in vars(module).values() if isinstance(value, Scripted)]
    if not found:
        raise ScriptFileError(
            f"{file}: it makes no Script; write `script = output_mock.Script()` and script workflows on it"
        )
    if all(one.empty for one in found):
        raise ScriptFileError(
            f'{file}: its Script has no workflows; script one, such as script.workflow("hello").returns("hi")'
        )
    return list(dict.fromkeys(found))


def _what_is_wrong(file: Path, error: BaseException) -> str:
    own = str(file.absolute())
    if isinstance(error, SyntaxError):
        # It may be in a neighbour that the script imports.
        where = str(file) if error.filename in (None, own) else error.filename
        line = f", line {error.lineno}" if error.lineno else ""
        return f"{where}{line}: {type(error).__name__}: {error.msg}"
    places = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    where = f"{file}, line {places[-1]}" if places else str(file)
    if isinstance(error, OSError) and not places:
        return f"{where}: it cannot be read: {error.strerror}"
    if isinstance(error, SystemExit):
        return f"{where}: it ends the program (SystemExit: {error}); a script only says what workflows do"
    return f"{where}: {type(error).__name__}: {error}"
