"""A saved state can be read again, and a file about one world never affects anything else."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from output_mock import Context, OutputMock
from output_mock.cli.trace_storage import TraceStorage
from output_mock.contract import events
from output_mock.control.saver import begun
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.durations import SECOND
from output_mock.state.checked import Unreadable
from output_mock.state.database import MOST_RUNS, StateFileError
from output_mock.state.snapshot import Snapshot
from output_mock.state.worlds import checked_snapshot, snapshot_json
from tests.control.served import served, worlds_of


def make(given: Any) -> OutputMock:
    mock = OutputMock(
        given.get("clock", "auto"), seed=7, execution_timeout=given.get("executionTimeout", "24h")
    )

    @mock.workflow("asks")
    async def asks(ctx: Context, given: Any) -> Any:
        await ctx.step("draft", given, returns="text")
        await ctx.wait_for_signal("go", timeout=given or "12h")

    @mock.workflow("slow")
    async def slow(ctx: Context, given: Any) -> Any:
        await ctx.step("long", takes="1h")

    mock.workflow("done").returns(1)
    return mock


@contextmanager
def kept_in(path: Path) -> Iterator[Worlds]:
    """The worlds of the file, which are saved to it at the end."""
    worlds = Worlds(make({}), make)
    saver = begun(path, worlds, lambda line: None)
    try:
        yield worlds
        saver.save()
    finally:
        saver.close(60)
        for entry in worlds:
            entry.mock.close()
        worlds.close()


def file_of(held: WorldEntry) -> Any:
    """The file of a snapshot of a world."""
    return json.loads(json.dumps(snapshot_json(Snapshot.of(held.app))))


def a_file() -> Any:
    mock = make({})
    mock.world.start("asks", workflow_id="a")
    mock.world.start("done", workflow_id="d")
    mock.clock.advance("1s")
    file = file_of(WorldEntry("one", mock, {}))
    mock.close()
    return file


@pytest.mark.parametrize("by", [MOST_RUNS, 2**62 - 10, MOST_RUNS // 2])
def test_run_numbers_of_a_snapshot_never_collide_with_another_world(by: int) -> None:
    file = a_file()
    for one in file["runs"]:
        one["run"]["number"] += by
    file["world"]["entered"] += by
    with pytest.raises(Unreadable, match="number"):
        checked_snapshot(file, make({}).world)


@pytest.mark.parametrize("part", ["entered", "ended"])
def test_a_snapshot_leaves_numbers_for_later_runs(part: str) -> None:
    file = a_file()
    file["world"][part] = MOST_RUNS - 1
    with pytest.raises(Unreadable, match="no more runs could begin"):
        checked_snapshot(file, make({}).world)


@pytest.mark.parametrize(
    "path",
    [
        ("world", "clock", 2),
        ("requestIds", 1),
        ("faults", "last"),
        ("faults", "faults", 0, "seen"),
        ("runs", -1, "run", "family", 3),
        ("runs", -1, "run", "underWay", "steps", 0, 3),
    ],
)
def test_a_snapshot_with_exhausted_counters_is_refused(path: tuple[Any, ...]) -> None:
    mock = make({"clock": "manual"})
    mock.world.start("slow", workflow_id="s")
    mock.clock.advance("1s")
    mock.fail_next(503)
    file = file_of(WorldEntry("one", mock, {}))
    mock.close()
    like = make({}).world
    checked_snapshot(file, like)
    place = file
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = 2**31 - 1 if "steps" in path else 2**62
    with pytest.raises(Unreadable, match=r"count no further|than any can have"):
        checked_snapshot(file, like)


def test_the_file_has_the_number_of_removed_runs(tmp_path: Path) -> None:
    def fake() -> OutputMock:
        mock = OutputMock(keep_runs=2)
        mock.workflow("done").returns(1)
        return mock

    for gone in (3, 8):
        mock = fake()
        saver = begun(tmp_path / "state", Worlds(mock), lambda line: None)
        for _ in range(5):
            mock.world.start("done")
            mock.clock.advance("1h")
        saver.close(60)
        assert mock.world.kept_runs.gone == gone
        mock.close()


def late_clock(mock: OutputMock) -> None:
    for _ in range(9):
        mock.clock.advance("36525d")
    mock.clock.advance("26000d")
    mock.world.start("done", workflow_id="a")
    mock.world.start("asks", workflow_id="b")


def long_sleep(mock: OutputMock) -> None:
    mock.world.start("asks", "36525d", workflow_id="a")
    mock.clock.advance("1h")


def late_signal(mock: OutputMock) -> None:
    mock.world.start("asks", workflow_id="a")
    mock.world.signal("a", "go", after=36_500 * 86_400 * SECOND)


@pytest.mark.parametrize("do", [late_clock, long_sleep, late_signal])
def test_every_possible_time_of_a_world_is_saved_and_read_again(
    tmp_path: Path, do: Callable[[OutputMock], None]
) -> None:
    def state(held: WorldEntry) -> Any:
        return [(run.run_id, run.status, run.deadline) for run in held.world._runs.values()]

    options = {"executionTimeout": "36525d"}
    with kept_in(tmp_path / "state") as worlds:
        held = worlds.make("w", options)
        do(held.mock)
        before, now, file = state(held), held.world.clock.nanoseconds(), file_of(held)
        checked_snapshot(file, held.world)
    with kept_in(tmp_path / "state") as worlds:
        held = worlds.find("w")
        assert (state(held), held.world.clock.nanoseconds()) == (before, now)


def trace_goes_to(result: Any) -> Callable[[Any], None]:
    def change(file: Any) -> None:
        for one in file["runs"]:
            for event in one["history"]["events"]:
                if event[0] == events.ActivityTaskCompleted.number and "local" in str(event[2]):
                    event[2] = result

    return change


def ends_a_step_that_never_began(file: Any) -> None:
    for one in file["runs"]:
        for event in one["history"]["events"]:
            if event[0] == events.ActivityTaskCompleted.number:
                event[3] = 2


def goes_on_nowhere(file: Any) -> None:
    for one in file["runs"]:
        if one["run"]["info"]["workflowId"] == "d":
            one["run"]["status"] = "continued_as_new"


def has_a_step_that_is_the_run_itself(file: Any) -> None:
    for one in file["runs"]:
        for event in one["history"]["events"]:
            if event[0] == events.ActivityTaskScheduled.number:
                event[2] = one["run"]["runId"]


@pytest.mark.parametrize(
    "change",
    [
        trace_goes_to([{"local": 0}]),
        trace_goes_to(["here"]),
        trace_goes_to([]),
        ends_a_step_that_never_began,
        goes_on_nowhere,
        has_a_step_that_is_the_run_itself,
    ],
)
def test_a_snapshot_that_cannot_be_traced_or_saved_again_is_refused(
    change: Callable[[Any], None],
) -> None:
    file = a_file()
    with served(Worlds(make({}), make)) as client:
        assert client.control("PUT", "/snapshots/sound", file).status == 201
        change(file)
        refused = client.control("PUT", "/snapshots/s", file)
        assert (refused.status, refused.json["error"]) == (400, "InvalidRequestError")
        assert "the snapshot cannot be read" in refused.json["message"]


def spoilt(state: Path, change: Callable[[dict[str, Any]], None], name: str = "w") -> None:
    """A valid state file, changed so that world `w` has another name and another value in its data."""
    with kept_in(state) as worlds:
        worlds.make("w", {"clock": "manual"})
    with closing(sqlite3.connect(state)) as connection:
        (written,) = connection.execute("SELECT body FROM worlds WHERE name = 'w'").fetchone()
        body = json.loads(written)
        change(body)
        changed = json.dumps(body).encode()
        row = (name, changed, zlib.crc32(changed))
        connection.execute("UPDATE worlds SET name = ?, body = ?, checksum = ? WHERE name = 'w'", row)
        connection.commit()


@pytest.mark.parametrize("name", ["../../../victim", "..", "", "a/b", "w\n", "default"])
def test_a_state_file_with_impossible_world_names_is_damaged(tmp_path: Path, name: str) -> None:
    state = tmp_path / "state"
    spoilt(state, lambda body: None, name)
    before = state.read_bytes()
    with pytest.raises(StateFileError, match="is damaged"), kept_in(state):
        pass
    assert state.read_bytes() == before


@pytest.mark.parametrize(
    "options",
    [
        {"clock": "bogus"},
        {"seed": "bogus"},
        {"seed": -1},
        {"catalog": 5},
        {"executionTimeout": []},
        {"executionTimeout": "90000d"},
        {"scripts": "all"},
        {"odd": 1},
    ],
)
def test_a_state_file_with_impossible_world_options_is_damaged(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    state = tmp_path / "state"
    spoilt(state, lambda body: body["options"].update(options))
    with pytest.raises(StateFileError, match=r"is damaged: the world 'w'"), kept_in(state):
        pass


@pytest.mark.parametrize("name", ["../../victim", "..", ".", "", "a/b", "/victim"])
def test_deleting_a_world_deletes_only_its_trace_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "victim").mkdir()
    kept = TraceStorage({}, str(tmp_path / "traces"))
    (tmp_path / "traces" / "worlds" / "a" / "b").mkdir(parents=True)
    for use in (kept.traces, kept.forget):
        with pytest.raises(ValueError, match="would not be in"):
            use(name)
    assert (tmp_path / "victim").is_dir()
    assert (tmp_path / "traces" / "worlds" / "a" / "b").is_dir()
    kept.forget("a")
    assert not (tmp_path / "traces" / "worlds" / "a").exists()


def test_a_path_is_not_accepted_as_the_name_of_a_world_to_delete() -> None:
    with served(worlds_of()) as client:
        for name in ("..%2F..", "..%2F..%2Fvictim", "%2E%2E"):
            assert client.control("DELETE", f"/worlds/{name}").status == 404
