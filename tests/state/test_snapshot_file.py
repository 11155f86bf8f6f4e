"""Snapshot files: another process can continue from one, and no damaged file does harm."""

from __future__ import annotations

import copy
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from output_mock import Context, Failure, OutputMock
from output_mock.contract import closed_runs, failures
from output_mock.control.worlds import WorldEntry
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import Application
from output_mock.state.checked import Unreadable
from output_mock.state.json_values import cause, cause_json, random_state
from output_mock.state.snapshot import Snapshot
from output_mock.state.worlds import checked_snapshot, snapshot_json
from tests.client import Client
from tests.control.served import served, worlds_of
from tests.state.test_state_file import Fake, Serve, serve

__all__ = ["serve"]

YAML = {
    "workflows": [
        {"name": "child", "steps": [{"sleep": "1m"}], "returns": {"n": 1}},
        {
            "name": "review",
            "steps": [
                {"step": "draft", "returns": "text", "fails": ["busy"], "takes": "5s"},
                {"child": "child"},
                {"wait_for_signal": "go", "timeout": "12h"},
            ],
            "returns": {"by": "{{ signals.go.by }}"},
        },
        {"name": "turns", "answers": [{"returns": 1}, {"returns": 2}, {"fails": "no more"}]},
    ]
}


def test_another_process_continues_from_a_snapshot(serve: Serve) -> None:
    def fake() -> Fake:
        return serve()

    one, other = fake(), fake()
    assert one.ask("PUT", "/__mock__/workflows", YAML).status == 200
    one.start("review", "a", input={"password": "hunter2-of-the-input"})
    for _ in range(6):
        one.get("/workflow/a/status")
    assert one.ask("POST", "/workflow/run", {"workflowName": "turns"}).json["output"] == 1
    one.get("/workflow/runs", Cookie="session=c00kie-of-mine")
    assert one.ask("POST", "/__mock__/snapshots", {"name": "s"}).status == 201
    file = one.get("/__mock__/snapshots/s")
    assert file.status == 200
    assert file.json["kind"] == "output-mock snapshot"
    assert "c00kie-of-mine" not in file.text
    # As a JavaScript program would pass it on.
    taken = other.ask("PUT", "/__mock__/snapshots/theirs", json.loads(file.text))
    assert (taken.status, taken.json["name"]) == (201, "theirs")
    assert other.get("/workflow/a/status").status == 404
    assert other.ask("POST", "/__mock__/snapshots/theirs/restore").status == 200
    for path in ("/workflow/a/history", "/workflow/runs", "/__mock__/runs/a", "/__mock__/clock"):
        assert one.get(path).json == other.get(path).json
    for fake_ in (one, other):
        assert fake_.ask("POST", "/workflow/run", {"workflowName": "turns"}).json["output"] == 2
        assert fake_.ask("POST", "/workflow/a/signal/go", {"payload": {"by": "ana"}}).status == 200
        for _ in range(6):
            fake_.get("/workflow/a/status")
        assert fake_.get("/workflow/a/result").json["output"] == {"by": "ana"}
    assert one.get("/workflow/a/history").json == other.get("/workflow/a/history").json
    assert other.ask("PUT", "/__mock__/snapshots/theirs", json.loads(file.text)).status == 200


def test_a_snapshot_reports_that_it_needs_a_python_script_that_is_not_served() -> None:
    mock = OutputMock()
    mock.workflow("mine").returns(1)
    mock.world.start("mine", workflow_id="a")
    file = json.loads(json.dumps(snapshot_json(Snapshot.of(mock.app))))
    other = OutputMock()
    with pytest.raises(Unreadable, match="scripted in Python and not served here: mine"):
        checked_snapshot(file, other.world)
    other.workflow("mine").returns(1)
    checked_snapshot(file, other.world)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'kind' is a required property"),
        ({"kind": "x", "version": 1}, "it is not a snapshot of output-mock"),
        ({"kind": "output-mock snapshot", "version": 9}, "another version"),
        ({"kind": "output-mock snapshot", "version": 3}, "the field 'now' is missing"),
        ([], "is not of type 'object'"),
    ],
)
def test_an_invalid_snapshot_is_refused_with_an_explanation(body: Any, words: str) -> None:
    with served(worlds_of()) as client:
        answer = client.control("PUT", "/snapshots/s", body)
        assert answer.status == 400
        assert words in answer.json["message"]
        assert client.control("GET", "/snapshots/s").status == 404


