"""The work of reading a script grows linearly with its size."""

from __future__ import annotations

from collections.abc import Callable
from cProfile import Profile
from typing import Any

import pytest

from output_mock.places import Place
from output_mock.scripts.file_error import ScriptFileError
from output_mock.scripts.yaml.document import load
from output_mock.scripts.yaml.json_source import JSONSource


def calls(function: Callable[[], object]) -> int:
    """The number of function calls, including those of the interpreter."""
    profile = Profile()
    profile.runcall(function)
    return sum(entry.callcount for entry in profile.getstats())


SCRIPTS = {
    "one expression many times": lambda n: f'  - name: w\n    returns: "{"{{ input.a }} " * n}"',
    "many expressions": lambda n: (
        '  - name: w\n    returns: "' + " ".join(f"{{{{ input.a{i}of{n} }}}}" for i in range(n)) + '"'
    ),
    "unknown keys": lambda n: "  - name: w\n" + "\n".join(f"    unknown{i}: 1" for i in range(n)),
    "workflows": lambda n: "\n".join(f"  - name: w{i}\n    returns: 1" for i in range(n)),
    "steps": lambda n: "  - name: w\n    steps:\n" + "\n".join(f"      - step: s{i}" for i in range(n)),
    "children that are nowhere": lambda n: (
        "  - name: w\n    steps:\n" + "\n".join(f"      - child: c{i}" for i in range(n))
    ),
}


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_checking_a_script_takes_linear_work(text: Callable[[int], str], tmp_path: Any) -> None:
    def read(size: int) -> int:
        file = tmp_path / f"{size}.yaml"
        file.write_text(f"workflows:\n{text(size)}\n")

        def read_it() -> None:
            try:
                load(file)
            except ScriptFileError:
                pass

        return calls(read_it)

    read(10)
    # The numbers are exact, so a small part that grows faster is enough to be seen.
    assert read(200) < 2.05 * read(100)


def test_each_of_many_mistakes_in_a_json_script_is_reported_once() -> None:
    source = JSONSource({})
    for number in (1, 2, 1):
        source.mistake(Place(f"/{number}", 0, 0), "wrong")
    assert [one.file for one in source.mistakes] == ["/1", "/2"]
