"""The engine without HTTP: a world, its threads, ids and durations, and the layers of its modules."""

from __future__ import annotations

import ast
import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import output_mock
from output_mock import UNDEFINED, Context, Failure, OutputMock
from output_mock.contract import errors
from output_mock.durations import LONGEST, nanoseconds
from output_mock.engine.errors import WaitEndedError
from output_mock.engine.ids import Ids
from output_mock.engine.world import World
from tests.conftest import eventually, in_another_thread

NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def mock() -> Iterator[OutputMock]:
    mock = OutputMock(seed=7)
    mock.workflow("echo", aliases=["mirror"]).returns(lambda input: input)

    @mock.workflow("approval")
    async def approval(ctx: Context, input: Any) -> Any:
        state: dict[str, Any] = {"stage": "draft"}
        ctx.on_query("state", lambda payload: state)
        ctx.on_update("set", state.update)
        await ctx.step("draft", input, returns="text")
        state["stage"] = "review"
        return await ctx.wait_for_signal("approve")

    yield mock
    mock.close()


@pytest.fixture
def world(mock: OutputMock) -> World:
    return mock.world


# --- driving a world -------------------------------------------------------------------------------------


def test_a_world_can_run_a_workflow_without_http(world: World) -> None:
    run = world.start("echo", {"x": 1}, workflow_id="wf")
    assert run.status == "running"
    ended = world.wait_for_result(run)
    assert ended.reported is ended.outcome is run
    assert (run.status, run.result) == ("completed", {"x": 1})
    assert world.closed_run("wf") is world.find("wf") is run


def test_a_world_accepts_signals_queries_and_updates(world: World) -> None:
    run = world.start("approval", "x", workflow_id="wf")
    assert world.query("wf", "state") == {"stage": "review"}
    assert world.update("wf", "set", {"threshold": 1}) is None
    world.signal("wf", "approve", {"by": "ana"})
    assert world.wait_for_result(run).outcome.result == {"by": "ana"}
    assert world.query("wf", "state") == {"stage": "review", "threshold": 1}


def test_a_world_can_stop_terminate_and_reset_runs(world: World) -> None:
    first = world.start("approval", workflow_id="wf")
    world.query("wf", "state")
    second = world.reset("wf", "draft")
    assert (first.status, second.status) == ("terminated", "running")
    assert world.find("wf") is second
    assert world.find("wf", first.run_id) is first
    assert world.terminate("wf", "enough") is second
    third = world.start("approval", workflow_id="wf")
    assert world.stop("wf") is third
    assert [run.status for run in (first, second, third)] == ["terminated", "terminated", "cancelled"]


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda world: world.find("none"), errors.WorkflowNotFoundError),
        (lambda world: world.find("main", NOBODY), errors.WorkflowNotFoundError),
        (lambda world: world.start("nope"), errors.UnsupportedWorkflowError),
        (lambda world: world.start("echo", catalog="nope"), errors.CatalogNotAvailableError),
        (lambda world: world.start("echo", workflow_id=""), errors.MissingWorkflowIdError),
        (lambda world: world.start("echo", workflow_id="main"), errors.WorkflowExecutionAlreadyStartedError),
        (lambda world: world.signal("none", "x"), errors.WorkflowNotFoundError),
        (lambda world: world.query("main", "nope"), errors.QueryNotRegisteredError),
        (lambda world: world.update("main", "nope"), errors.WorkflowUpdateFailedError),
        (lambda world: world.reset("main", "nope"), errors.StepNotFoundError),
        (lambda world: world.closed_run("main"), errors.WorkflowNotCompletedError),
        (lambda world: world.terminate("none"), errors.WorkflowNotFoundError),
        (lambda world: world.stop("none"), errors.WorkflowNotFoundError),
    ],
)
def test_impossible_operations_raise_specific_errors(world: World, ask: Any, error: Any) -> None:
    with pytest.raises(error):
        ask(world)


def test_values_are_copied_between_client_and_script(world: World) -> None:
    sent = {"list": [1]}
    world.start("approval", workflow_id="wf")
    world.signal("wf", "approve", sent)
    sent["list"].append(2)
    assert world.wait_for_result(world.find("wf")).outcome.result == {"list": [1]}


def test_a_signal_without_a_payload_differs_from_one_with_null(world: World) -> None:
    world.start("approval", workflow_id="wf")
    world.signal("wf", "approve", UNDEFINED)
    assert world.wait_for_result(world.find("wf")).outcome.result is None


def test_catalogs_resolve_aliases_and_forget_removed_workflows(world: World) -> None:
    catalog = world.catalog()
    assert catalog.names["mirror"] == "echo"
    catalog.remove("echo")
    assert "mirror" not in catalog.names
    with pytest.raises(errors.UnsupportedWorkflowError):
        world.start("echo")


