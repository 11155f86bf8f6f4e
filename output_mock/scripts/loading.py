"""Load script files: Python and YAML."""

from __future__ import annotations

import importlib.util
import os
import stat
import sys
import threading
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib.machinery import SourceFileLoader
from os import PathLike
from pathlib import Path
from typing import Any

from output_mock.places import Mistake, was_raised
from output_mock.scripts.file_error import ScriptFileError
from output_mock.scripts.script import Scripted

# How many bytes a script may have.
LARGEST = 10_000_000
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
YAML_ENDINGS = (".yaml", ".yml")
ENDINGS = (".py", *YAML_ENDINGS)


def load_file(path: str | PathLike[str]) -> list[Scripted]:
    """The `Script` and `OutputMock` objects that a Python file makes at its top level, or the one that a
    YAML file is.

    A Python file is run again each time, and may import files next to it. Raises `ScriptFileError`.
    """
    file = Path(path)
    _check(file)
    if file.suffix in YAML_ENDINGS:
        from output_mock.scripts.yaml.document import load

        try:
            return [load(file)]
        except OSError as error:
            raise _wrong(file, f"the file cannot be read: {error.strerror}") from error
    if file.suffix != ".py":
        raise _wrong(file, "a script must be a Python or YAML file, whose name ends in .py, .yaml or .yml")
    return _load_python(file)


def load_yaml(data: bytes, name: str) -> Scripted:
    """The script in some bytes of YAML, which messages call `file`. Raises `ScriptFileError`."""
    from output_mock.scripts.yaml.document import decoded

    _check_size(Path(name), len(data))
    return decoded(data, name)


def _check(file: Path) -> None:
    """Raise `ScriptFileError` for what cannot be read as a file: a folder, a pipe, a device, or
    a huge file.
    """
    try:
        # For a link, its target counts.
        status = os.stat(file)
    except (FileNotFoundError, NotADirectoryError):
        raise _wrong(file, f"there is no such file; looked in {file.absolute().parent}") from None
    except (OSError, ValueError) as error:
        raise _wrong(file, f"the file cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if stat.S_ISDIR(status.st_mode):
        raise _wrong(file, "it is a folder; name the Python and YAML files in it that are scripts")
    if not stat.S_ISREG(status.st_mode):
        kind = next((words for test, words in _KINDS if test(status.st_mode)), "no file")
        raise _wrong(file, f"it is {kind}, which may have no end; a script must be an ordinary file")
    _check_size(file, status.st_size)


def _check_size(file: Path, size: int) -> None:
    if size > LARGEST:
        most = LARGEST // 1_000_000
        raise _wrong(file, f"it has {size / 1_000_000:.1f} MB, and a script has {most} MB at most; split it")


def _wrong(file: Path, problem: str, line: int | None = None, column: int = 1) -> ScriptFileError:
    where = f"{file}, line {line}" if line else str(file)
    return ScriptFileError(f"{where}: {problem}", [Mistake(str(file), problem, line or 1, column)])


class _SourceOnly(SourceFileLoader):
    """Always reads the source, never a compiled file.

    Python recognises an outdated compiled file by size and whole seconds, so it would miss an edit in the
    second of the last load. And nobody expects a `__pycache__` next to a script.
    """

    def path_stats(self, path: Any) -> Mapping[str, Any]:
        raise OSError("compiled scripts are not stored")


def _load_python(file: Path) -> list[Scripted]:
    name = f"output_mock_script_{file.stem}_{abs(hash(file.resolve()))}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_SourceOnly(name, str(file.absolute())))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(file.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if _is_for_the_process(error):
            raise
        raise _what_is_wrong(file, error) from error
    finally:
        with suppress(ValueError):
            sys.path.remove(folder)
    found = [value for value in vars(module).values() if isinstance(value, Scripted)]
    if not found:
        raise _wrong(
            file,
            "there is no Script in it; write `script = output_mock.Script()` and script workflows on it (if "
            "this file is only imported by others, let its name begin with _)",
        )
    if all(one.empty for one in found):
        raise _wrong(
            file, 'its Script has no workflows; add one, such as script.workflow("hello").returns("hi")'
        )
    return list(dict.fromkeys(found))


def _is_for_the_process(error: BaseException) -> bool:
    """Whether Ctrl-C was pressed while the script was read, and the script did not raise this itself."""
    return (
        isinstance(error, KeyboardInterrupt)
        and threading.current_thread() is threading.main_thread()
        and not was_raised(error)
    )


def _what_is_wrong(file: Path, error: BaseException) -> ScriptFileError:
    own = str(file.absolute())
    if isinstance(error, SyntaxError):
        # It may be in another file that the script imports.
        where = file if error.filename in (None, own) else Path(error.filename)
        return _wrong(where, f"{type(error).__name__}: {error.msg}", error.lineno, error.offset or 1)
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    line = lines[-1] if lines else None
    if isinstance(error, OSError) and not lines:
        return _wrong(file, f"the file cannot be read: {error.strerror}")
    if isinstance(error, SystemExit):
        problem = f"it ends the program (SystemExit: {error}); a script must only define workflows"
        return _wrong(file, problem, line)
    if not isinstance(error, Exception):
        problem = f"it raises {type(error).__name__}, which would end the program; a script must only "
        return _wrong(file, f"{problem}define workflows", line)
    return _wrong(file, f"{type(error).__name__}: {error}", line)
