"""Mistakes in scripts are reported with workflow, file and line, and never as a workflow failure."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import re
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from output_mock import Context, Failure, Fault, OutputMock, Script
from output_mock.durations import MILLISECOND
from tests.client import Answer, Client

HERE = Path(__file__)


def line_of(marker: str) -> int:
    """The number of the line in this file that ends with `# <marker>`."""
    lines = HERE.read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# <{marker}>")]
    return number


def place(marker: str) -> str:
    return f"{HERE}, line {line_of(marker)}"


@pytest.fixture
def client(mock: OutputMock) -> Client:
    """These tests are about scripts, not about how requests reach the fake."""
    return Client(mock)


def script_error(answer: Answer) -> str:
    """The message of the `ScriptError` in the response."""
    assert (answer.status, answer.json["error"]) == (500, "ScriptError"), answer.text
    message: str = answer.json["message"]
    return message


def run(client: Client, workflow: str, input: Any = None) -> Answer:
    body = {"workflowName": workflow, "workflowId": "wf", "input": input}
    return client.post("/workflow/run", body)


# --- told apart from a scripted failure ------------------------------------------------------------------


def test_a_mistake_is_not_a_failure_of_the_workflow(mock: OutputMock, client: Client) -> None:
    @mock.workflow("mistaken")
    async def mistaken(ctx: Context, input: Any) -> Any:
        return input["missing"]  # <key>

    message = script_error(run(client, "mistaken", {"there": 1}))
    assert "workflow 'mistaken'" in message
    assert "KeyError: 'missing'" in message
    assert place("key") in message
    assert client.get("/workflow/wf/status").json["status"] == "failed"
    assert script_error(client.get("/workflow/wf/result")) == message
    assert [str(error) for error in mock.script_errors] == [message]
    assert client.kinds("wf")[-1] == "WORKFLOW_EXECUTION_FAILED"


def test_a_workflow_that_only_receives_signals_needs_a_script_that_waits(
    mock: OutputMock, client: Client
) -> None:
    mock.workflow("w").receives("approve", {"by": "ana"}, after="1h").receives("publish", after="2h")
    text = script_error(run(client, "w"))
    assert "it only has .receives() for signals 'approve', 'publish'; give it a script that waits" in text


def test_a_scripted_failure_is_not_a_mistake(mock: OutputMock, client: Client) -> None:
    @mock.workflow("fails")
    async def fails(ctx: Context, input: Any) -> Any:
        raise Failure("as it should", name="FatalError")

    answer = run(client, "fails")
    assert (answer.status, answer.json["status"]) == (200, "failed")
    assert client.get("/workflow/wf/result").json["error"]["message"] == "as it should"
    assert mock.script_errors == []


def test_a_mistake_in_one_run_does_not_affect_another(mock: OutputMock, client: Client) -> None:
    @mock.workflow("picky")
    async def picky(ctx: Context, input: Any) -> Any:
        return 10 // input

    script_error(run(client, "picky", 0))
    assert run(client, "picky", 5).json["output"] == 2


def test_a_mistake_in_a_run_that_was_started_shows_in_its_result(mock: OutputMock, client: Client) -> None:
    @mock.workflow("mistaken")
    async def mistaken(ctx: Context, input: Any) -> Any:
        await ctx.sleep("1h")
        raise AssertionError("not what I expected")

    client.start("mistaken", workflowId="wf")
    assert client.until_closed("wf") == "failed"
    assert "AssertionError: not what I expected" in script_error(client.get("/workflow/wf/result"))


@pytest.mark.parametrize(
    "error", [ValueError, RuntimeError, ZeroDivisionError, TypeError, AttributeError, OSError]
)
def test_any_python_error_is_a_script_error(mock: OutputMock, client: Client, error: type[Exception]) -> None:
    @mock.workflow("mistaken")
    async def mistaken(ctx: Context, input: Any) -> Any:
        await ctx.step("first")
        raise error("boom")  # <raise>

    message = script_error(run(client, "mistaken"))
    assert f"{error.__name__}: boom" in message
    assert place("raise") in message


# --- where it is -----------------------------------------------------------------------------------------


def broken_helper() -> None:
    raise ValueError("deep down")  # <helper>


def test_an_error_names_the_line_of_the_mistake_not_the_start_of_the_script(
    mock: OutputMock, client: Client
) -> None:
    @mock.workflow("deep")
    async def deep(ctx: Context, input: Any) -> Any:
        broken_helper()

    assert place("helper") in script_error(run(client, "deep"))


def test_a_mistake_in_the_return_function_of_a_step_is_reported(mock: OutputMock, client: Client) -> None:
    def wrong(given: Any) -> Any:
        return given["nope"]  # <step>

    @mock.workflow("mistaken")
    async def mistaken(ctx: Context, input: Any) -> Any:
        await ctx.step("work", {"a": 1}, returns=wrong)

    message = script_error(run(client, "mistaken"))
    assert "KeyError: 'nope'" in message
    assert place("step") in message


def test_a_mistake_in_the_return_function_of_a_workflow_is_reported(mock: OutputMock, client: Client) -> None:
    mock.workflow("mistaken").returns(lambda input: input["nope"])  # <lambda>
    message = script_error(run(client, "mistaken", {"a": 1}))
    assert "KeyError: 'nope'" in message
    assert "workflow 'mistaken'" in message
    assert place("lambda") in message


def test_a_mistake_in_a_condition_is_reported(mock: OutputMock, client: Client) -> None:
    @mock.workflow("mistaken")
    async def mistaken(ctx: Context, input: Any) -> Any:
        await ctx.condition(lambda: 1 / 0 > 0)  # <condition>

    message = script_error(run(client, "mistaken"))
    assert "ZeroDivisionError" in message
    assert place("condition") in message


def test_a_condition_that_fails_later_is_reported(mock: OutputMock, client: Client) -> None:
    @mock.workflow("mistaken")
    async def mistaken(ctx: Context, input: Any) -> Any:
        state: dict[str, Any] = {"n": 1}
        ctx.on_signal("break", lambda payload: state.clear())
        await ctx.condition(lambda: state["n"] > 1)  # <later>

    client.start("mistaken", workflowId="wf")
    client.get("/workflow/wf/status")
    client.post("/workflow/wf/signal/break")
    assert client.until_closed("wf") == "failed"
    assert place("later") in script_error(client.get("/workflow/wf/result"))


def test_a_condition_cannot_be_a_coroutine_function(mock: OutputMock, client: Client) -> None:
    @mock.workflow("mistaken")
    async def mistaken(ctx: Context, input: Any) -> Any:
        async def never() -> bool:
            return False

        await ctx.condition(never)  # type: ignore[arg-type]  # <never>

    message = script_error(run(client, "mistaken"))
    assert "ctx.condition takes a plain function" in message
    assert place("never") in message


@pytest.mark.parametrize("where", ["script", "step", "query", "update", "signal"])
def test_a_script_that_exits_the_program_ends_only_its_run(
    mock: OutputMock, client: Client, where: str
) -> None:
    def leave(given: Any) -> Any:
        sys.exit(3)  # <exit>

    @mock.workflow("leaves")
    async def leaves(ctx: Context, input: Any) -> Any:
        ctx.on_query("query", leave)
        ctx.on_update("update", leave)
        ctx.on_signal("signal", leave)
        if where == "script":
            leave(input)
        if where == "step":
            await ctx.step("leaves", returns=leave)
        await ctx.wait_for_signal("never")

    client.start("leaves", workflowId="wf")
    client.get("/workflow/wf/status")
    answer = client.post(f"/workflow/wf/{where}/{where}") if where in ("query", "update", "signal") else None
    if answer is None or where == "signal":
        client.until_closed("wf")
        answer = client.get("/workflow/wf/result")
    message = script_error(answer)
    assert "SystemExit: 3" in message
    assert place("exit") in message
    assert client.get("/health").text == "OK"


def test_a_missing_await_is_recognised(mock: OutputMock, client: Client) -> None:
    @mock.workflow("returned")
    async def returned(ctx: Context, input: Any) -> Any:
        coroutine = ctx.sleep(1)
        coroutine.close()
        return coroutine

    @mock.workflow("used")
    async def used(ctx: Context, input: Any) -> Any:
        coroutine: Any = ctx.step("look up")
        coroutine.close()
        return coroutine["name"]

    assert script_error(run(client, "returned")).partition("Was `await` forgotten?")[1]
    assert script_error(run(client, "used")).partition("Was `await` forgotten?")[1]


def test_a_workflow_that_runs_itself_endlessly_is_stopped(mock: OutputMock, client: Client) -> None:
    @mock.workflow("endless")
    async def endless(ctx: Context, input: Any) -> Any:
        return await ctx.child("endless", input)  # <endless>

    answer = run(client, "endless")
    assert answer.json["status"] == "failed"
    (mistake,) = mock.script_errors
    assert "children are nested 100 deep; does workflow 'endless' run itself" in mistake.message
    assert place("endless") in mistake.message


def test_children_may_be_nested_deeply(mock: OutputMock, client: Client) -> None:
    @mock.workflow("nested")
    async def nested(ctx: Context, input: Any) -> Any:
        return 1 + await ctx.child("nested", input - 1) if input else 0

    assert client.run("nested", 100)["output"] == 100
    client.start("nested", 100, workflowId="wf")
    client.post("/workflow/wf/terminate")


def test_a_mistake_in_a_task_is_reported(mock: OutputMock, client: Client) -> None:
    @mock.workflow("mistaken")
    async def mistaken(ctx: Context, input: Any) -> Any:
        async def work() -> None:
            await ctx.sleep(1)
            raise ValueError("in a task")  # <task>

        await asyncio.gather(work(), ctx.sleep(5))

    assert place("task") in script_error(run(client, "mistaken"))


# --- handlers --------------------------------------------------------------------------------------------


@pytest.fixture
def handlers(mock: OutputMock, client: Client) -> None:
    @mock.workflow("handlers")
    async def handlers(ctx: Context, input: Any) -> Any:
        async def asynchronous(payload: Any) -> Any:
            return 1

        def wrong(payload: Any) -> Any:
            raise LookupError("handler broke")  # <handler>

        ctx.on_query("wrong", wrong)
        ctx.on_query("coroutine", asynchronous)
        ctx.on_query("no_json", lambda payload: {1, 2})
        ctx.on_signal("wrong", wrong)
        ctx.on_update("wrong", wrong)
        ctx.on_update("no_json", lambda payload: object())
        ctx.on_update("refuses", lambda payload: 1, validator=wrong)
        await ctx.condition(lambda: False)

    client.start("handlers", workflowId="wf")
    client.post("/workflow/wf/query/unknown")


def running(client: Client) -> bool:
    return bool(client.get("/workflow/wf/status").json["status"] == "running")


@pytest.mark.usefixtures("handlers")
def test_a_query_handler_with_a_mistake_harms_only_the_query(client: Client) -> None:
    message = script_error(client.post("/workflow/wf/query/wrong"))
    assert "workflow 'handlers'" in message
    assert "LookupError: handler broke" in message
    assert place("handler") in message
    assert running(client)


@pytest.mark.usefixtures("handlers")
def test_a_query_handler_cannot_be_a_coroutine_function(client: Client) -> None:
    message = script_error(client.post("/workflow/wf/query/coroutine"))
    assert "the handler of query 'coroutine' is a coroutine function" in message
    assert running(client)


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("operation", ["query/no_json", "update/no_json"])
def test_an_answer_that_is_not_json_names_the_message(client: Client, operation: str) -> None:
    message = script_error(client.post(f"/workflow/wf/{operation}"))
    assert "'no_json'" in message
    assert "which is not JSON" in message


def test_a_value_that_holds_itself_says_so(mock: OutputMock, client: Client) -> None:
    value: dict[str, Any] = {}
    value["again"] = [value]
    with pytest.raises(TypeError, match=r"what workflow 'w' returns holds itself, or .* \(.*line \d+\)"):
        mock.workflow("w").returns(value)

    @mock.workflow("steps")
    async def steps(ctx: Context, given: Any) -> Any:
        return await ctx.step("draw", returns=value)

    message = script_error(client.post("/workflow/run", json={"workflowName": "steps"}))
    assert "step 'draw'" in message
    assert "holds itself" in message


@pytest.mark.usefixtures("handlers")
def test_a_signal_handler_with_a_mistake_ends_the_run(client: Client) -> None:
    assert client.post("/workflow/wf/signal/wrong").text == "OK"
    assert not running(client)
    assert place("handler") in script_error(client.get("/workflow/wf/result"))


@pytest.mark.usefixtures("handlers")
def test_an_update_handler_with_a_mistake_is_reported(client: Client) -> None:
    message = script_error(client.post("/workflow/wf/update/wrong"))
    assert "LookupError: handler broke" in message
    assert place("handler") in message


@pytest.mark.usefixtures("handlers")
def test_a_validator_can_refuse_by_raising_any_exception(mock: OutputMock, client: Client) -> None:
    answer = client.post("/workflow/wf/update/refuses")
    assert (answer.status, answer.json["error"]) == (500, "WorkflowUpdateFailedError")
    assert running(client)
    assert mock.script_errors == []


# --- input that nothing fits -----------------------------------------------------------------------------


def test_input_that_matches_no_when_names_the_nearest_and_the_differences(
    mock: OutputMock, client: Client
) -> None:
    pages = mock.workflow("pages")  # <scripted>
    pages.when({"url": "https://a.example", "depth": 1}).returns(1)
    pages.when({"url": "https://b.example", "depth": {"of": 2}}).returns(2)
    message = script_error(run(client, "pages", {"url": "https://a.example", "depth": 5}))
    assert "workflow 'pages'" in message
    assert place("scripted") in message
    assert '{"url": "https://a.example", "depth": 5}' in message
    assert 'the nearest is when({"url": "https://a.example", "depth": 1}): input.depth is 5, not 1' in message
    assert client.get("/workflow/wf/status").json["status"] == "failed"


@pytest.mark.parametrize(
    ("match", "written"), [({"depth": 5}, 'when({"depth": 5})'), (lambda input: True, "when(<lambda>)")]
)
def test_a_when_that_matches_but_has_no_answer_is_named(
    mock: OutputMock, client: Client, match: Any, written: str
) -> None:
    mock.workflow("pages").when({"depth": 6, "url": "a"}).returns(1)
    mock.workflow("pages").when(match)
    message = script_error(run(client, "pages", {"depth": 5}))
    assert f'{written} has no answer, and matches the input {{"depth": 5}}; give it one' in message
    assert "nearest" not in message


@pytest.mark.parametrize(
    ("input", "difference"),
    [
        ({}, "input.a is missing"),
        ({"a": {}}, "input.a.b is missing"),
        ({"a": {"b": [1, 3]}}, "input.a.b[1] is 3, not 2"),
        ({"a": {"b": [1]}}, "input.a.b is [1], not [1, 2]"),
        ({"a": 5}, "input.a is 5, not an object"),
        ("text", 'input is "text", not an object'),
        (None, "input is null, not an object"),
    ],
)
def test_every_input_mismatch_is_named_with_its_path(
    mock: OutputMock, client: Client, input: Any, difference: str
) -> None:
    mock.workflow("nested").when({"a": {"b": [1, 2]}}).returns(1)
    assert difference in script_error(run(client, "nested", input))


def test_a_workflow_without_a_script_explains_how_to_add_one(mock: OutputMock, client: Client) -> None:
    mock.workflow("empty")  # <empty>
    message = script_error(run(client, "empty"))
    assert place("empty") in message
    assert ".returns(" in message


def test_a_long_input_is_shortened_in_errors(mock: OutputMock, client: Client) -> None:
    mock.workflow("long").when({"a": 1}).returns(1)
    assert len(script_error(run(client, "long", {"text": "x" * 100_000}))) < 2_000


def test_a_mistake_in_a_predicate_is_reported(mock: OutputMock, client: Client) -> None:
    mock.workflow("picky").when(lambda input: input["a"] > 1).returns(1)  # <predicate>
    message = script_error(run(client, "picky", {}))
    assert "KeyError" in message
    assert place("predicate") in message


# --- what leaves the world -------------------------------------------------------------------------------


def test_a_future_of_another_loop_cannot_be_awaited(mock: OutputMock, client: Client) -> None:
    loop = asyncio.new_event_loop()
    foreign = loop.create_future()

    @mock.workflow("foreign")
    async def foreign_await(ctx: Context, input: Any) -> Any:
        await foreign  # <foreign>

    message = script_error(run(client, "foreign"))
    loop.close()
    assert "workflow 'foreign'" in message
    assert "another event loop" in message
    assert place("foreign") in message


def test_a_foreign_awaitable_cannot_be_awaited(mock: OutputMock, client: Client) -> None:
    class Odd:
        def __await__(self) -> Any:
            yield "something odd"

    @mock.workflow("odd")
    async def odd(ctx: Context, input: Any) -> Any:
        await Odd()

    message = script_error(run(client, "odd"))
    assert "workflow 'odd'" in message
    assert "something odd" in message


async def opens_a_connection(ctx: Context) -> None:
    await asyncio.open_connection("127.0.0.1", 9)


async def starts_a_server(ctx: Context) -> None:
    await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)


async def uses_a_thread(ctx: Context) -> None:
    await asyncio.to_thread(len, "x")


async def uses_an_executor(ctx: Context) -> None:
    await asyncio.get_running_loop().run_in_executor(None, len, "x")


async def starts_a_program(ctx: Context) -> None:
    await asyncio.create_subprocess_exec("true")


async def looks_up_a_host(ctx: Context) -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def handles_a_signal_of_the_system(ctx: Context) -> None:
    asyncio.get_running_loop().add_signal_handler(1, lambda: None)


@pytest.mark.parametrize(
    "leaves",
    [
        opens_a_connection,
        starts_a_server,
        uses_a_thread,
        uses_an_executor,
        starts_a_program,
        looks_up_a_host,
        handles_a_signal_of_the_system,
    ],
)
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
def test_a_script_cannot_use_sockets_threads_or_processes(
    mock: OutputMock, client: Client, leaves: Any
) -> None:
    @mock.workflow("leaves")
    async def script(ctx: Context, input: Any) -> Any:
        await leaves(ctx)

    message = script_error(run(client, "leaves"))
    assert "workflow 'leaves'" in message
    assert "ctx.step(" in message, "it says what to do instead"
    assert str(HERE) in message


def test_another_loop_cannot_be_run_inside_a_script(mock: OutputMock, client: Client) -> None:
    @mock.workflow("nested")
    async def nested(ctx: Context, input: Any) -> Any:
        coroutine = asyncio.sleep(0)
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    assert "cannot be called from a running event loop" in script_error(run(client, "nested"))


def test_a_blocking_future_is_not_awaitable(mock: OutputMock, client: Client) -> None:
    @mock.workflow("blocking")
    async def blocking(ctx: Context, input: Any) -> Any:
        await concurrent.futures.Future()  # type: ignore[misc]

    assert "TypeError" in script_error(run(client, "blocking"))


# --- blocking --------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(mock: OutputMock) -> float:
    mock.world.watchdog.limit = 50 * MILLISECOND
    return 0.05


def test_a_script_that_sleeps_in_real_time_learns_how_to_sleep(
    mock: OutputMock, client: Client, impatient: float
) -> None:
    @mock.workflow("sleeps")
    async def sleeps(ctx: Context, input: Any) -> Any:
        while True:
            time.sleep(impatient / 2)

    message = script_error(run(client, "sleeps"))
    assert "workflow 'sleeps'" in message
    assert "use ctx.sleep instead of time.sleep" in message
    assert str(HERE) in message


def test_a_script_that_blocks_its_thread_is_interrupted(
    mock: OutputMock, client: Client, impatient: float
) -> None:
    @mock.workflow("busy")
    async def busy(ctx: Context, input: Any) -> Any:
        while True:
            pass

    message = script_error(run(client, "busy"))
    assert "workflow 'busy'" in message
    assert "blocked for more than 50ms without awaiting anything" in message
    mock.workflow("fine").returns(1)
    assert client.run("fine")["output"] == 1, "the world goes on"


@pytest.mark.parametrize("where", ["query", "signal", "update", "step", "condition"])
def test_every_function_of_a_script_is_watched(
    mock: OutputMock, client: Client, impatient: float, where: str
) -> None:
    def spin(payload: Any = None) -> Any:
        while True:
            pass

    @mock.workflow("busy")
    async def busy(ctx: Context, input: Any) -> Any:
        ctx.on_query("spin", spin)
        ctx.on_signal("spin", spin)
        ctx.on_update("spin", spin)
        await ctx.wait_for_signal("go")
        if where == "condition":
            await ctx.condition(spin)
        await ctx.step("spin", returns=spin)

    client.start("busy", workflowId="wf")
    client.post("/workflow/wf/query/unknown")
    if where in ("query", "update"):
        answer = client.post(f"/workflow/wf/{where}/spin")
    else:
        client.post(f"/workflow/wf/signal/{'spin' if where == 'signal' else 'go'}")
        client.until_closed("wf")
        answer = client.get("/workflow/wf/result")
    assert "without awaiting anything" in script_error(answer)


def test_a_script_with_short_waits_may_take_long_in_total(
    mock: OutputMock, client: Client, impatient: float
) -> None:
    @mock.workflow("steady")
    async def steady(ctx: Context, input: Any) -> Any:
        for _ in range(6):
            until = time.monotonic() + impatient / 3
            while time.monotonic() < until:
                pass
            await ctx.sleep("1s")
        return "done"

    assert client.run("steady")["output"] == "done"


@pytest.mark.parametrize("caught", [Exception, BaseException])
def test_a_script_that_catches_a_refusal_is_reported_anyway(
    mock: OutputMock, client: Client, caught: type[BaseException]
) -> None:
    @mock.workflow("catches")
    async def catches(ctx: Context, input: Any) -> Any:
        try:
            socket.getaddrinfo("localhost", 80)  # <caught>
        except caught:
            return "went on"

    message = script_error(run(client, "catches"))
    assert "the script looked up a host" in message
    assert place("caught") in message
    mock.workflow("fine").returns(1)
    assert client.run("fine")["output"] == 1


def test_a_script_that_catches_its_interruption_is_reported_anyway(
    mock: OutputMock, client: Client, impatient: float
) -> None:
    @mock.workflow("catches")
    async def catches(ctx: Context, input: Any) -> Any:
        with contextlib.suppress(Exception):
            while True:
                pass

    assert "blocked for more than" in script_error(run(client, "catches"))


def test_a_blocking_caller_is_not_interrupted(mock: OutputMock, client: Client, impatient: float) -> None:
    mock.workflow("fine").returns(1)
    client.run("fine")
    time.sleep(impatient * 3)
    assert client.run("fine")["output"] == 1


def test_restrictions_on_scripts_do_not_affect_other_code(mock: OutputMock, client: Client) -> None:
    mock.workflow("fine").returns(1)
    client.run("fine")
    time.sleep(0)
    socket.getaddrinfo("localhost", 80)
    assert subprocess.run(["true"], check=True).returncode == 0


# --- what is no JSON -------------------------------------------------------------------------------------


class Thing:
    def __repr__(self) -> str:
        return "<a thing>"


@pytest.mark.parametrize(
    "value", [Thing(), {1, 2}, b"bytes", 1j, {"deep": [Thing()]}, {(1, 2): 3}, lambda: 1]
)
def test_output_that_is_not_json_is_named(mock: OutputMock, client: Client, value: Any) -> None:
    @mock.workflow("odd")
    async def odd(ctx: Context, input: Any) -> Any:
        return value

    message = script_error(run(client, "odd"))
    assert "the output of workflow 'odd'" in message


def test_a_step_that_does_not_return_json_is_named(mock: OutputMock, client: Client) -> None:
    @mock.workflow("odd")
    async def odd(ctx: Context, input: Any) -> Any:
        await ctx.step("work", returns=Thing())

    message = script_error(run(client, "odd"))
    assert "step 'work'" in message
    assert "<a thing>" in message


def test_the_input_of_a_step_that_is_not_json_is_named(mock: OutputMock, client: Client) -> None:
    @mock.workflow("odd")
    async def odd(ctx: Context, input: Any) -> Any:
        await ctx.step("work", Thing())  # <input>

    message = script_error(run(client, "odd"))
    assert "the input of step 'work'" in message
    assert place("input") in message


def test_the_input_of_continue_as_new_must_be_json(mock: OutputMock, client: Client) -> None:
    @mock.workflow("odd")
    async def odd(ctx: Context, input: Any) -> Any:
        ctx.continue_as_new(Thing())

    message = script_error(run(client, "odd"))
    assert "workflow 'odd'" in message
    assert "<a thing>" in message


# --- children --------------------------------------------------------------------------------------------


def test_an_unknown_child_error_lists_the_known_workflows(mock: OutputMock, client: Client) -> None:
    mock.workflow("known").returns(1)

    @mock.workflow("parent")
    async def parent(ctx: Context, input: Any) -> Any:
        await ctx.child("unknown")  # <child>

    @mock.workflow("lost")
    async def lost(ctx: Context, input: Any) -> Any:
        await ctx.child("something_else")

    message = script_error(run(client, "parent"))
    assert "there is no workflow 'unknown' in catalog 'main'" in message
    assert "; did you mean 'known'?" in message
    assert script_error(run(client, "lost")).partition(" (")[0].endswith("; it has known, lost, parent")
    assert place("child") in message


def test_a_mistake_in_a_child_is_reported_for_the_child(mock: OutputMock, client: Client) -> None:
    @mock.workflow("child")
    async def child(ctx: Context, input: Any) -> Any:
        raise ValueError("the child is wrong")  # <wrong child>

    @mock.workflow("parent")
    async def parent(ctx: Context, input: Any) -> Any:
        await ctx.child("child")

    run(client, "parent")
    assert client.get("/workflow/wf/status").json["status"] == "failed"
    (error,) = mock.script_errors
    assert "workflow 'child'" in error.message
    assert place("wrong child") in error.message


# --- the context -----------------------------------------------------------------------------------------


def test_a_context_cannot_be_used_in_another_run(mock: OutputMock, client: Client) -> None:
    kept: list[Context] = []

    @mock.workflow("first")
    async def first(ctx: Context, input: Any) -> Any:
        kept.append(ctx)
        await ctx.wait_for_signal("never")

    @mock.workflow("second")
    async def second(ctx: Context, input: Any) -> Any:
        await kept[0].step("borrowed")

    client.start("first")
    client.get("/workflow/runs")
    assert "use a context only in the run that it was made for" in script_error(run(client, "second"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda ctx: ctx.step("work", takes="soon"), "'soon' is not a duration"),
        (lambda ctx: ctx.step("s", takes=-1), "a duration cannot be negative"),
        (lambda ctx: ctx.step("work", options={"retries": 3}), "unknown step option 'retries'"),
        (
            lambda ctx: ctx.step("work", options={"retry": {"maxAttempts": 3}}),
            "did you mean 'maximumAttempts'",
        ),
        (lambda ctx: ctx.wait_for_signal("go", timeout="1 hour"), "is not a duration"),
    ],
)
def test_arguments_that_are_invalid_are_reported(
    mock: OutputMock, client: Client, wrong: Any, words: str
) -> None:
    @mock.workflow("wrong")
    async def script(ctx: Context, input: Any) -> Any:
        await wrong(ctx)

    assert words in script_error(run(client, "wrong"))


# --- resets ----------------------------------------------------------------------------------------------


def test_a_nondeterministic_script_is_reported_on_replay(mock: OutputMock, client: Client) -> None:
    replays: list[int] = []

    @mock.workflow("fickle")
    async def fickle(ctx: Context, input: Any) -> Any:
        replays.append(1)
        if len(replays) > 1:
            await ctx.sleep("1m")
        await ctx.step("work")

    client.run("fickle", workflowId="wf")
    message = script_error(client.post("/workflow/wf/reset", {"stepName": "work"}))
    assert "workflow 'fickle'" in message
    assert "ctx.random" in message, "it says what to do instead"
    assert client.get("/workflow/wf/status").json["status"] == "completed"


# --- wrong definitions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "two words", "1st", "a-b", "a.b", "é", "$catalog", "a/b"])
def test_a_workflow_name_that_the_real_sdk_refuses_is_refused(mock: OutputMock, name: str) -> None:
    with pytest.raises(ValueError, match="is not a valid workflow name; use letters, digits and underscores"):
        mock.workflow(name)


@pytest.mark.parametrize("alias", ["", "two words", "a-b", 5, None])
def test_an_alias_that_the_real_sdk_refuses_is_refused(mock: OutputMock, alias: Any) -> None:
    with pytest.raises(
        ValueError, match=re.escape(f"workflow 'fine': {alias!r} is not a valid workflow name")
    ):
        mock.workflow("fine", aliases=[alias])


def test_an_alias_that_names_another_workflow_is_refused(mock: OutputMock) -> None:
    mock.workflow("first", aliases=["shared"])
    with pytest.raises(ValueError, match="'shared' already names workflow 'first' of catalog 'main'"):
        mock.workflow("second", aliases=["shared"])
    with pytest.raises(ValueError, match="'first' already names workflow 'first'"):
        mock.workflow("third", aliases=["first"])
    with pytest.raises(ValueError, match="'shared' already names workflow 'first'"):
        mock.workflow("shared")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"startToCloseTimout": "1h"}, "did you mean 'startToCloseTimeout'"),
        ({"timeout": "1h"}, "unknown step option 'timeout'"),
        ({"retry": {"maximumAttempt": 1}}, "did you mean 'maximumAttempts'"),
        ({"retry": {"maximumAttempts": 0}}, "maximumAttempts must be 1 or more"),
        ({"retry": {"backoffCoefficient": 0.5}}, "backoffCoefficient must be 1 or more"),
        ({"startToCloseTimeout": "soon"}, "'soon' is not a duration"),
        ({"startToCloseTimeout": "1h30m"}, "'1h30m' is not a duration that the SDK takes"),
        ({"heartbeatTimeout": "1w"}, "'1w' is not a duration that the SDK takes"),
        ({"scheduleToCloseTimeout": "1.5s"}, "'1.5s' is not a duration that the SDK takes"),
        ({"scheduleToStartTimeout": -1}, "scheduleToStartTimeout must be 0 or more"),
        ({"startToCloseTimeout": True}, "not True"),
        ({"startToCloseTimeout": float("nan")}, "not nan"),
        ({"retry": {"initialInterval": None}}, "duration"),
        ({"retry": {"initialInterval": "10m"}}, "maximumInterval (2m) is shorter than initialInterval (10m)"),
        ({"retry": {"maximumInterval": "5s"}}, "the real server never begins such a step"),
        ({"retry": {"maximumAttempts": "many"}}, "many"),
        ({"retry": {"maximumAttempts": float("inf")}}, "maximumAttempts must be a whole number, not inf"),
        ({"retry": {"maximumAttempts": 1.5}}, "maximumAttempts must be a whole number, not 1.5"),
        ({"retry": {"backoffCoefficient": "2"}}, "backoffCoefficient must be a number, not '2'"),
        ({"retry": {"nonRetryableErrorTypes": "E"}}, "a list of names of errors, not 'E'"),
        ({"retry": 3}, "retry must be an object"),
        ({"summary": 5}, "summary must be text, not 5"),
        ({"cancellationType": "NO"}, "cancellationType must be one of TRY_CANCEL"),
        ({"activityOptions": {"retry": {}}}, "write what is in it directly into the options"),
        ({"disableTrace": True}, "write traced=False"),
    ],
)
def test_options_that_are_invalid_are_refused(mock: OutputMock, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match="workflow 'fine'") as caught:
        mock.workflow("fine", options=options)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"type": 5},
        {"type": "object", "properties": {"a": {"type": "nonsense"}}},
        {"type": "string", "pattern": "("},
        {"type": "array", "items": 5},
        {"enum": 5},
    ],
)
@pytest.mark.parametrize("which", ["input_schema", "output_schema"])
def test_an_invalid_schema_is_refused_and_named(mock: OutputMock, which: str, schema: Any) -> None:
    with pytest.raises(ValueError, match=f"{which} of workflow 'fine'"):
        mock.workflow("fine", **{which: schema})


def test_a_refused_definition_does_not_change_the_workflow(mock: OutputMock, client: Client) -> None:
    mock.workflow("fine").returns(1)
    with pytest.raises(ValueError, match="is not a valid workflow name"):
        mock.workflow("fine", aliases=["not fine"])
    assert client.run("fine")["output"] == 1
    mock.workflow("fine", description="still fine")
    assert client.get("/workflow/catalog").json["workflows"][0]["description"] == "still fine"


def test_a_script_must_be_a_coroutine_function(mock: OutputMock) -> None:
    with pytest.raises(
        TypeError, match=r"workflow 'plain' .*a script must be a coroutine function"
    ) as caught:

        @mock.workflow("plain")  # <plain>
        def plain(ctx: Context, input: Any) -> Any:
            return 1

    assert place("plain") in str(caught.value)


def test_a_script_must_take_context_and_input(mock: OutputMock) -> None:
    with pytest.raises(TypeError, match=r"workflow 'short' .*`async def short\(ctx, input\)`") as caught:

        @mock.workflow("short")  # type: ignore[arg-type]  # <short>
        async def short(input: Any) -> Any:
            return 1

    assert place("short") in str(caught.value)


def test_a_decorator_without_a_name_is_refused_with_a_hint(mock: OutputMock) -> None:
    with pytest.raises(TypeError, match=r'write @….workflow\("nameless"\)'):

        @mock.workflow  # type: ignore[arg-type]
        async def nameless(ctx: Context, input: Any) -> Any:
            return 1


@pytest.mark.parametrize("duration", ["soon", "", -1, None, "1 hour"])
def test_the_takes_argument_must_be_a_duration(mock: OutputMock, duration: Any) -> None:
    with pytest.raises(ValueError, match="duration"):
        mock.workflow("slow").takes(duration)


def test_the_message_of_a_failure_must_be_text() -> None:
    with pytest.raises(TypeError, match="the message of a Failure must be text"):
        Failure(5)  # type: ignore[arg-type]


def test_a_mistake_in_a_script_that_is_loaded_later_is_reported_on_loading(mock: OutputMock) -> None:
    mock.workflow("first", aliases=["shared"])
    script = Script()
    script.workflow("shared").returns(1)
    with pytest.raises(ValueError, match="'shared' already names workflow 'first'"):
        mock.load(script)


def test_a_fault_knows_the_file_and_line_that_created_it() -> None:
    line = sys._getframe().f_lineno + 1
    assert Fault(status=503).place == f"{__file__}, line {line}"
