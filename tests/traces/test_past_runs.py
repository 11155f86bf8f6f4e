"""Past runs, loaded from their traces: `output-mock serve --traces DIR`."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from output_contract.pack import script
from output_mock import Context, Failure, OutputMock
from output_mock.traces import http, in_folder, llm
from output_mock.traces.past import load_past, read_past
from output_mock.traces.reading import NoTrace
from tests.client import Client
from tests.conftest import BOTH_TRANSPORTS, SLOW_IS_FINE

NODE = {
    "id": "1",
    "kind": "step",
    "name": "w#s",
    "startedAt": 2,
    "endedAt": 3,
    "children": [],
    "attributes": {},
}
ROOT = {**NODE, "id": "r", "kind": "workflow", "name": "w", "startedAt": 1, "endedAt": 4}


def made(folder: Path) -> OutputMock:
    """A fake with many kinds of runs, whose traces are in a folder."""
    mock = OutputMock(traces=in_folder(folder), scripts=[script])

    @mock.workflow("busy")
    async def busy(ctx: Context, input: Any) -> Any:
        await ctx.step("first", input, takes="2s", returns="one", trace=[http("GET", "https://a.example")])
        await ctx.step("second", takes="1s", fails=["no", None], returns=2, trace=[llm(model="m")])
        return await ctx.child("conf_child", {"name": "ana"})

    client = Client(mock)
    for workflow, body in [
        ("busy", {"a": 1}),
        ("conf_sum", {"a": 1, "b": 2}),
        ("conf_judge", {"text": "ab"}),
        ("conf_chain", {"value": 1, "limit": 4}),
        ("conf_fanout", {"items": [1, 2, 3]}),
        ("conf_parent", {"name": "ana"}),
        ("conf_parent", {"name": "ana", "fail": True}),
        ("conf_flaky", {"failures": 2}),
        ("conf_flaky", {"failures": 9}),
        ("conf_sum", {"a": "x"}),
        *(("conf_fail", {"mode": mode}) for mode in ("error", "fatal", "cause", "workflow", "string")),
    ]:
        client.post("/workflow/run", {"workflowName": workflow, "input": body})
        mock.clock.advance("5s")
    client.start("conf_graceful", {"onStop": "cleanup"}, workflowId="stopped")
    client.get("/workflow/stopped/status")
    client.patch("/workflow/stopped/stop")
    mock.clock.advance("1m")
    return mock


def parents(mock: OutputMock) -> list[str]:
    """The runs that have their own trace."""
    return [one for one, run in mock.runs.items() if run.trace and mock.world.find(one).info.parent is None]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[OutputMock, OutputMock]:
    """A fake, and another that loaded the same runs from its traces."""
    folder = tmp_path_factory.mktemp("logs")
    mock = made(folder)
    past = OutputMock()
    load_past(past.world, read_past(folder).files)
    return mock, past


def without_trace(answer: Any) -> Any:
    return {key: value for key, value in answer.items() if key != "trace"}


def test_loaded_runs_keep_their_status_result_and_input(pair: tuple[OutputMock, OutputMock]) -> None:
    mock, past = pair
    client, again = Client(mock), Client(past)
    # A run that failed before it began has no trace destinations, and is loaded the same way.
    for workflow_id in parents(mock):
        assert again.get(f"/workflow/{workflow_id}/status").json == (
            client.get(f"/workflow/{workflow_id}/status").json
        )
        assert again.get(f"/workflow/{workflow_id}/input").json == (
            client.get(f"/workflow/{workflow_id}/input").json
        )
        expected = without_trace(client.get(f"/workflow/{workflow_id}/result").json)
        assert without_trace(again.get(f"/workflow/{workflow_id}/result").json) == expected


def test_loaded_histories_have_the_same_steps_and_children(pair: tuple[OutputMock, OutputMock]) -> None:
    mock, past = pair

    def told(events: list[dict[str, Any]]) -> list[Any]:
        # In a trace, a child's first step may have replaced its parent's.
        internal = [one["eventId"] for one in events if "__internal#" in json.dumps(one)]
        found = []
        for event in events:
            kind = event["eventTypeName"]
            about = next((value for value in event.values() if isinstance(value, dict)), {})
            if event["eventId"] in internal or about.get("scheduledEventId") in internal:
                continue
            if kind.startswith(("ACTIVITY", "START_CHILD", "CHILD", "WORKFLOW_EXECUTION")):
                # For a retried step, a trace has only the start of the last attempt.
                scheduled = kind == "ACTIVITY_TASK_SCHEDULED"
                found.append((kind, "" if scheduled else event["eventTime"]))
        return sorted(found)

    for workflow_id in parents(mock):
        assert told(past.runs[workflow_id].history) == told(mock.runs[workflow_id].history), workflow_id


def test_every_history_is_numbered_and_refers_to_earlier_events(
    pair: tuple[OutputMock, OutputMock],
) -> None:
    for run in pair[1].runs.values():
        events = run.history
        assert [event["eventId"] for event in events] == [str(n) for n in range(1, len(events) + 1)]
        # The start event of an attempt is written when the attempt ends, with its start time.
        times = [one["eventTime"] for one in events if one["eventTypeName"] != "ACTIVITY_TASK_STARTED"]
        assert times == sorted(times)
        for event in events:
            for attributes in event.values():
                if isinstance(attributes, dict):
                    for key, value in attributes.items():
                        if key.endswith("EventId") and isinstance(value, str):
                            assert int(value) < int(event["eventId"]), (event["eventTypeName"], key)


@BOTH_TRANSPORTS
def test_trace_logs_of_loaded_runs_are_the_files(pair: tuple[OutputMock, OutputMock], transport: str) -> None:
    mock, past = pair
    # Not `connected`, which would close the fake that the other tests use.
    with nullcontext(past) if transport == "in_process" else past.serve() as place:
        client = Client(place)
        for workflow_id in parents(mock):
            answer = client.get(f"/workflow/{workflow_id}/trace-log").json
            assert answer["source"] == "remote"
            assert answer["data"] == mock.runs[workflow_id].trace
            assert past.runs[workflow_id].trace == answer["data"]


def test_a_stream_of_a_loaded_run_has_its_whole_history_and_ends(pair: tuple[OutputMock, OutputMock]) -> None:
    _, past = pair
    client = Client(past)
    (workflow_id,) = [one for one, run in past.runs.items() if run.workflow == "busy"]
    with client.stream(f"/workflow/{workflow_id}/history/stream") as stream:
        frames = list(stream)
    assert frames[-1].event == "done"
    events = [event for frame in frames if frame.event == "history" for event in frame.data]
    assert len(events) == len(past.runs[workflow_id].history)


def test_loaded_runs_accept_no_messages_and_cannot_be_reset(pair: tuple[OutputMock, OutputMock]) -> None:
    client = Client(pair[1])
    workflow_id = next(one for one, run in pair[1].runs.items() if run.workflow == "conf_sum")
    assert client.post(f"/workflow/{workflow_id}/signal/x").status == 404
    assert client.post(f"/workflow/{workflow_id}/query/x").json["error"] == "QueryNotRegisteredError"
    answer = client.post(f"/workflow/{workflow_id}/reset", {"stepName": "add"})
    assert answer.json["error"] == "ScriptError"


def test_new_runs_can_be_started_next_to_loaded_ones(pair: tuple[OutputMock, OutputMock]) -> None:
    _, past = pair
    past.workflow("new").returns(1)
    client = Client(past)
    client.run("new", workflowId="new")
    listed = client.get("/workflow/runs?limit=1000").json["runs"]
    assert {run["workflowType"] for run in listed} >= {"new", "busy", "conf_sum"}


def test_the_recorded_traces_can_be_loaded(tmp_path: Path) -> None:
    # With the times that recordings mask, because the order of events is read from them.
    trees = json.loads((Path(__file__).parent / "recorded_traces.json").read_text())
    for tree in trees:
        folder = tmp_path / tree["name"]
        folder.mkdir()
        (folder / f"2026-11-24-00-15-52-796Z_{tree['name']}-id.json").write_text(json.dumps(tree))
    mock = OutputMock()
    assert len(load_past(mock.world, read_past(tmp_path).files)) == len(trees) == 5
    client: Client = Client(mock)
    recorded = client.get("/workflow/conf_fail-id/result").json["error"]
    assert recorded == {
        "activityType": "conf_fail#fail",
        "message": "quota exceeded",
        "cause": {"message": "inner reason", "name": "TypeError"},
        "limit": 10,
        "name": "QuotaError",
    }


def test_older_traces_with_other_ids_and_names_can_be_loaded(tmp_path: Path) -> None:
    tree = {**ROOT, "id": "w-758d51b8", "children": [{key: NODE[key] for key in NODE if key != "attributes"}]}
    (tmp_path / "mine.json").write_text(json.dumps(tree))
    mock = OutputMock()
    (run,) = load_past(mock.world, read_past(tmp_path).files)
    assert run.workflow_id == "mine"
    assert Client(mock).get(f"/workflow/mine/runs/{run.run_id}/status").json["status"] == "completed"


def test_a_trace_without_an_end_becomes_a_terminated_run(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({**ROOT, "endedAt": None, "output": "<<…>>"}))
    mock = OutputMock()
    load_past(mock.world, read_past(tmp_path).files)
    assert mock.runs["a"].status == "terminated"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", r"a\.json, line 1, column 2: this is not JSON"),
        ("[]", r"a\.json: a node of a trace must be an object"),
        ("{}", "needs 'id' as text; is this a trace"),
        (json.dumps({**ROOT, "kind": "step"}), "begins with a workflow, not with a step"),
        (json.dumps({**ROOT, "name": "a b"}), "'a b' is not a valid workflow name"),
        (json.dumps({**ROOT, "startedAt": "x"}), "needs 'startedAt' in milliseconds since 1970"),
        (json.dumps({**ROOT, "startedAt": float("inf")}), "this is not JSON: Unexpected token 'I'"),
        (
            json.dumps({**ROOT, "startedAt": 0}).replace('"startedAt": 0', '"startedAt": 1e999'),
            "needs 'startedAt' in milliseconds since 1970",
        ),
        (json.dumps({**ROOT, "endedAt": 1e300}), "needs 'endedAt' in milliseconds since 1970"),
        (json.dumps({**ROOT, "endedAt": -5}), "needs 'endedAt' in milliseconds since 1970"),
        (json.dumps({**ROOT, "children": [{**ROOT, "name": "a b"}]}), "'a b' is not a valid workflow name"),
        (json.dumps({**ROOT, "children": [NODE, {**NODE, "id": 1}]}), r"at children\[1\]: .* needs 'id'"),
        (json.dumps({**ROOT, "children": {}}), "'children' must be a list"),
        ('{"a": ' * 50_000, "nested too deep|no JSON"),
    ],
)
def test_a_file_that_is_not_a_trace_is_reported_with_the_problem(
    tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(NoTrace, match=words):
        read_past(tmp_path)


def test_a_folder_without_traces_is_refused_and_other_files_are_skipped(tmp_path: Path) -> None:
    with pytest.raises(NoTrace, match="there are no traces"):
        read_past(tmp_path)
    tree = {**ROOT, "id": "01a20ae8-b5dc-7f3c-b6b3-183cfe79dd19"}
    for name in ("a", "b"):
        (tmp_path / f"{name}.json").write_text(json.dumps(tree))
    (tmp_path / "c.json").write_text("{")
    files, problems = read_past(tmp_path)
    assert [file.workflow_id for file in files] == ["a"]
    assert [str(problem).removeprefix(f"{tmp_path}/") for problem in problems] == [
        f"b.json: {tmp_path}/a.json has the run 01a20ae8-b5dc-7f3c-b6b3-183cfe79dd19, too",
        "c.json, line 1, column 2: this is not JSON: Expected property name or '}' in JSON at "
        "position 1 (line 1 column 2)",
    ]


def test_two_runs_with_the_same_id_and_time_keep_their_own_traces(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / f"{number}"
        folder.mkdir()
        tree = {**ROOT, "id": f"run {number}", "output": number}
        (folder / "2026-01-01-00-00-00-000Z_same.json").write_text(json.dumps(tree))
    mock = OutputMock()
    runs = load_past(mock.world, read_past(tmp_path).files)
    client = Client(mock)
    for number, run in enumerate(runs, 1):
        log = client.get(f"/workflow/same/runs/{run.run_id}/trace-log").json
        assert (log["runId"], log["data"]["output"]) == (run.run_id, number)


TREES = st.recursive(
    st.fixed_dictionaries(
        {
            "id": st.sampled_from(["1", "2", "3"]),
            "kind": st.sampled_from(["step", "evaluator", "llm", "http", "internal_step", "webhook"]),
            "name": st.sampled_from(["w#s", "w#t"]),
            "startedAt": st.integers(0, 10_000),
            "endedAt": st.one_of(st.none(), st.integers(0, 10_000)),
        },
        optional={"input": st.integers(), "output": st.text(), "error": st.just({"message": "no"})},
    ).map(lambda node: {**node, "children": []}),
    lambda inner: st.lists(inner, max_size=4).map(
        lambda children: {
            **ROOT,
            "id": f"child {len(children)}",
            "children": children,
            "startedAt": 5,
            "error": "x",
        }
    ),
    max_leaves=12,
)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, *SLOW_IS_FINE])
@given(st.lists(TREES, max_size=5))
def test_any_valid_trace_becomes_a_run_with_a_history(tmp_path: Path, children: list[Any]) -> None:
    (tmp_path / "a.json").write_text(json.dumps({**ROOT, "children": children}))
    mock = OutputMock()
    load_past(mock.world, read_past(tmp_path).files)
    client = Client(mock)
    for workflow_id in mock.runs:
        assert client.get(f"/workflow/{workflow_id}/status").status == 200
        events = client.events(workflow_id)
        assert events[0]["eventTypeName"] == "WORKFLOW_EXECUTION_STARTED"


def test_a_loaded_failure_keeps_its_details(tmp_path: Path) -> None:
    mock = OutputMock(traces=in_folder(tmp_path))
    mock.workflow("w").fails(Failure("no", name="QuotaError", limit=3, cause=Failure("why")))
    Client(mock).run("w", workflowId="w")
    past = OutputMock()
    load_past(past.world, read_past(tmp_path).files)
    assert past.runs["w"].error == mock.runs["w"].error
