"""`output-mock check` warns of literal waits that are longer than the execution timeout."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from output_mock.cli.check import check

YAML = """\
workflows:
  - name: a
    takes: 1h
    steps:
      - {step: x, takes: 22h30m}
      - if: "{{ input.x }}"
        then:
          - sleep: 1h
        else:
          - sleep: "{{ input.x }}"
      - try:
          - {child: a, detached: true}
        catch:
          - sleep: 1h
      - wait_for_signal: go
        timeout: 30m
      - parallel:
          - sleep: 20m
          - {wait_for_signal: b, timeout: 10m}
      - for_each: [1, 2]
        do:
          - sleep: 5m
      - wait_until: "{{ state.x }}"
        timeout: 12m
    state: {x: 1}
    receives:
      - {signal: go, after: 25h}
"""
PYTHON = """\
from output_mock import Script

script = Script()
script.workflow("u").takes("30h").receives("x", after="25h").returns(1)


@script.workflow("w")
async def w(ctx, input):
    await ctx.wait_for_signal("a", timeout="24h")
    await ctx.sleep(90_000)
    await ctx.step("x", takes="23h")
    await ctx.condition(lambda: True, timeout=input["x"])
"""


def warned(tmp_path: Path, name: str, text: str, *options: str) -> list[tuple[int, str]]:
    """The lines and names of the warnings of `check`."""
    file = tmp_path / name
    file.write_text(text)
    done = CliRunner().invoke(check, [*options, str(file)])
    assert done.exit_code == 0, done.output
    assert f"{file}: ok" in done.output
    found = re.findall(r":(\d+):\d+: warning: (\w+) ", done.output)
    return [(int(line), what) for line, what in found]


def test_waits_in_a_yaml_file_are_found(tmp_path: Path) -> None:
    expected = [(8, "sleep"), (14, "sleep"), (16, "timeout"), (24, "timeout"), (27, "after")]
    assert warned(tmp_path, "a.yaml", YAML) == expected


def test_waits_in_a_python_file_are_found(tmp_path: Path) -> None:
    expected = [(4, "takes"), (4, "receives"), (9, "wait_for_signal"), (10, "sleep")]
    assert warned(tmp_path, "a.py", PYTHON) == expected


@pytest.mark.parametrize(("name", "text"), [("a.yaml", YAML), ("a.py", PYTHON)])
def test_a_longer_execution_timeout_allows_longer_waits(tmp_path: Path, name: str, text: str) -> None:
    assert warned(tmp_path, name, text, "--execution-timeout", "9d") == []


def test_an_invalid_duration_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(check, ["--execution-timeout", "long", str(tmp_path)])
    assert done.exit_code == 2
    assert "'long' is not a duration" in done.output
