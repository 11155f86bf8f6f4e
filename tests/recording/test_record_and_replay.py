"""The commands `record` and `replay`, on a fake over a socket."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from output_contract.pack import script as pack
from output_mock import OutputMock
from output_mock.recording.checking import schema
from tests.cli.commands import one_line, run

SCENARIO = """\
name: approval
about: a run waits for a signal and gets it
variables: {topic: bees}
steps:
  - request: POST /workflow/start
    json: {workflowName: conf_approval, input: {topic: "{{topic}}"}}
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
TOKEN = "s3cret-t0ken"


def serving(clock: Any, **options: Any) -> Iterator[str]:
    mock = OutputMock(clock, scripts=[pack], **options)
    with mock.serve() as url:
        yield url
    mock.close()


@pytest.fixture(params=["auto", "real"])
def any_clock(request: pytest.FixtureRequest) -> Iterator[str]:
    """A served fake with the pack."""
    yield from serving(request.param)


@pytest.fixture
def url() -> Iterator[str]:
    yield from serving("auto")


@pytest.fixture
def guarded() -> Iterator[str]:
    """A served fake with the pack and a token."""
    yield from serving("auto", auth_token=TOKEN)


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    path = tmp_path / "approval.yaml"
    path.write_text(SCENARIO)
    return path


def a_scenario(folder: Path, name: str, *steps: dict[str, Any], **fields: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"name": name, "steps": steps, **fields}))
    return path


def test_replaying_a_recording_finds_no_differences(any_clock: str, scenario: Path, tmp_path: Path) -> None:
    recorded = run("record", any_clock, scenario, "-o", tmp_path / "out")
    assert recorded.returncode == 0, recorded.stderr
    assert recorded.stdout == f"{tmp_path / 'out' / 'approval.json'}: 6 requests\n"
    assert json.loads((tmp_path / "out" / "approval.json").read_text())["recorded"]["api"] == "0.11"
    replayed = run("replay", tmp_path / "out", any_clock)
    assert (replayed.returncode, replayed.stdout) == (
        0,
        "same approval 6/6\n6 of 6 answers are the same\n",
    )


def test_a_recording_can_be_recorded_again_with_the_same_result(
    any_clock: str, scenario: Path, tmp_path: Path
) -> None:
    run("record", any_clock, scenario, "-o", tmp_path / "1")
    run("record", any_clock, tmp_path / "1", "-o", tmp_path / "2", "--times", "2")
    compared = run("replay", tmp_path / "1", tmp_path / "2")
    assert (compared.returncode, compared.stdout) == (
        0,
        "same approval 6/6\n6 of 6 answers are the same\n",
    )


def test_a_difference_is_shown_with_its_place(url: str, scenario: Path, tmp_path: Path) -> None:
    run("record", url, scenario, "-o", tmp_path)
    path = tmp_path / "approval.json"
    text = path.read_text()
    assert text.count('"status": "completed"') > 0
    path.write_text(text.replace('"status": "completed"', '"status": "finished"'))
    replayed = run("replay", path, url)
    assert replayed.returncode == 1
    assert replayed.stdout.startswith(
        "DIFF approval 3/6\n"
        "  step 4: GET /workflow/{{id}}/status\n"
        '    body.status: recorded "finished", got "completed"\n'
    )
    assert replayed.stdout.endswith("\n3 of 6 answers are the same\n")
    in_json = run("replay", path, url, "--json")
    assert in_json.returncode == 1
    result = json.loads(in_json.stdout)
    assert (result["same"], result["total"]) == (3, 6)
    assert result["different"]["approval"][0] == {
        "step": 4,
        "request": "GET /workflow/{{id}}/status",
        "differences": [{"at": "/body/status", "recorded": "finished", "got": "completed"}],
    }


def test_many_differences_are_counted_and_shown_on_request(url: str, tmp_path: Path) -> None:
    a_scenario(tmp_path / "s", "catalog", {"request": "GET /workflow/catalog"})
    run("record", url, tmp_path / "s", "-o", tmp_path / "out")
    path = tmp_path / "out" / "catalog.json"
    recording = json.loads(path.read_text())
    recording["steps"][0]["answer"]["json"] |= {f"field_{n}": n for n in range(20)}
    path.write_text(json.dumps(recording))
    assert "    … and 12 more; --all shows them\n" in run("replay", path, url).stdout
    assert run("replay", path, url, "--all").stdout.count("missing\n") == 20