def test_a_run_continues_when_its_workflow_is_removed(world: World) -> None:
    run = world.start("approval", workflow_id="wf")
    world.query("wf", "state")
    world.catalog().remove("approval")
    world.signal("wf", "approve", {"n": 1})
    assert world.wait_for_result(run).outcome.result == {"n": 1}


# --- threads ---------------------------------------------------------------------------------------------


def test_waiting_runs_use_no_threads(world: World) -> None:
    world.wait_for_result(world.start("echo"))
    before = threading.active_count()
    runs = [world.start("approval") for _ in range(500)]
    for run in runs:
        world.query(run.workflow_id, "state")
    assert threading.active_count() <= before + 1
    assert all(run.running for run in runs)


def test_many_threads_can_use_one_world_at_once(world: World) -> None:
    problems: list[BaseException] = []
    outputs: list[Any] = []

    def work(n: int) -> None:
        try:
            for turn in range(10):
                run = world.start("approval", workflow_id=f"{n}-{turn}")
                world.query(run.workflow_id, "state")
                world.signal(run.workflow_id, "approve", {"n": n, "turn": turn})
                outputs.append(world.wait_for_result(run).outcome.result)
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert problems == []
    assert sorted((output["n"], output["turn"]) for output in outputs) == [
        (n, turn) for n in range(8) for turn in range(10)
    ]


