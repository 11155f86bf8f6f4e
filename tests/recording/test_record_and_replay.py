"""The commands `record` and `replay`, on a fake over a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from output_contract.pack import script as pack
from output_mock import OutputMock
from tests.cli.commands import run

SCENARIO = """\
name: approval
about: a run waits for a signal and gets it
steps:
  - request: POST /workflow/start
    json: {workflowName: conf_approval, input: {topic: bees}}
    save: {id: workflowId, rid: runId}
  - request: POST /workflow/{{id}}/query/getProgress
    json: {}
    until: {stage: review}
  - request: POST /workflow/{{id}}/signal/approve
    json: {payload: {by: ana}}
  - request: GET /workflow/{{id}}/status
    until: {status: [completed, failed]}
  - request: GET /workflow/{{id}}/history?pageSize=50&includePayloads=true
  - request: GET /workflow/{{id}}/history/stream
"""


@pytest.fixture(params=["auto", "real"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A served fake with the pack."""
    mock = OutputMock(request.param, scripts=[pack])
    with mock.serve() as url:
        yield url
    mock.close()


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "approval.yaml"
    path.write_text(SCENARIO)
    return path


def test_what_was_recorded_is_the_same_when_it_is_replayed(url: str, scenario: Path, tmp_path: Path) -> None:
    recorded = run("record", url, scenario, "-o", tmp_path / "out")
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout == f"{tmp_path / 'out' / 'approval.json'}: 6 requests\n"
    replayed = run("replay", tmp_path / "out", url)
    assert (replayed.returncode, replayed.stdout) == (
        0,
        "same approval 6/6\n6 of 6 answers are the same\n",
    )


def test_a_difference_is_shown_with_its_place(url: str, scenario: Path, tmp_path: Path) -> None:
    run("record", url, scenario, "-o", tmp_path)
    path = tmp_path / "approval.json"
    text = path.read_text()
    assert text.count('"status": "completed"') > 0
    path.write_text(text.replace('"status": "completed"', '"status": "finished"'))
    replayed = run("replay", path, url, "--json")
    assert replayed.returncode == 1
    result = json.loads(replayed.stdout)
    assert (result["same"], result["total"]) == (3, 6)
    assert result["different"]["approval"][0] == {
        "step": 4,
        "request": "GET /workflow/{{id}}/status",
        "differences": [{"at": "/body/status", "recorded": "finished", "got": "completed"}],
    }