def test_the_token_is_sent_and_never_written(guarded: str, tmp_path: Path) -> None:
    a_scenario(
        tmp_path / "s",
        "auth",
        {"request": "GET /workflow/catalog"},
        {"request": "GET /workflow/catalog", "token": False},
        {"request": "GET /workflow/catalog", "headers": {"Authorization": "{{token}}"}},
        {"request": "POST /workflow/run", "json": {"workflowName": "conf_echo", "input": "{{token}}"}},
        {"request": f"GET /workflow/runs?limit=1&x={TOKEN}", "headers": {"Authorization": f"Basic {TOKEN}"}},
        variables={"unused": TOKEN},
    )
    recorded = run("record", guarded, tmp_path / "s", "-o", tmp_path / "out", "--token", TOKEN)
    assert recorded.returncode == 0, recorded.stderr
    text = (tmp_path / "out" / "auth.json").read_text()
    assert TOKEN not in text + recorded.stdout + recorded.stderr
    answers = [step["answer"] for step in json.loads(text)["steps"]]
    assert [answer["status"] for answer in answers] == [200, 401, 200, 200, 200]
    assert answers[3]["json"]["input"] == "{{token}}"
    replayed = run("replay", tmp_path / "out", guarded, environment={"OUTPUT_API_AUTH_TOKEN": TOKEN})
    assert replayed.returncode == 0, replayed.stdout


def test_variables_can_be_set(url: str, scenario: Path, tmp_path: Path) -> None:
    run("record", url, scenario, "-o", tmp_path, "--var", "topic=flowers")
    assert '"topic": "flowers"' in (tmp_path / "approval.json").read_text()
    wrong = run("record", url, scenario, "-o", tmp_path, "--var", "topik=x")
    assert wrong.returncode == 2
    assert one_line(wrong) == (
        "output-mock record: --var topik: no scenario has a variable 'topik'; did you mean 'topic'?\n"
    )
    assert "write NAME=VALUE" in one_line(run("record", url, scenario, "-o", tmp_path, "--var", "topic"))


def test_unexpected_events_are_reported_and_recorded(url: str, tmp_path: Path) -> None:
    a_scenario(
        tmp_path / "s",
        "odd",
        {"request": "POST /workflow/start", "json": {"workflowName": "nope"}, "save": {"id": "workflowId"}},
        {"request": "GET /workflow/{{id}}/status"},
    )
    recorded = run("record", url, tmp_path / "s", "-o", tmp_path / "out")
    assert recorded.returncode == 1
    assert recorded.stderr == (
        'odd: step 1, POST /workflow/start: the answer, 424 "UnsupportedWorkflowError", '
        "has no value for {{id}}\n"
        "odd: step 2, GET /workflow/{{id}}/status: not sent, as {{id}} has no value\n"
    )
    assert run("replay", tmp_path / "out", url).returncode == 0


