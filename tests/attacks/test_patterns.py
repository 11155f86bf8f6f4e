"""Catastrophic regular expressions in schemas are stopped and do not block other requests."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from output_mock import Context, OutputMock
from output_mock.scripts.loading import load_file
from output_mock.zod import SchemaError, from_json_schema, patterns
from output_mock.zod.patterns import PatternTooSlow, bounded_regex
from tests.client import Client

ENDLESS = "^(a|a)*$"
TEXT = "a" * 60 + "!"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patterns, "LIMIT", 0.05)


@pytest.mark.usefixtures("short_limit")
@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string", "pattern": ENDLESS}, TEXT),
        ({"type": "string", "pattern": r"^(?:[01]\d|2[0-3]):[0-5]\d(a|a)*$"}, f"00:00{TEXT}"),
        ({"pattern": ENDLESS}, TEXT),
        ({"type": "string", "not": {"pattern": ENDLESS}}, TEXT),
        ({"type": "array", "contains": {"pattern": ENDLESS}}, [TEXT]),
        ({"type": "object", "patternProperties": {ENDLESS: {"type": "number"}}}, {TEXT: 1}),
        ({"type": "object", "propertyNames": {"pattern": ENDLESS}}, {TEXT: 1}),
        ({"patternProperties": {ENDLESS: {}}, "additionalProperties": False}, {TEXT: 1}),
        ({"additionalProperties": False, "if": {"patternProperties": {ENDLESS: {}}}}, {TEXT: 1}),
        (
            {"type": "object", "patternProperties": {ENDLESS: {}}, "unevaluatedProperties": False},
            {TEXT: 1},
        ),
        (
            {"not": {"$ref": "#/$defs/a"}, "$defs": {"a": {"$schema": DRAFT_7, "pattern": ENDLESS}}},
            TEXT,
        ),
    ],
    ids=lambda one: str(one)[:60],
)
def test_an_endless_pattern_is_stopped_anywhere_in_a_schema(schema: dict[str, Any], value: Any) -> None:
    with pytest.raises(PatternTooSlow, match=r"\(a\|a\)\*"):
        from_json_schema(schema, where="here").safe_parse(value)


@pytest.mark.usefixtures("short_limit")
def test_all_patterns_of_a_value_share_one_time_limit() -> None:
    schema = from_json_schema(
        {"type": "array", "items": {"type": "string", "pattern": ENDLESS}}, where="here"
    )
    # One such text by itself takes less than the limit.
    with pytest.raises(PatternTooSlow):
        schema.safe_parse(["a" * 12 + "!"] * 100_000)
    assert schema.safe_parse(["aa"]) == (["aa"], [])


@pytest.mark.usefixtures("short_limit")
def test_the_error_names_workflow_file_line_and_pattern(mock: OutputMock, tmp_path: Path) -> None:
    file = tmp_path / "slow.yaml"
    schema = f'{{type: string, pattern: "{ENDLESS}"}}'
    file.write_text(f"workflows:\n  - name: slow\n    input_schema: {schema}\n    returns: 1\n")
    for script in load_file(file):
        mock.load(script)
    answer = Client(mock).post("/workflow/run", {"workflowName": "slow", "input": TEXT})
    assert (answer.status, answer.json["error"]) == (500, "ScriptError"), answer.text
    message = answer.json["message"]
    assert "'slow'" in message
    assert f"{file}" in message
    assert re.search(r"slow\.yaml[:,]( line )?[0-9]+", message)
    assert ENDLESS in message
    assert "have it match shorter texts" in message


@pytest.mark.usefixtures("short_limit")
def test_the_time_limit_applies_to_the_schema_of_a_step_too(mock: OutputMock) -> None:
    @mock.workflow("stepped")
    async def stepped(ctx: Context, input: Any) -> Any:
        return await ctx.step("s", TEXT, input_schema={"type": "string", "pattern": ENDLESS}, returns=1)

    answer = Client(mock).post("/workflow/run", {"workflowName": "stepped"})
    assert (answer.status, answer.json["error"]) == (500, "ScriptError"), answer.text
    assert "test_patterns.py" in answer.json["message"]


@pytest.mark.parametrize(
    "pattern",
    [
        "(" * 20 + "a" + "{1,30})" * 20,
        "a" * 10_001,
        "(?:" * 3000 + "a" + ")" * 3000,
        "(" * 8 + "(?:a|bc|d)?" * 800 + ")+" * 8,
    ],
    ids=lambda one: one[:30],
)
def test_a_pattern_that_takes_long_to_compile_is_refused_with_its_place(pattern: str) -> None:
    with pytest.raises(SchemaError, match=r"here: \$\.pattern: .*(characters|repeats|nested)"):
        from_json_schema({"type": "string", "pattern": pattern}, where="here")


def test_nested_repeats_that_compile_quickly_are_accepted() -> None:
    matches, _ = bounded_regex("^(((a{1,1000}){1,1000}){1,1000})$")
    assert matches("aaa")


def test_other_requests_continue_while_a_pattern_is_matched() -> None:
    # In a separate process, which ends although the match does not.
    done = subprocess.run(
        [sys.executable, "-c", _TWO_FAKES], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.stdout, done.stderr) == ("200 True\n", "")


_TWO_FAKES = f"""
import os, threading
from output_mock import OutputMock
from output_mock.zod import patterns
from tests.client import Client

patterns.LIMIT = 1e6
stuck, other = OutputMock(script_limit="24h"), OutputMock()
stuck.workflow("slow", input_schema={{"type": "string", "pattern": {ENDLESS!r}}}).returns(1)
other.workflow("quick").returns(1)
slow = threading.Thread(
    target=Client(stuck).post,
    args=("/workflow/run", {{"workflowName": "slow", "input": {TEXT!r}}}),
    daemon=True,
)
slow.start()
slow.join(0.5)
answer = Client(other).post("/workflow/run", {{"workflowName": "quick"}})
print(answer.status, slow.is_alive(), flush=True)
os._exit(0)
"""
