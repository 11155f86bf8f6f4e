"""Scenarios and recordings in files, YAML or JSON."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path

from output_mock.recording.comparison import encodable
from output_mock.recording.scenario import Places, Scenario, ScenarioError, from_json, in_words
from output_mock.scripts.yaml.source import LONGEST_FILE, Node, Source

_SUFFIXES = (".json", ".yaml", ".yml")
# In characters. The longest recordings have a few millions.
_LONGEST = 64 * 1024 * 1024


def read(path: Path) -> Scenario:
    """The scenario or recording in a file. Raises `ScenarioError`, whose message names file and line."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST + 1)
    except OSError as error:
        raise ScenarioError(f"{path}: the file cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ScenarioError(f"{path}: the file is not UTF-8, as scenarios must be") from None
    if len(text) > _LONGEST:
        raise ScenarioError(f"{path}: this is not a scenario: it has more than {_LONGEST // 1024**2} MiB")
    if path.suffix == ".json":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            line = f"{error.lineno}:{error.colno}" if isinstance(error, json.JSONDecodeError) else "1:1"
            words = error.msg if isinstance(error, json.JSONDecodeError) else error
            raise ScenarioError(f"{path}:{line}: the file is not valid JSON: {words}") from None
        return from_json(value, str(path), _InText(str(path), text))
    source = Source(text, str(path))
    if source.root is None or source.mistakes:
        raise ScenarioError("\n".join(map(str, source.mistakes)))
    return from_json(source.root.json(), str(path), _InText(str(path), text, source))


class _InText(Places):
    """Places in the text of a file."""

    def __init__(self, file: str, text: str, source: Source | None = None) -> None:
        super().__init__(file)
        self._text = text
        self._source = source

    def at(self, path: tuple[str | int, ...]) -> str:
        if self._source is None and len(self._text) <= LONGEST_FILE:
            # JSON is YAML as well, and read this way only when something is wrong with it.
            self._source = Source(self._text, self.file)
        node = None if self._source is None else self._source.root
        if node is None:
            return super().at(path)
        place = node.place
        for part in path:
            below: Node | None = None
            if isinstance(part, int) and node.is_list:
                below = node.value[part]
                place = below.place
            elif node.is_object and part in node.value:
                place, below = node.value[part]
            if below is None:
                break
            node = below
        words = in_words(path)
        return f"{self.file}:{place.line}:{place.column}" + (f": {words}" if words else "")


def found_in(paths: Iterable[Path]) -> Iterator[Path]:
    """The files that these paths name: they themselves, and all scenarios and recordings in folders.

    Raises `ScenarioError` for a path that is not there.
    """
    for path in paths:
        if path.is_dir():
            inside = sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
            if not inside:
                raise ScenarioError(f"{path}: there is no scenario in this folder")
            yield from inside
        elif path.exists():
            yield path
        else:
            raise ScenarioError(f"{path}: there is no such file")


def write(recording: Scenario, folder: Path) -> Path:
    """Write a recording into a folder, as NAME.json; returns the path. Raises `OSError`.

    The file that was there before stays until the new one is whole. A link is replaced and not followed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{recording.name}.json"
    beside = folder / f".{recording.name}.{secrets.token_hex(4)}.tmp"
    try:
        with beside.open("x", encoding="utf-8") as file:
            file.write(text_of(recording))
        os.replace(beside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
    return path


def text_of(recording: Scenario) -> str:
    """A recording as its file has it, whose lines are short enough to be compared."""
    return encodable(json.dumps(recording.json(), indent=1, ensure_ascii=False)) + "\n"