def test_scenarios_that_need_another_server_are_skipped_and_reported(url: str, tmp_path: Path) -> None:
    step = {"request": "GET /health"}
    a_scenario(tmp_path / "s", "plain", step)
    a_scenario(tmp_path / "s", "traces", step, server="production")
    recorded = run("record", url, tmp_path / "s", "-o", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["plain.json"]
    assert recorded.stderr == ("left out, as they need a server 'production' (--server production): traces\n")
    production = run("record", url, tmp_path / "s", "-o", tmp_path / "out", "--server", "production")
    assert production.stdout == f"{tmp_path / 'out' / 'traces.json'}: 1 request\n"
    only = run("record", url, tmp_path / "s", "-o", tmp_path / "only", "--only", "traces")
    assert (only.returncode, only.stderr) == (0, "")
    wrong = run("record", url, tmp_path / "s", "-o", tmp_path / "out", "--only", "trace")
    assert wrong.returncode == 2
    assert "there is no scenario 'trace'; there are plain, traces" in one_line(wrong)


def test_a_command_can_do_the_manual_steps(url: str, tmp_path: Path) -> None:
    start = {
        "request": "POST /workflow/start",
        "json": {"workflowName": "conf_sum", "input": {"a": 1, "b": 2}},
        "save": {"id": "workflowId"},
    }
    a_scenario(tmp_path / "s", "hand", start, {"by_hand": "note it"}, {"request": "GET /health"})
    noted = tmp_path / "noted.txt"
    command = tmp_path / "do.py"
    command.write_text(
        "import os, pathlib, sys\n"
        f"pathlib.Path({str(noted)!r}).write_text(sys.argv[1] + ' ' + os.environ['SCENARIO_ID'])\n"
    )
    arguments = ("record", url, tmp_path / "s", "-o", tmp_path / "out", "--hand")
    recorded = run(*arguments, f"{sys.executable} {command}")
    assert recorded.returncode == 0, recorded.stderr
    words, _, workflow_id = noted.read_text().rpartition(" ")
    assert words == "note it"
    assert len(workflow_id) == 21
    failed = run(*arguments, f"{sys.executable} -c 'raise SystemExit(3)'")
    assert failed.returncode == 2
    assert "ended with status 3; it should have done: note it" in one_line(failed)


def test_a_failed_manual_step_ends_a_replay(url: str, tmp_path: Path) -> None:
    a_scenario(tmp_path / "s", "hand", {"by_hand": "note it"}, {"request": "GET /health"})
    run("record", url, tmp_path / "s", "-o", tmp_path / "out", "--hand", "true")
    ended = run("replay", tmp_path / "out", url, "--hand", "false")
    assert ended.returncode == 2
    assert "false ended with status 1; it should have done: note it" in one_line(ended)
    missing = run("replay", tmp_path / "out", url, "--hand", "./no-such-command")
    assert "./no-such-command cannot be run" in one_line(missing)


def test_a_folder_that_cannot_be_written_is_reported(url: str, scenario: Path) -> None:
    ended = run("record", url, scenario, "-o", scenario / "out")
    assert ended.returncode == 2
    assert "cannot be written" in one_line(ended)


def test_a_kind_of_server_that_no_scenario_needs_is_reported(
    url: str, scenario: Path, tmp_path: Path
) -> None:
    ended = run("record", url, scenario, "-o", tmp_path, "--server", "staging")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "left out, as they need no such server: approval",
        "output-mock record: there is no scenario to record",
    ]


def test_a_manual_step_fails_at_once_without_a_terminal(url: str, tmp_path: Path) -> None:
    a_scenario(tmp_path / "s", "hand", {"by_hand": "note it"}, {"request": "GET /health"})
    with open(tmp_path / "empty", "w+") as empty, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", empty)
        ended = run("record", url, tmp_path / "s", "-o", tmp_path / "out")
    assert ended.returncode == 2
    assert "give a command with --hand: note it" in ended.stderr


def test_versions_are_detected_or_given_and_a_contradiction_is_reported(
    url: str, scenario: Path, tmp_path: Path
) -> None:
    said = ("--api-version", "0.11.0", "--sdk-version", "0.11.2", "--temporal-version", "1.32.0")
    recorded = run("record", url, scenario, "-o", tmp_path, *said)
    assert recorded.stderr == ""
    recording = json.loads((tmp_path / "approval.json").read_text())
    assert recording["recorded"] == {"api": "0.11.0", "sdk": "0.11.2", "temporal": "1.32.0"}
    wrong = run("record", url, scenario, "-o", tmp_path, "--api-version", "0.9.2")
    assert wrong.stderr == ("warning: the API server answers like 0.11, but you say that it is 0.9.2\n")


def test_an_unreachable_or_invalid_server_is_reported(scenario: Path, tmp_path: Path) -> None:
    nobody = run("record", "http://127.0.0.1:9", scenario, "-o", tmp_path)
    assert nobody.returncode == 2
    assert "no server answers there" in one_line(nobody)
    assert "is not a base URL" in one_line(run("record", "ftp://x", scenario, "-o", tmp_path))
    assert "--token" in one_line(run("record", "http://u:p@127.0.0.1:9", scenario, "-o", tmp_path))


def test_control_characters_from_a_server_are_escaped(tmp_path: Path) -> None:
    mock = OutputMock()
    mock.workflow("title").returns("\x9b2J")
    a_scenario(
        tmp_path / "s",
        "odd",
        {
            "request": "POST /workflow/run",
            "json": {"workflowName": "title"},
            "until": {"output": "x"},
            "within": 0,
        },
    )
    with mock.serve() as url:
        told = run("record", url, tmp_path / "s", "-o", tmp_path / "out").stderr
    mock.close()
    assert "\x9b" not in told
    assert "u009b2J" in told


