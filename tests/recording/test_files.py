"""Scenario files are read correctly, or refused with the place of the mistake."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from output_mock.recording.checking import schema
from output_mock.recording.files import read, text_of, write
from output_mock.recording.scenario import ScenarioError, from_json
from tests.fidelity.recorded import FURTHER, RECORDINGS

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text("abc é{}\n")),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text("ab"), inner, max_size=2)),
    max_leaves=6,
)
steps = st.one_of(
    st.fixed_dictionaries({"wait": st.sampled_from(["1s", 2, "1h30m"])}),
    st.fixed_dictionaries({"by_hand": st.sampled_from(["stop it"])}),
    st.fixed_dictionaries(
        {"request": st.sampled_from(["GET /health", "POST /workflow/{{nonce}}/stop", "OPTIONS *"])},
        optional={
            "json": json_values.filter(lambda value: "{{" not in json.dumps(value)),
            "headers": st.dictionaries(st.sampled_from(["A", "b-c"]), st.sampled_from(["x", ["x", "y"]])),
            "until": st.just({"status": ["completed"], "runs.0.id": 1}),
            "save": st.just({"id": "a.0.b", "tag": {"header": "etag"}}),
            "compare": st.sampled_from(["exact", "unordered", "first_event"]),
            "unstable": st.just(["/body/a"]),
            "token": st.booleans(),
            "read": st.sampled_from([{"frames": 2}, {"seconds": 0.5}]),
        },
    ),
)
scenarios = st.fixed_dictionaries(
    {"name": st.sampled_from(["a", "approval_2"]), "steps": st.lists(steps, min_size=1, max_size=4)},
    optional={
        "about": st.text(min_size=1),
        "server": st.just("production"),
        "compare": st.just("unordered"),
        "variables": st.just({"x": 1}),
        "recorded": st.just({"api": "0.11.0", "sdk": None}),
    },
)


@given(scenarios)
def test_a_written_scenario_is_read_back_unchanged(value: Any) -> None:
    scenario = from_json(value)
    assert scenario.json() == value
    assert from_json(json.loads(text_of(scenario))) == scenario


@pytest.mark.parametrize("name", ["approval", "fact_signals_early"])
def test_writing_a_recording_that_was_read_reproduces_the_file(name: str, tmp_path: Path) -> None:
    recording = (RECORDINGS | FURTHER)[name]
    assert write(recording, tmp_path / "new").read_bytes() == Path(recording.file).read_bytes()


def test_the_schema_is_a_valid_json_schema() -> None:
    Draft202012Validator.check_schema(schema())


def test_yaml_and_json_scenarios_are_equivalent(tmp_path: Path) -> None:
    yaml, in_json = tmp_path / "a.yaml", tmp_path / "a.json"
    yaml.write_text("name: a\nsteps:\n  - request: GET /health\n    until: {status: [x, y]}\n  - wait: 1s\n")
    in_json.write_text(
        json.dumps(
            {
                "name": "a",
                "steps": [{"request": "GET /health", "until": {"status": ["x", "y"]}}, {"wait": "1s"}],
            }
        )
    )
    assert read(yaml).json() == read(in_json).json()


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("steps: []", "1:1: 'name' is missing"),
        ("name: a\nsteps: []", "2:1: steps: [] should be non-empty"),
        ("name: a b\nsteps: [{wait: 1s}]", "1:1: name: 'a b' does not match"),
        ("name: a\nsteps:\n  - GET: /x", "3:5: step 1: a step needs 'request', 'wait' or 'by_hand'"),
        (
            "name: a\nsteps:\n  - request: /health",
            "3:5: step 1, request: '/health' is not a request; write it like 'GET /workflow/{{id}}/status'",
        ),
        (
            "name: a\nsteps:\n  - request: GET /x\n    untill: {a: 1}",
            "4:5: step 1, untill: there is no 'untill' here; did you mean 'until'?",
        ),
        (
            "name: a\nsteps:\n  - request: GET /x\n    json: 1\n    text: x",
            "5:5: step 1, text: a request can have only one body, not 'json' and 'text'",
        ),
        ("name: a\nsteps:\n  - wait: soon", "3:5: step 1, wait: 'soon' is not a duration; write it like"),
        ("name: a\nsteps:\n  - wait: -1", "3:5: step 1, wait: a duration cannot be negative: -1"),
        ("name: a\nsteps:\n  - {request: GET /x, base64: é}", "step 1, base64: this is not base 64: "),
        (
            "name: a\nsteps:\n  - request: GET /{{id}}",
            "3:5: step 1, request: {{id}} has no value here; save it from an earlier answer",
        ),
        (
            "name: a\nvariables: {topic: x}\nsteps:\n  - {request: GET /x, json: {a: ['{{topik}}']}}",
            "step 1, json: {{topik}} has no value here; did you mean 'topic'?",
        ),
        (
            "name: a\nsteps:\n  - {request: GET /x, headers: {X: '{{id}}'}, save: {id: a}}",
            "step 1, headers: {{id}} has no value here",
        ),
        ("name: a\nname: b\nsteps: []", "2:1: "),
        ("name: a\nsteps: [", "2:"),
        ("name: a\nsteps:\n  - request: GET /x\n    headers: {'a b': c}", "headers: 'a b' does not match"),
    ],
)
def test_a_mistake_is_reported_with_its_file_line_and_step(text: str, mistake: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ScenarioError) as problem:
        read(path)
    message = str(problem.value)
    assert all(line.startswith(f"{path}:") for line in message.splitlines())
    assert mistake in message.splitlines()[0]


def test_every_mistake_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("name: a\nsteps:\n  - wait: soon\n  - request: GET /{{x}}\n  - wait: later\n")
    with pytest.raises(ScenarioError) as problem:
        read(path)
    assert [line.split(":")[1] for line in str(problem.value).splitlines()] == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("content", "mistake"),
    [
        (b'{"name": "a" 1}', ":1:14: the file is not valid JSON: "),
        (b"\xff", ": the file is not UTF-8, as scenarios must be"),
        (b'{\n "name": "a",\n "steps": [\n  {"wait": "soon"}\n ]\n}', ":4:4: step 1, wait: 'soon' is not"),
        (b"[" * 100_000, ": the file is not valid JSON: "),
        (
            b'{"name": "a", "steps": [{"request": "GET /x", "json": [NaN]}]}',
            "step 1, json: JSON has no NaN and no infinite numbers",
        ),
    ],
)
def test_invalid_json_is_refused_with_its_place(content: bytes, mistake: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(ScenarioError) as problem:
        read(path)
    assert mistake in str(problem.value)
    assert "\n" not in str(problem.value)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="No such file or directory"):
        read(tmp_path / "a.yaml")


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    ("value", "mistake"),
    [
        ({"name": "a\n", "steps": [{"wait": 1}]}, "name: "),
        ({"name": "a", "steps": [{"request": "GET /x\n"}]}, "request: "),
        ({"name": "a", "steps": [{"request": "GET /x", "headers": {"A": "b\n"}}]}, "headers, A: "),
        ({"name": "a", "steps": [{"wait": 1e300}]}, "a duration cannot be longer than a century"),
        (
            {"name": "a", "steps": [{"request": "GET /x", "json": nested(900)}]},
            "step 1, json: this is nested",
        ),
        ({"name": "a", "steps": [{"request": "GET /x", "until": {"a": nested(900)}}]}, "step 1, until: this"),
        ({"name": "a", "variables": {"a": nested(900)}, "steps": [{"wait": 1}]}, "variables: this is nested"),
    ],
)
def test_an_unplayable_scenario_is_refused(value: Any, mistake: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(value))
    with pytest.raises(ScenarioError, match=mistake):
        read(path)


def test_an_endless_file_is_not_a_scenario(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    try:
        path.symlink_to("/dev/zero")
    except OSError:
        pytest.skip("this system has no links")
    if not path.exists():
        pytest.skip("this system has no file without end")
    with pytest.raises(ScenarioError, match="it has more than 64 MiB"):
        read(path)


def test_a_recording_replaces_a_link_and_does_not_follow_it(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("mine")
    folder = tmp_path / "out"
    folder.mkdir()
    try:
        (folder / "a.json").symlink_to(elsewhere)
    except OSError:
        pytest.skip("this system has no links")
    write(from_json({"name": "a", "steps": [{"wait": 1}]}), folder)
    assert elsewhere.read_text() == "mine"
    assert read(folder / "a.json").name == "a"


def test_a_failed_write_keeps_the_previous_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = from_json({"name": "a", "steps": [{"wait": 1}]})
    path = write(recording, tmp_path)
    before = path.read_bytes()

    def full(*where: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("output_mock.recording.files.os.replace", full)
    with pytest.raises(OSError, match="No space"):
        write(recording, tmp_path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