# Values to put in the place of any part of a file.
ODD: list[Any] = [None, True, -1, 0, 7, 2**62, 1.5, "", "x", "__class__", [], [[]], {}, {"x": 1}]


def a_world() -> OutputMock:
    """A world with every kind of state, all of which is in the file."""
    mock = OutputMock("auto", seed=5)

    @mock.workflow("parent")
    async def parent(ctx: Context, given: Any) -> Any:
        ctx.on_query("q", lambda payload: 1)
        await ctx.step("flaky", {"n": 1}, fails=["a", None])
        await ctx.child("child")
        await ctx.step("slow", takes="1h", fails=[Failure("late", name="Busy", code=3), None])
        await ctx.wait_for_signal("go", timeout="2h")

    @mock.workflow("child")
    async def child(ctx: Context, given: Any) -> Any:
        if not given:
            ctx.continue_as_new({"n": 1})

    mock.workflow("turns").returns(1).then.returns(2)
    mock.workflow("fails").fails("no", code=4).receives("late", {"x": 1}, after="1h")
    mock.world.start("parent", workflow_id="a")
    mock.world.start("turns", workflow_id="t")
    mock.world.start("fails", workflow_id="f")
    mock.clock.advance("10s")
    mock.world.signal("a", "go", {"by": 1})
    mock.world.signal("a", "more", after=10**9)
    mock.fail_next(503, times=2, route="start")
    return mock


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of everything in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (*path, name)
        yield from places(one, (*path, name))


def some_of_each_kind(paths: Iterable[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Of paths that differ only in an index, the first three and then every third."""
    seen: Counter[tuple[Any, ...]] = Counter()
    for path in paths:
        kind = tuple(None if isinstance(name, int) else name for name in path)
        seen[kind] += 1
        if seen[kind] <= 3 or seen[kind] % 3 == 0:
            yield path


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value at a path."""
    value = copy.copy(value)
    name, *rest = path
    value[name] = changed(value[name], tuple(rest), new) if rest else new
    return value


def use(held: WorldEntry) -> None:
    """Read everything in a world. No response may be an internal error."""
    client = Client(held.mock)
    paths = ["/workflow/runs", "/workflow/catalog"]
    paths += [f"/workflow/a/{what}" for what in ("status", "result", "input", "history", "trace-log")]
    answers = [client.unchecked("GET", path) for path in paths]
    answers.append(client.unchecked("POST", "/workflow/a/query/q", {}))
    answers.append(client.unchecked("POST", "/workflow/start", {"workflowName": "turns"}))
    for answer in answers:
        if answer.status == 500:
            assert answer.json["error"] != "Error", answer.text
            assert answer.json["message"] != "Internal Server Error", answer.text


@pytest.mark.parametrize(
    "part", ["now", "ids", "workflows", "world", "runs", "faults", "calls", "requestIds"]
)
def test_a_damaged_snapshot_file_is_refused_or_loads_without_harm(part: str) -> None:
    mock = a_world()
    Client(mock).request("GET", "/workflow/a/status")
    file = json.loads(json.dumps(snapshot_json(Snapshot.of(mock.app))))
    mock.close()
    held = WorldEntry("two", a_world(), {})
    for number, path in enumerate([(part,), *some_of_each_kind(places(file[part], (part,)))]):
        odd = ODD[number * 5 % len(ODD)]
        snapshot = None
        with suppress(Unreadable, ScriptError):
            snapshot = checked_snapshot(changed(file, path, odd), held.world)
        if snapshot is not None:
            snapshot.restore(held.mock)
            use(held)
            held.mock.close()
            held = WorldEntry("two", a_world(), {})
    held.mock.close()


@pytest.mark.parametrize("packed", ["é", "not base 64", "QQ=="])
def test_an_invalid_random_state_is_refused(packed: str) -> None:
    with pytest.raises(Unreadable, match="not the state of a source of chance"):
        random_state([packed, None])


@pytest.mark.parametrize(
    "failure",
    [
        failures.terminated("enough"),
        failures.timed_out(),
        failures.cancelled(),
        failures.stopped(),
        Application(Failure("no credit"), where="fn (w.js)", non_retryable=False),
        failures.activity_failure(
            "w#s", "1", 5, 6, failures.TIMEOUT, failures.step_timeout("X", "late", None)
        ),
    ],
    ids=lambda failure: failure.message,
)
def test_a_failure_that_is_read_from_a_file_is_reported_as_before(failure: failures.Cause) -> None:
    again = cause(cause_json(failure))
    assert closed_runs.error(again) == closed_runs.error(failure)
