"""The pages about recordings match the commands."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import yaml

from output_contract.pack import script as pack
from output_mock import OutputMock
from output_mock.cli.record import record
from output_mock.cli.replay import replay
from output_mock.recording.checking import schema
from output_mock.recording.player import Player
from output_mock.recording.recorder import record as recorded
from output_mock.recording.scenario import from_json
from output_mock.recording.transport import InProcessTransport
from tests.docs.pages import blocks, page

FORMAT, RELEASE = "docs/reference/scenarios.md", "docs/contribute/record.md"


@pytest.mark.parametrize("number", range(len(blocks(FORMAT, "yml"))))
def test_the_documented_scenarios_run_without_warnings(number: int) -> None:
    scenario = from_json(yaml.safe_load(blocks(FORMAT, "yml")[number]))
    mock = OutputMock(scripts=[pack])
    made = recorded(scenario, Player(InProcessTransport(mock.app), token="t"), {"api": "0.11.0"})
    mock.close()
    assert made.warnings == ()


def properties(node: Any) -> set[str]:
    """All property names of a schema."""
    if isinstance(node, dict):
        own = set(node.get("properties", {})) if isinstance(node.get("properties"), dict) else set()
        return own.union(*map(properties, node.values()))
    return set().union(*map(properties, node)) if isinstance(node, list) else set()


def test_every_key_of_the_format_is_documented() -> None:
    text = page(FORMAT)
    untold = {name for name in properties(schema()) - {"$schema"} if f"`{name}" not in text}
    assert untold - {"header", "frames", "seconds"} == set()


@pytest.mark.parametrize("command", [record, replay])
def test_every_documented_option_exists(command: Any) -> None:
    known = {name for option in (*record.params, *replay.params) for name in option.opts}
    for path in (FORMAT, RELEASE):
        for block in blocks(path, "bash"):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith(f"output-mock {command.name} "):
                    told = [word.partition("=")[0] for word in line.partition(" #")[0].split()]
                    assert {word for word in told if word.startswith("-")} <= known, line


@pytest.mark.parametrize("path", [FORMAT, RELEASE])
def test_the_documented_commands_are_valid_bash(path: str) -> None:
    for block in blocks(path, "bash"):
        checked = subprocess.run(["bash", "-n"], input=block, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, ""), block
