"""`output-mock pack`: the TypeScript pack matches the Python one, and is written to the given folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

import output_contract
from output_contract.pack import script
from output_mock import OutputMock
from output_mock.cli.pack import pack

SOURCE = Path(output_contract.__file__).parent / "typescript"
FILES = {path.relative_to(SOURCE): path.read_text() for path in sorted(SOURCE.rglob("*.ts"))}
WORKFLOWS = {file.parent.as_posix(): text for file, text in FILES.items() if file.name == "workflow.ts"}
OFFERED = OutputMock(scripts=[script]).world.catalog("main").workflows


def told(text: str, key: str) -> str | None:
    """The value of a key in the definition."""
    found = re.search(rf"\b{key}: '([^']*)'", text)
    return found.group(1) if found else None


def test_both_packs_have_the_same_workflows() -> None:
    names = {told(text, "name"): told(text, "description") or "" for text in WORKFLOWS.values()}
    expected = {one.name: one.description or "" for one in OFFERED.values()}
    del names["conf_judge"], expected["conf_judge"]  # it was recorded without a description in TypeScript
    assert names == expected


@pytest.mark.parametrize("folder", WORKFLOWS)
def test_each_workflow_has_the_same_definition_in_both_packs(folder: str) -> None:
    text = WORKFLOWS[folder]
    python = OFFERED[told(text, "name") or ""]
    assert re.findall(r"aliases: \['(\w+)'\]", text) == list(python.aliases)
    assert ("inputSchema:" in text, "disableTrace: true" in text) == (
        python.input_schema is not None,
        not python.traced,
    )


def test_each_step_is_exported_under_its_name() -> None:
    """Each step has the name under which its file exports it and the workflows import it."""
    for file, text in FILES.items():
        if file.name != "workflow.ts":
            exported = re.findall(r"export const (\w+) = (?:step|evaluator)\(\{\s*name: '(\w+)'", text)
            assert exported, f"{file} has no step"
            assert all(one == other for one, other in exported)
            workflow = WORKFLOWS[file.parent.as_posix()]
            assert all(re.search(rf"import \{{[^}}]*\b{one}\b", workflow) for one, _ in exported)


def test_writing_the_pack_prints_the_next_steps(tmp_path: Path) -> None:
    result = CliRunner().invoke(pack, [str(tmp_path / "conf")])
    assert result.exit_code == 0, result.output
    written = {p.relative_to(tmp_path / "conf"): p.read_text() for p in (tmp_path / "conf").rglob("*.ts")}
    assert written == FILES
    assert f"Wrote {len(FILES)} files into {tmp_path / 'conf'}" in result.output
    assert "output-mock verify URL" in result.output
    again = CliRunner().invoke(pack, [str(tmp_path / "conf")])
    assert again.exit_code == 0, "what is there already may be written again"


def test_a_changed_file_is_overwritten_only_with_force(tmp_path: Path) -> None:
    file = tmp_path / "sum" / "workflow.ts"
    file.parent.mkdir()
    file.write_text("mine")
    result = CliRunner().invoke(pack, [str(tmp_path)])
    assert result.exit_code == 1
    assert (
        f"{file} exists and is different; choose another folder, or overwrite it with --force"
        in result.output
    )
    assert list(tmp_path.rglob("*.ts")) == [file], "nothing else was written"
    assert CliRunner().invoke(pack, [str(tmp_path), "--force"]).exit_code == 0
    assert file.read_text() == FILES[Path("sum/workflow.ts")]


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    (tmp_path / "sum").write_text("a file")
    result = CliRunner().invoke(pack, [str(tmp_path)])
    assert result.exit_code == 1
    assert "cannot be written: " in result.output
