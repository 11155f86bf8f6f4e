"""The recorded workflows in YAML behave like those in Python and like the recordings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from output_contract.pack import script
from output_mock import OutputMock
from output_mock.scripts.yaml.document import load
from tests.client import Client
from tests.fidelity.recorded import RECORDINGS, Recorded

pack_in_yaml = load(Path(__file__).parent / "pack.yaml")


def ask(client: Client) -> Iterator[tuple[str, Any]]:
    """Send requests that cover every workflow of the pack; yields the responses."""
    yield "catalogs", [client.get(f"/workflow/catalog/{name}").json for name in ("main", "remote")]

    def run(name: str, input: Any, **fields: Any) -> Any:
        return client.post("/workflow/run", {"workflowName": name, "input": input, **fields}).json

    yield "chain", run("conf_chain", {"value": 1, "limit": 4}, workflowId="chain")
    wrong = ["bad_step_output", "bad_output", "validation", "odd"]
    for mode in ["error", "fatal", "cause", "workflow", "string", *wrong]:
        yield mode, run("conf_fail", {"mode": mode}, workflowId=f"fail-{mode}")
    for n in range(5):
        yield f"flaky {n}", run("conf_flaky", {"failures": n}, workflowId=f"flaky-{n}")
    yield "fanout", run("conf_fanout", {"items": [1, 2, 3.5]}, workflowId="fanout")
    yield "fanout of nothing", run("conf_fanout", {"items": []}, workflowId="fanout-0")
    yield "judge", [run("conf_judge", {"text": text}, workflowId=f"judge-{text}") for text in ("ab", "abcd")]
    yield "parent", run("conf_parent", {"name": "ana"}, workflowId="parent")
    yield "parent of a failure", run("conf_parent", {"name": "ana", "fail": True}, workflowId="parent-fail")
    yield "sum", run("conf_sum", {"a": 1, "b": 2.5}, workflowId="sum")
    yield "wrong input", run("conf_sum", {"a": "x"}, workflowId="sum-wrong")
    yield "timer", run("conf_timer", {"ms": 1500}, workflowId="timer")
    yield "untraced", run("conf_untraced", {"text": "x"}, workflowId="untraced")
    for n, given in enumerate([{"a": [1, None]}, "text", None, 5, True, [], 1.5]):
        yield f"echo {given}", run("conf_mirror", given, workflowId=f"echo-{n}")
    yield "echo of nothing", client.post("/workflow/run", {"workflowName": "conf_echo"}).json
    for how in ("cleanup", "swallow", "ignore"):
        client.start("conf_graceful", {"onStop": how}, workflowId=f"stop-{how}")
        yield how, client.post(f"/workflow/stop-{how}/query/stage").json
        client.patch(f"/workflow/stop-{how}/stop")
        yield how, client.until_closed(f"stop-{how}")
        yield how, client.post(f"/workflow/stop-{how}/query/stage").json
    client.start("conf_resumable", workflowId="resume")
    client.post("/workflow/resume/signal/resume", {"payload": {"a": 1}})
    yield "resumable", client.until_closed("resume")
    client.start("conf_approval", {"topic": "bees"}, workflowId="approve")
    for name in ("getProgress", "broken", "nothing", "unknown"):
        yield name, client.post(f"/workflow/approve/query/{name}").text
    yield "verbose", client.post("/workflow/approve/query/getProgress", {"payload": {"verbose": True}}).json
    updates = [
        ("setThreshold", {"threshold": 0.5}),
        ("setThreshold", {"threshold": "x"}),
        ("setThreshold", {}),
    ]
    for name, payload in [*updates, ("brokenUpdate", {}), ("unknown", {})]:
        yield name, client.post(f"/workflow/approve/update/{name}", {"payload": payload}).text
    client.post("/workflow/approve/signal/approve", {"payload": {"by": "ana"}})
    client.post("/workflow/approve/signal/approve")
    yield "approved", client.post("/workflow/approve/update/waitForApproval").text
    yield "approval", client.until_closed("approve")
    yield "approval", client.get("/workflow/approve/result").json
    yield "reset", client.post("/workflow/approve/reset", {"stepName": "draft"}).status
    yield "approval", client.until_closed("approve")


def test_the_yaml_pack_produces_the_same_histories_as_the_python_pack() -> None:
    mocks = [OutputMock(seed=7, scripts=[one]) for one in (script, pack_in_yaml)]
    answers = [list(ask(Client(mock))) for mock in mocks]
    for expected, got in zip(*answers, strict=True):
        assert got == expected
    python, yaml = mocks
    assert list(yaml.runs) == list(python.runs)
    assert len(yaml.runs) > 35
    for workflow_id, run in python.runs.items():
        assert yaml.runs[workflow_id].history == run.history, workflow_id
    assert yaml.script_errors == []


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_recordings_are_reproduced_with_the_yaml_pack(name: str) -> None:
    with mock_aws():
        different = Recorded(RECORDINGS[name], pack_in_yaml).play()
    assert not different, "\n".join(different)
