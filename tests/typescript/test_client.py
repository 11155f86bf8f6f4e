"""The files of `output-mock client typescript`, as far as they can be checked without Node."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from output_mock.control.operations import OPERATIONS, SCHEMAS
from output_mock.typescript.types import comment, declaration, type_of
from output_mock.version import version
from tests.cli.commands import one_line, run
from tests.docs.pages import blocks, page

ALWAYS = {"connection.ts", "control-plane.ts", "output-mock.ts"}
OF_VITEST = {"vitest.ts", "vitest-server.ts"}


def written(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ([], ALWAYS | OF_VITEST | {"playwright.ts"}),
        (["--vitest"], ALWAYS | OF_VITEST),
        (["--playwright"], ALWAYS | {"playwright.ts"}),
        (["--vitest", "--playwright"], ALWAYS | OF_VITEST | {"playwright.ts"}),
    ],
)
def test_the_files_for_the_chosen_tools_are_written(
    tmp_path: Path, options: list[str], names: set[str]
) -> None:
    folder = tmp_path / "tests" / "fake"
    done = run("client", "typescript", folder, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert written(folder) == names
    for path in folder.iterdir():
        assert path.read_text().startswith(
            f"// Written by `output-mock client typescript` of output-mock {version()}"
        )
        # Each file imports only existing exports of the others.
        assert {f"{name}.ts" for name in re.findall(r'from "\./(.*)\.js"', path.read_text())} <= names


def test_check_reports_whether_the_files_are_up_to_date_and_writes_nothing(tmp_path: Path) -> None:
    missing = run("client", "typescript", tmp_path, "--check")
    assert "is out of date; run the command without --check" in one_line(missing)
    assert written(tmp_path) == set()
    run("client", "typescript", tmp_path, "--vitest")
    assert run("client", "typescript", tmp_path, "--vitest", "--check").returncode == 0
    changed = tmp_path / "vitest.ts"
    changed.write_text(f"{changed.read_text()}// mine\n")
    assert f"{changed} is out of date" in one_line(
        run("client", "typescript", tmp_path, "--vitest", "--check")
    )
    assert changed.read_text().endswith("// mine\n")


def test_files_from_other_tools_are_not_overwritten(tmp_path: Path) -> None:
    mine = tmp_path / "vitest.ts"
    mine.write_text("export const mine = 1;\n", encoding="utf-8")
    refused = run("client", "typescript", tmp_path)
    assert refused.returncode != 0
    assert f"{mine} was not written by this command" in one_line(refused)
    assert written(tmp_path) == {"vitest.ts"}
    assert mine.read_text(encoding="utf-8") == "export const mine = 1;\n"


def test_a_folder_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert "cannot be written" in one_line(run("client", "typescript", file / "folder"))


def test_every_operation_and_every_schema_of_the_control_plane_is_in_the_client(tmp_path: Path) -> None:
    run("client", "typescript", tmp_path, "--vitest")
    text = (tmp_path / "control-plane.ts").read_text()
    scoped, server = text.partition("export class ServerClient")[::2]
    for operation in OPERATIONS:
        assert f"\n  {operation.name}(" in (server if operation.for_all else scoped), operation.name
    for name in SCHEMAS:
        assert re.search(rf"^export (interface|type) {name} ", text, re.MULTILINE), name


@pytest.mark.parametrize(
    ("schema", "written"),
    [
        ({}, "unknown"),
        ({"type": "string", "pattern": "^a$"}, "string"),
        ({"type": "integer", "minimum": 0}, "number"),
        ({"const": "a"}, '"a"'),
        ({"enum": ["a", 1, None]}, '"a" | 1 | null'),
        ({"anyOf": [{"type": "string"}, {"type": "null"}, {"type": "string"}]}, "string | null"),
        ({"type": "array"}, "unknown[]"),
        ({"type": "array", "items": {"type": "string"}}, "string[]"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, 'Array<"a" | "b">'),
        ({"$ref": "#/components/schemas/Run"}, "Run"),
        ({"type": "object"}, "Record<string, unknown>"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "Record<string, number>"),
        ({"type": "object", "additionalProperties": False}, "Record<string, never>"),
        (
            {
                "type": "object",
                "required": ["a"],
                "properties": {"a": {"description": "It."}, "b-c": {"type": "null"}},
            },
            '{\n  /** It. */\n  a: unknown;\n  "b-c"?: null;\n}',
        ),
    ],
)
def test_a_schema_becomes_the_matching_typescript_type(schema: dict[str, Any], written: str) -> None:
    assert type_of(schema, lambda path: path.rpartition("/")[2]) == written


def test_an_unsupported_schema_keyword_is_refused() -> None:
    with pytest.raises(ValueError, match="oneOf"):
        type_of({"oneOf": [{"type": "string"}]}, str)


def test_a_description_cannot_close_its_comment() -> None:
    assert comment("a */ b\n c") == "/** a * / b c */\n"
    text = declaration("Pair", {"description": "Two.", "type": "object", "properties": {"a": {}}}, str)
    assert text == "/** Two. */\nexport interface Pair {\n  a?: unknown;\n}\n"


def test_the_front_end_page_quotes_the_guide() -> None:
    guide = page("docs/guides/typescript.md").splitlines()
    (shown,) = blocks("docs/start/front-end.md", "ts")
    assert [line for line in shown.splitlines() if line not in guide] == []