def test_signals_from_many_threads_all_arrive_once(mock: OutputMock, world: World) -> None:
    @mock.workflow("counts")
    async def counts(ctx: Context, input: Any) -> Any:
        return sorted([(await ctx.wait_for_signal("n"))["n"] for _ in range(80)])

    run = world.start("counts", workflow_id="wf")

    def send(n: int) -> None:
        for k in range(10):
            world.signal("wf", "n", {"n": n * 10 + k})

    threads = [threading.Thread(target=send, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert world.wait_for_result(run).outcome.result == list(range(80))


def test_waiting_does_not_hold_the_lock(world: World) -> None:
    run = world.start("approval", workflow_id="wf")
    world.query("wf", "state")
    with in_another_thread(lambda: world.wait(run, lambda: not run.running, until=None)) as outcome:
        eventually(lambda: bool(run.waiters))
        assert world.clock.lock.acquire(timeout=5)
        world.clock.lock.release()
        world.terminate("wf")
    assert outcome == [True]
    assert not run.waiters, "whoever has waited leaves nothing behind"


def test_closing_a_world_wakes_all_waiters(world: World) -> None:
    run = world.start("approval", workflow_id="wf")
    world.query("wf", "state")

    def wait() -> str:
        with pytest.raises(WaitEndedError) as error:
            world.wait(run, lambda: not run.running, until=None)
        return error.value.message

    with in_another_thread(wait) as outcome:
        eventually(lambda: bool(run.waiters))
        world.close()
    assert "the fake was closed" in outcome[0]


def test_a_script_can_call_its_own_fake(mock: OutputMock, world: World) -> None:
    @mock.workflow("nosy")
    async def nosy(ctx: Context, input: Any) -> Any:
        answer = mock.app.test_client().get(f"/workflow/{ctx.info.workflow_id}/status")
        return {"code": answer.status_code, "status": answer.get_json()["status"]}

    assert world.wait_for_result(world.start("nosy")).outcome.result == {"code": 200, "status": "running"}


def test_a_script_may_signal_another_run(mock: OutputMock, world: World) -> None:
    @mock.workflow("sends")
    async def sends(ctx: Context, input: Any) -> Any:
        await ctx.step("send", returns=lambda given: world.signal("other", "approve", {"from": "sends"}))

    other = world.start("approval", workflow_id="other")
    world.query("other", "state")
    world.wait_for_result(world.start("sends"))
    assert world.wait_for_result(other).outcome.result == {"from": "sends"}


# --- ids -------------------------------------------------------------------------------------------------


def test_ids_look_like_those_of_the_real_server() -> None:
    ids = Ids(1)
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-%s[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    for _ in range(500):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{20}", ids.workflow_id())
        assert re.fullmatch(uuid % 7, ids.run_id(1_767_225_600_000_000_000))
        assert re.fullmatch(uuid % 4, ids.uuid4())
        assert re.fullmatch(r"[A-Za-z0-9_-]{10,22}", ids.child_suffix())


def test_a_run_id_begins_with_its_start_time() -> None:
    assert Ids(1).run_id(1_767_225_600_000_000_000).replace("-", "").startswith("019b76daa800")


def test_the_same_seed_gives_the_same_unique_ids() -> None:
    def some(seed: int) -> list[str]:
        ids = Ids(seed)
        return [make() for _ in range(300) for make in (ids.workflow_id, ids.uuid4, ids.child_suffix)]

    assert some(1) == some(1)
    both = some(1) + some(2)
    assert len(set(both)) == len(both)


# --- durations -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "length"),
    [
        (0, 0),
        (1, 10**9),
        (1.5, 1_500_000_000),
        ("500ms", 500_000_000),
        ("10s", 10 * 10**9),
        ("1.5s", 1_500_000_000),
        ("45m", 2_700 * 10**9),
        ("24h", 86_400 * 10**9),
        ("2d", 172_800 * 10**9),
        ("1w", 604_800 * 10**9),
        ("1h30m", 5_400 * 10**9),
        (" 1h 30m ", 5_400 * 10**9),
        (timedelta(days=1, microseconds=5), 86_400 * 10**9 + 5_000),
    ],
)
def test_durations_have_several_notations(written: Any, length: int) -> None:
    assert nanoseconds(written) == length


@pytest.mark.parametrize(
    "written",
    [
        -1,
        "-1s",
        "",
        " ",
        "1",
        "1x",
        "s",
        "1h!",
        "1 hour",
        None,
        [],
        True,
        float("nan"),
        float("inf"),
        timedelta(seconds=-1),
        LONGEST / 10**9 + 1,
    ],
)
def test_an_invalid_duration_is_refused(written: Any) -> None:
    with pytest.raises(ValueError, match=r"duration|\d"):
        nanoseconds(written)


# --- failures --------------------------------------------------------------------------------------------


def test_a_failure_is_serialised_as_by_the_real_sdk() -> None:
    failure = Failure("outer", name="QuotaError", cause=Failure("inner", name="TypeError"), limit=10)
    assert failure.serialised() == {
        "message": "outer",
        "cause": {"message": "inner", "name": "TypeError"},
        "limit": 10,
        "name": "QuotaError",
    }
    assert list(failure.serialised()) == ["message", "cause", "limit", "name"]
    assert Failure.value("just a string").serialised() == "just a string"


@pytest.mark.parametrize(
    ("failure", "retryable"),
    [
        (Failure("x"), True),
        (Failure("x", name="FatalError"), False),
        (Failure("x", name="ValidationError"), False),
        (Failure("x", name="FatalError", retryable=True), True),
        (Failure("x", retryable=False), False),
    ],
)
def test_only_fatal_failures_are_not_retried(failure: Failure, retryable: bool) -> None:
    assert failure.retryable is retryable


# --- who may import whom ---------------------------------------------------------------------------------

PACKAGE = Path(output_mock.__file__).parent
# The modules that each part must not import at run time, apart from annotations.
LAYERS = {
    "engine": (
        *("output_mock.http", "output_mock.cli", "output_mock.server", "output_mock.mock", "flask"),
        *("output_mock.traces", "output_mock.temporal"),
    ),
    "scripts": ("output_mock.http", "output_mock.cli", "output_mock.server", "output_mock.mock", "flask"),
    "zod": ("output_mock.engine", "output_mock.scripts", "output_mock.http", "flask"),
    "http": ("output_mock.cli", "output_mock.server", "output_mock.mock"),
}


def imports(file: Path) -> set[str]:
    """The modules that a file imports at run time."""
    tree = ast.parse(file.read_text())
    unused = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if id(node) in unused:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


@pytest.mark.parametrize("part", LAYERS)
def test_modules_import_only_lower_layers(part: str) -> None:
    files = sorted((PACKAGE / part).rglob("*.py"))
    assert files
    for file in files:
        for name in imports(file):
            assert not name.startswith(LAYERS[part]), f"{file.name} imports {name}"


def test_nothing_heavy_is_imported_before_it_is_used() -> None:
    heavy = ("moto", "boto3", "ijson", "hypothesis", "temporalio", "pytest", "output_mock.temporal")
    for file in sorted(PACKAGE.rglob("*.py")):
        # Each uses it, and is itself imported only on request.
        made_of = {"temporal": ("temporalio", "output_mock.temporal"), "comparing": ("hypothesis",)}
        allowed = made_of.get(file.parent.name, ())
        tree = ast.parse(file.read_text())
        at_once = {
            alias.name
            for node in tree.body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in (
                node.names if isinstance(node, ast.Import) else [ast.alias(node.module or "", None)]
            )
        }
        for name in at_once:
            if not (allowed and name.startswith(allowed)):
                assert not any(name == one or name.startswith(f"{one}.") for one in heavy), f"{file}: {name}"
