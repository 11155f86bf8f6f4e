"""The scripts that a command is given: files, folders, standard input."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from output_mock.scripts.loading import LARGEST
from tests.cli.commands import one_line, run

GOOD = "workflows: [{name: hello, returns: hi}]\n"


def test_only_the_scripts_in_a_folder_are_loaded(tmp_path: Path) -> None:
    flows = tmp_path / "flows"
    (flows / "more").mkdir(parents=True)
    (flows / "b.yml").write_text(GOOD)
    (flows / "a.py").write_text(
        "import _shared\nfrom output_mock import Script\n"
        "script = Script()\nscript.workflow(_shared.NAME).returns(1)\n"
    )
    (flows / "_shared.py").write_text("NAME = 'first'\n")
    for left_out in (".hidden.yaml", "README.md", "more/c.yaml"):
        (flows / left_out).write_text("nothing to load\n")
    ended = run("check", "flows", "flows/a.py", cwd=tmp_path)
    assert ended.stdout == "flows/a.py: ok, 1 workflow: first\nflows/b.yml: ok, 1 workflow: hello\n"


def test_a_folder_without_scripts_is_a_mistake(tmp_path: Path) -> None:
    line = one_line(run("serve", "--port", "0", str(tmp_path)))
    assert (
        f"{tmp_path}: there is no script in this folder; the name of a script ends in .py, .yaml or .yml"
        in line
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD.encode(), "<stdin>: ok, 1 workflow: hello\n"),
        (b"workflows: [{nam: x}]", "<stdin>:1:13: "),
        (b"\xff", "<stdin>:1:1: the file is not UTF-8, as YAML must be\n"),
        (b" " * (LARGEST + 1), "<stdin>:1:1: it has 10.0 MB, and a script has 10 MB at most; split it\n"),
    ],
    ids=["good", "a mistake", "no text", "too much"],
)
def test_a_script_can_be_read_from_standard_input(
    text: bytes, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(text)))
    assert told in run("check", "-").stdout