def test_invalid_scenarios_are_reported_before_any_request(tmp_path: Path) -> None:
    a_scenario(tmp_path / "s", "good", {"request": "GET /health"})
    (tmp_path / "s" / "bad.yaml").write_text("name: bad\nsteps:\n  - wait: soon\n")
    (tmp_path / "s" / "twice.yaml").write_text("name: good\nsteps:\n  - wait: 1s\n")
    ended = run("record", "http://127.0.0.1:9", tmp_path / "s", "-o", tmp_path / "out")
    assert ended.returncode == 2
    bad, twice, last = ended.stderr.splitlines()
    assert bad.startswith(f"{tmp_path / 's' / 'bad.yaml'}:3:5: step 1, wait: 'soon' is not a duration")
    assert twice.endswith("good.json has the same name, 'good'; rename one, or move it to another folder")
    assert last == "output-mock record: nothing was sent; correct these files first"
    assert not (tmp_path / "out").exists()


def test_a_folder_without_scenarios_and_a_missing_file_are_reported(tmp_path: Path) -> None:
    empty = run("replay", tmp_path, "http://127.0.0.1:9")
    assert (empty.returncode, "there is no scenario in this folder" in one_line(empty)) == (2, True)
    missing = run("replay", tmp_path / "x", "http://127.0.0.1:9")
    assert "there is no such file" in one_line(missing)
    neither = run("replay", tmp_path, "localhost:3001")
    assert "is neither a URL nor an existing folder" in one_line(neither)


def test_a_server_of_another_version_than_the_recordings_is_reported(
    scenario: Path, url: str, tmp_path: Path
) -> None:
    run("record", url, scenario, "-o", tmp_path / "out")
    assert run("replay", tmp_path / "out", url).stderr == ""
    for older in serving("auto", api_version="0.9"):
        replayed = run("replay", tmp_path / "out", older)
    assert replayed.returncode == 1
    assert replayed.stderr == (
        "recorded with API 0.11, but this server is API 0.9; 'output-mock versions 0.11 0.9' says what "
        "that changes\n"
    )


def test_a_scenario_cannot_be_replayed(url: str, scenario: Path) -> None:
    ended = run("replay", scenario, url)
    assert ended.returncode == 2
    assert "this is a scenario, not a recording; record it with 'output-mock record'" in one_line(ended)


def test_recordings_that_only_one_folder_has_are_reported(url: str, tmp_path: Path) -> None:
    step = {"request": "GET /health"}
    for name in ("both", "first"):
        a_scenario(tmp_path / "s1", name, step)
    for name in ("both", "second"):
        a_scenario(tmp_path / "s2", name, step)
    for n in "12":
        run("record", url, tmp_path / f"s{n}", "-o", tmp_path / n)
    compared = run("replay", tmp_path / "1", tmp_path / "2")
    assert (compared.returncode, compared.stdout) == (0, "same both 1/1\n1 of 1 answers are the same\n")
    assert compared.stderr == f"not in {tmp_path / '2'}: first\nonly in {tmp_path / '2'}: second\n"


def test_the_schema_of_scenarios_is_printed() -> None:
    assert json.loads(run("schema", "scenario").stdout) == schema()


@pytest.mark.parametrize(
    ("command", "words"),
    [("echo 'x", "is not a command: No closing quotation"), (" ", "the command is empty")],
)
def test_an_invalid_hand_command_is_reported_before_any_request(
    url: str, command: str, words: str, tmp_path: Path
) -> None:
    path = a_scenario(tmp_path / "in", "hand", {"by_hand": "stop the worker"})
    ended = run("record", url, path, "-o", tmp_path / "out", "--hand", command)
    assert words in one_line(ended)
    assert ended.returncode == 2


def test_a_value_that_cannot_be_an_environment_variable_is_reported(url: str, tmp_path: Path) -> None:
    start = {"request": "POST /workflow/run", "json": {"workflowName": "conf_echo", "input": {"t": "a\0b"}}}
    path = a_scenario(tmp_path / "in", "hand", {**start, "save": {"t": "input.t"}}, {"by_hand": "stop it"})
    ended = run("record", url, path, "-o", tmp_path / "out", "--hand", f"{sys.executable} -c pass")
    assert "a variable has characters that an environment variable cannot have" in one_line(ended)
    assert ended.returncode == 2
