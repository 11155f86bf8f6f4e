"""The ways to script workflows: the builder, coroutines, and scripts that are loaded into fakes."""

from __future__ import annotations

import asyncio
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from output_mock import UNDEFINED, Context, Failure, OutputMock, Script, SignalTimeout
from output_mock.scripts.file_error import ScriptFileError
from output_mock.server import Server
from tests.client import Client


@pytest.fixture
def client(mock: OutputMock) -> Client:
    """These tests are about scripts, not about how requests reach the fake."""
    return Client(mock)


# --- the builder -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [{"summary": "short"}, [1, 2], "text", 5, True, None, {}])
def test_a_workflow_returns_any_json(mock: OutputMock, client: Client, value: Any) -> None:
    mock.workflow("summarize").returns(value)
    assert client.run("summarize", {"x": 1})["output"] == value


def test_a_workflow_returns_null_by_default(mock: OutputMock, client: Client) -> None:
    mock.workflow("quiet").returns()
    assert client.run("quiet")["output"] is None


def test_the_output_can_be_a_function_of_the_input(mock: OutputMock, client: Client) -> None:
    mock.workflow("double").returns(lambda input: {"pages": input["n"] * 2})
    assert client.run("double", {"n": 3})["output"] == {"pages": 6}


def test_a_workflow_takes_the_scripted_time(mock: OutputMock, client: Client) -> None:
    mock.workflow("report").takes("4m").returns("done")
    client.run("report", workflowId="wf")
    status = client.get("/workflow/wf/status").json
    assert status["completedAt"] - status["startedAt"] == 240_000


def test_a_scripted_failure_is_permanent_by_default(mock: OutputMock, client: Client) -> None:
    mock.workflow("fails").fails("no such page", page=7)
    error = client.run("fails")["error"]
    assert error == {"message": "no such page", "page": 7, "name": "FatalError"}


def test_a_workflow_fails_with_the_given_failure(mock: OutputMock, client: Client) -> None:
    cause = Failure("inner", name="TypeError")
    mock.workflow("fails").fails(Failure("outer", name="QuotaError", cause=cause, limit=10))
    assert client.run("fails")["error"] == {
        "message": "outer",
        "cause": {"message": "inner", "name": "TypeError"},
        "limit": 10,
        "name": "QuotaError",
    }


def test_a_workflow_can_take_time_to_fail(mock: OutputMock, client: Client) -> None:
    mock.workflow("slow").takes("2m").fails("at last")
    result = client.run("slow", workflowId="wf")
    status = client.get("/workflow/wf/status").json
    assert (result["status"], status["completedAt"] - status["startedAt"]) == ("failed", 120_000)


def test_the_first_matching_when_is_used(mock: OutputMock, client: Client) -> None:
    pages = mock.workflow("pages")
    pages.when({"url": "https://bad.example"}).fails("no such page")
    pages.when({"url": "https://slow.example"}).takes("1m").returns("slow")
    pages.when({"deep": {"a": 1}}).returns("deep")
    pages.when(lambda input: isinstance(input, list)).returns("list")
    pages.when([1, {"a": 2}]).returns("never reached")
    pages.when("text").returns("text")
    pages.returns("anything else")

    def output(input: Any) -> Any:
        return client.run("pages", input)["output"]

    assert client.run("pages", {"url": "https://bad.example", "x": 1})["status"] == "failed"
    assert output({"url": "https://slow.example"}) == "slow"
    assert output({"deep": {"a": 1, "b": 2}, "x": 1}) == "deep"
    assert output({"deep": {"a": 2}}) == "anything else"
    assert output([1, {"a": 2}]) == "list"
    assert output("text") == "text"
    assert output("other") == "anything else"
    assert output(None) == "anything else"


@pytest.mark.parametrize(
    ("match", "input", "fits"),
    [
        ({}, {"a": 1}, True),
        ({}, None, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": True}, False),
        ({"a": 0}, {"a": False}, False),
        ({"a": None}, {}, False),
        ({"a": None}, {"a": None}, True),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 2, "c": 3}]}, True),
        ({"a": [1]}, {"a": [1, 2]}, False),
        ([], [], True),
        ([], {}, False),
        ("x", "x", True),
        ("x", ["x"], False),
        (None, None, True),
        (5, "5", False),
    ],
)
def test_a_match_compares_only_the_named_keys(
    mock: OutputMock, client: Client, match: Any, input: Any, fits: bool
) -> None:
    workflow = mock.workflow("matches")
    workflow.when(match).returns("fits")
    workflow.returns("does not")
    assert client.run("matches", input)["output"] == ("fits" if fits else "does not")


def test_answers_are_used_in_order_and_the_last_one_repeats(mock: OutputMock, client: Client) -> None:
    mock.workflow("busy").fails("busy").then.takes("1m").returns(1).then.returns(2)
    outcomes = [client.run("busy") for _ in range(4)]
    assert [outcome["status"] for outcome in outcomes] == ["failed", "completed", "completed", "completed"]
    assert [outcome["output"] for outcome in outcomes] == [None, 1, 2, 2]


def test_each_when_counts_its_own_answers(mock: OutputMock, client: Client) -> None:
    workflow = mock.workflow("counts")
    workflow.when({"a": 1}).returns("a1").then.returns("a2")
    workflow.when({"b": 1}).returns("b1").then.returns("b2")
    inputs: list[dict[str, int]] = [{"a": 1}, {"b": 1}, {"a": 1}, {"b": 1}]
    assert [client.run("counts", input)["output"] for input in inputs] == ["a1", "b1", "a2", "b2"]


def test_a_run_that_is_replayed_keeps_its_answer(mock: OutputMock, client: Client) -> None:
    mock.workflow("sequence").returns(1).then.returns(2)
    client.run("sequence", workflowId="wf")
    assert client.run("sequence")["output"] == 2
    assert client.get("/workflow/wf/result").json["output"] == 1


def test_builder_methods_can_be_chained_after_when(mock: OutputMock, client: Client) -> None:
    mock.workflow("chained").when({"a": 1}).returns("a").when({"b": 1}).takes("1m").returns("b")
    assert client.run("chained", {"a": 1})["output"] == "a"
    assert client.run("chained", {"b": 1})["output"] == "b"


def test_a_workflow_can_be_scripted_in_several_places(mock: OutputMock, client: Client) -> None:
    mock.workflow("twice", description="Said first").returns(1)
    mock.workflow("twice").when({"a": 1}).returns("a")
    mock.workflow("twice", aliases=["again"])
    assert client.run("again")["output"] == 1
    assert client.run("twice", {"a": 1})["output"] == "a"
    assert client.get("/workflow/catalog").json["workflows"][0]["description"] == "Said first"


def test_the_last_definition_counts(mock: OutputMock, client: Client) -> None:
    mock.workflow("changing").returns(1)
    assert client.run("changing")["output"] == 1
    mock.workflow("changing").fails("now it fails")
    assert client.run("changing")["status"] == "failed"
    mock.workflow("changing").returns(2)
    assert client.run("changing")["output"] == 2


# --- coroutines ------------------------------------------------------------------------------------------


def test_a_coroutine_function_plays_a_workflow(mock: OutputMock, client: Client) -> None:
    @mock.workflow("greets")
    async def greets(ctx: Context, input: Any) -> Any:
        """Greets somebody.

        More about it.
        """
        return {"hello": input["name"], "me": ctx.info.workflow_name}

    assert client.run("greets", {"name": "ana"})["output"] == {"hello": "ana", "me": "greets"}
    assert client.get("/workflow/catalog").json["workflows"][0]["description"] == "Greets somebody."
    assert greets.__name__ == "greets", "the decorator gives the function back"


def test_a_coroutine_script_replaces_earlier_answers(mock: OutputMock, client: Client) -> None:
    mock.workflow("same").returns("built")

    @mock.workflow("same")
    async def same(ctx: Context, input: Any) -> Any:
        return "coroutine"

    assert client.run("same")["output"] == "coroutine"


def test_context_info_identifies_the_run(mock: OutputMock, client: Client) -> None:
    @mock.workflow("who", aliases=["alias"])
    async def who(ctx: Context, input: Any) -> Any:
        info = ctx.info
        return [info.workflow_id, info.run_id, info.workflow_name, info.catalog, info.start_time.isoformat()]

    result = client.run("alias", workflowId="wf")
    assert result["output"] == ["wf", result["runId"], "who", "main", "2026-01-01T00:00:00+00:00"]


def test_a_script_gets_none_when_there_is_no_input(mock: OutputMock, client: Client) -> None:
    @mock.workflow("given")
    async def given(ctx: Context, input: Any) -> Any:
        return {"given": input}

    assert client.run("given")["output"] == {"given": None}


def test_a_step_returns_a_value_or_a_function_of_its_input(mock: OutputMock, client: Client) -> None:
    @mock.workflow("steps")
    async def steps(ctx: Context, input: Any) -> Any:
        return [
            await ctx.step("value", returns={"a": 1}),
            await ctx.step("function", 5, returns=lambda given: given * 2),
            await ctx.step("nothing", 5),
            await ctx.step("no_input", returns=lambda given: given is None),
        ]

    assert client.run("steps")["output"] == [{"a": 1}, 10, None, True]


def test_a_step_fails_as_often_as_scripted(mock: OutputMock, client: Client) -> None:
    @mock.workflow("flaky")
    async def flaky(ctx: Context, input: Any) -> Any:
        options = {"retry": {"initialInterval": "1s", "backoffCoefficient": 1, "maximumAttempts": 5}}
        fails = [Failure("one"), None, Failure("never")]
        return await ctx.step("wobble", fails=fails, returns="worked", options=options)

    client.run("flaky", workflowId="wf")
    status = client.get("/workflow/wf/status").json
    assert status["completedAt"] - status["startedAt"] == 1000


@pytest.mark.parametrize("fails", ["rate limited", ["rate limited"] * 3, Failure("rate limited")])
def test_the_failure_of_a_step_can_be_a_text(mock: OutputMock, client: Client, fails: Any) -> None:
    @mock.workflow("fails")
    async def script(ctx: Context, input: Any) -> Any:
        await ctx.step("work", fails=fails)

    assert client.run("fails")["error"] == {
        "activityType": "fails#work",
        "message": "rate limited",
        "name": "Error",
    }


def test_a_step_stops_retrying_at_its_timeout(mock: OutputMock, client: Client) -> None:
    @mock.workflow("hurried")
    async def hurried(ctx: Context, input: Any) -> Any:
        await ctx.step("work", fails=Failure("no"), options={"scheduleToCloseTimeout": "15s"})

    result = client.run("hurried", workflowId="wf")
    assert result["status"] == "failed"
    status = client.get("/workflow/wf/status").json
    assert status["completedAt"] - status["startedAt"] <= 15_000


def test_an_update_handler_that_waits_may_fail(mock: OutputMock, client: Client) -> None:
    @mock.workflow("updates")
    async def updates(ctx: Context, input: Any) -> Any:
        async def work(payload: Any) -> Any:
            await ctx.step("work", fails=Failure("no", name="FatalError"))

        ctx.on_update("work", work)
        await ctx.condition(lambda: False)

    client.start("updates", workflowId="wf")
    answer = client.post("/workflow/wf/update/work")
    assert (answer.status, answer.json["error"]) == (500, "WorkflowUpdateFailedError")
    assert client.get("/workflow/wf/status").json["status"] == "running"


@pytest.mark.parametrize("name", ["__stack_trace", "__enhanced_stack_trace", "__temporal_workflow_metadata"])
def test_the_queries_of_the_sdk_itself_are_answered(mock: OutputMock, client: Client, name: str) -> None:
    @mock.workflow("asked")
    async def asked(ctx: Context, input: Any) -> Any:
        await ctx.condition(lambda: False)

    client.start("asked", workflowId="wf")
    assert client.post(f"/workflow/wf/query/{name}").status == 200


if sys.version_info >= (3, 11):

    def test_a_failure_in_a_task_group_fails_the_run_with_it(mock: OutputMock, client: Client) -> None:
        @mock.workflow("group")
        async def group(ctx: Context, input: Any) -> Any:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(ctx.step("work", fails=Failure("no", name="FatalError")))
                tasks.create_task(ctx.sleep("1h"))

        error = client.run("group")["error"]
        assert error == {"activityType": "group#work", "message": "no", "name": "FatalError"}


def test_options_of_a_workflow_apply_to_its_steps_unless_overridden(mock: OutputMock, client: Client) -> None:
    @mock.workflow("options", options={"retry": {"maximumAttempts": 1}})
    async def options(ctx: Context, input: Any) -> Any:
        await ctx.step("patient", fails=[Failure("1"), None], options={"retry": {"maximumAttempts": 2}})
        await ctx.step("impatient", fails=[Failure("1"), None])

    result = client.run("options")
    assert result["error"]["activityType"] == "options#impatient"


def test_a_step_that_exceeds_its_timeout_is_timed_out(mock: OutputMock, client: Client) -> None:
    @mock.workflow("slow")
    async def slow(ctx: Context, input: Any) -> Any:
        once = {"startToCloseTimeout": "1m", "retry": {"maximumAttempts": 1}}
        await ctx.step("long", takes="2m", options=once)

    result = client.run("slow", workflowId="wf")
    assert result["status"] == "failed"
    assert result["error"]["activityType"] == "slow#long"
    assert "ACTIVITY_TASK_TIMED_OUT" in client.kinds("wf")
    status = client.get("/workflow/wf/status").json
    assert status["completedAt"] - status["startedAt"] == 60_000


def test_a_signal_that_does_not_come_in_time_raises(mock: OutputMock, client: Client) -> None:
    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        try:
            await ctx.wait_for_signal("go", timeout="1m")
        except asyncio.TimeoutError as error:
            return [type(error) is SignalTimeout, str(error)]

    assert client.run("waits")["output"] == [True, "no signal 'go' within 1m"]


def test_a_signal_timeout_that_nobody_catches_fails_the_run(mock: OutputMock, client: Client) -> None:
    @mock.workflow("waits")
    async def waits(ctx: Context, input: Any) -> Any:
        await ctx.wait_for_signal("go", timeout="90s")

    result = client.run("waits")
    assert (result["status"], result["error"]["message"]) == ("failed", "no signal 'go' within 1m30s")


def test_waiting_for_a_condition_returns_whether_it_was_met(mock: OutputMock, client: Client) -> None:
    @mock.workflow("conditions")
    async def conditions(ctx: Context, input: Any) -> Any:
        state = {"ready": False}

        async def later() -> None:
            await ctx.sleep("30s")
            state["ready"] = True

        task = asyncio.create_task(later())
        outcome = [
            await ctx.condition(lambda: True),
            await ctx.condition(lambda: False, timeout="10s"),
            await ctx.condition(lambda: state["ready"], timeout="1m"),
            await ctx.condition(lambda: state["ready"]),
        ]
        await task
        return outcome

    assert client.run("conditions")["output"] == [True, False, True, True]


def test_random_values_are_the_same_on_every_replay(client: Client, mock: OutputMock) -> None:
    @mock.workflow("dice")
    async def dice(ctx: Context, input: Any) -> Any:
        first = ctx.random.randint(1, 10**9)
        await ctx.step("work")
        return [first, ctx.random.randint(1, 10**9)]

    outputs = [client.run("dice", workflowId=f"d{n}")["output"] for n in range(2)]
    assert outputs[0] != outputs[1], "each run has a chance of its own"
    client.post("/workflow/d0/reset", {"stepName": "work"})
    client.until_closed("d0")
    assert client.get("/workflow/d0/result").json["output"] == outputs[0]


def test_an_undefined_value_is_left_out(mock: OutputMock, client: Client) -> None:
    @mock.workflow("partly")
    async def partly(ctx: Context, input: Any) -> Any:
        return {"there": None, "not": UNDEFINED, "list": [UNDEFINED]}

    assert client.run("partly")["output"] == {"there": None, "list": [None]}


# --- what the fake has seen ------------------------------------------------------------------------------


def test_calls_are_recorded_with_request_and_response(mock: OutputMock, client: Client) -> None:
    mock.workflow("echo").returns(lambda input: input)
    client.start("echo", {"x": 1}, workflowId="wf")
    client.get("/workflow/wf/status?a=1&a=2", headers={"X-Test": "yes"})
    client.get("/nope")
    start, status, nope = mock.calls()
    assert (start.method, start.path, start.route, start.status) == (
        "POST",
        "/workflow/start",
        "start",
        200,
    )
    assert start.json == {"workflowName": "echo", "input": {"x": 1}, "workflowId": "wf"}
    assert (status.route, status.workflow_id, status.query) == ("status", "wf", {"a": ["1", "2"]})
    assert status.headers["X-Test"] == "yes"
    assert (nope.route, nope.status) == (None, 404)
    assert mock.calls("POST", "/workflow/start") == [start]
    assert mock.calls("get") == [status, nope]
    assert mock.calls(path="/nope") == [nope]
    assert mock.calls("DELETE") == []


def test_reading_runs_does_not_move_the_clock(mock: OutputMock, client: Client) -> None:
    mock.workflow("echo").takes("1m").returns(lambda input: input)
    client.start("echo", {"x": 1}, workflowId="wf")
    run = mock.runs["wf"]
    for _ in range(5):
        assert (run.status, run.output, run.error) == ("running", None, None)
    assert client.until_closed("wf") == "completed"
    assert (run.workflow_id, run.workflow, run.status) == ("wf", "echo", "completed")
    assert (run.input, run.output, run.error) == ({"x": 1}, {"x": 1}, None)
    assert run.run_id == client.get("/workflow/wf/status").json["runId"]
    assert run.history == client.events("wf")
    assert repr(run) == f"<run {run.run_id} of 'wf' (echo): completed>"


def test_runs_maps_each_workflow_id_to_its_latest_run(mock: OutputMock, client: Client) -> None:
    mock.workflow("echo").returns(lambda input: input)
    for n, workflow_id in enumerate(["a", "b", "a"]):
        client.run("echo", n, workflowId=workflow_id)
    assert list(mock.runs) == ["a", "b"]
    assert len(mock.runs) == 2
    assert mock.runs["a"].output == 2
    assert "main" not in mock.runs
    with pytest.raises(KeyError, match="none"):
        mock.runs["none"]


def test_the_error_of_a_run_equals_that_of_its_result(mock: OutputMock, client: Client) -> None:
    mock.workflow("fails").fails("no", code=5)
    client.run("fails", workflowId="wf")
    assert mock.runs["wf"].error == client.get("/workflow/wf/result").json["error"]


# --- scripts that are loaded -----------------------------------------------------------------------------


def test_fakes_with_the_same_script_share_no_state() -> None:
    script = Script()
    script.workflow("sequence").returns(1).then.returns(2)
    mocks = [OutputMock(scripts=[script]) for _ in range(2)]
    outputs = [[Client(mock).run("sequence")["output"] for _ in range(2)] for mock in mocks]
    assert outputs == [[1, 2], [1, 2]]


def test_a_script_adds_its_workflows_to_the_named_catalogs() -> None:
    script = Script(catalogs=["one", "two"], namespace="mine")
    script.workflow("both").returns("both")
    script.workflow("only_three", catalog="three").returns("three")
    script.add_catalog("empty")
    script.add_catalog("away", worker=False)
    client = Client(OutputMock(scripts=[script]))
    for catalog in ("one", "two"):
        assert client.run("both", catalog=catalog)["output"] == "both"
    assert client.run("only_three", catalog="three")["output"] == "three"
    assert client.post("/workflow/start", {"workflowName": "both"}).status == 424
    assert client.get("/workflow/catalog/empty").json["workflows"] == []
    assert client.get("/workflow/catalog/away").status == 409


def test_a_script_can_define_initial_runs() -> None:
    script = Script()
    script.workflow("echo").returns(lambda input: input)
    script.begin_with("echo", {"x": 1}, workflow_id="first")
    client = Client(OutputMock(scripts=[script]))
    assert client.until_closed("first") == "completed"
    assert client.get("/workflow/first/result").json["output"] == {"x": 1}


def test_a_loaded_workflow_replaces_one_of_the_same_name(mock: OutputMock, client: Client) -> None:
    mock.workflow("same").returns("old")
    script = Script()
    script.workflow("same").returns("new")
    mock.load(script)
    assert client.run("same")["output"] == "new"


@pytest.fixture
def loaded(mock: OutputMock) -> OutputMock:
    """A fake with a script that it shares with others."""
    script = Script()

    @script.workflow("review", aliases=["approval"], output_schema={})
    async def review(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("approve")

    mock.load(script)
    return mock


def test_a_fake_can_extend_a_loaded_workflow(loaded: OutputMock, client: Client) -> None:
    loaded.workflow("review").receives("approve", {"by": "ana"}, after="1m")
    assert client.run("approval")["output"] == {"by": "ana"}


def test_answers_of_a_fake_take_precedence_over_the_loaded_script(loaded: OutputMock, client: Client) -> None:
    loaded.workflow("review").when({"draft": "bad"}).fails("rejected")
    assert client.run("review", {"draft": "bad"})["error"]["message"] == "rejected"
    started = client.post("/workflow/start", {"workflowName": "review", "input": {"draft": "good"}}).json
    loaded.signal(started["workflowId"], "approve", "yes")
    assert client.run("review", {"draft": "bad"})["status"] == "failed"
    assert loaded.runs[started["workflowId"]].output == "yes"


def test_an_answer_replaces_a_loaded_function(loaded: OutputMock, client: Client) -> None:
    loaded.workflow("review").returns("at once")
    assert client.run("approval")["output"] == "at once"


SCRIPT_FILE = """
from neighbour import VALUE
from output_mock import Script

script = Script()
script.workflow("from_file").returns(VALUE)
"""


def test_a_script_file_can_import_modules_next_to_it(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("VALUE = 'from the neighbour'\n")
    file = tmp_path / "scripts.py"
    file.write_text(SCRIPT_FILE)
    before = list(sys.path)
    try:
        for path in (file, str(file)):
            mock = OutputMock(scripts=[path])
            assert Client(mock).run("from_file")["output"] == "from the neighbour"
    finally:
        sys.modules.pop("neighbour", None)
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("missing.py", None, "there is no such file"),
        ("script.txt", "", "whose name ends in .py"),
        ("empty.py", "", "there is no Script in it"),
        ("syntax.py", "x = 1\ndef broken(:\n", "syntax.py, line 2: SyntaxError"),
        ("raises.py", "x = 1\n\nraise ValueError('boom')\n", "raises.py, line 3: ValueError: boom"),
        ("imports.py", "import there_is_no_such_module\n", "imports.py, line 1: ModuleNotFoundError"),
        (
            "wrong.py",
            "from output_mock import Script\nscript = Script()\nscript.workflow('two words')\n",
            "wrong.py, line 3: ValueError: workflow 'two words'",
        ),
    ],
)
def test_a_script_file_that_cannot_be_loaded_is_reported_with_file_and_line(
    tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    file = tmp_path / name
    if text is not None:
        file.write_text(text)
    with pytest.raises(ScriptFileError) as caught:
        OutputMock(scripts=[file])
    assert words in str(caught.value)
    assert str(file) in str(caught.value)


# --- the fake on a socket --------------------------------------------------------------------------------


def test_a_fake_can_be_served_twice_at_once_and_again_later(mock: OutputMock) -> None:
    mock.workflow("echo").returns(lambda input: input)
    with mock.serve() as first, mock.serve() as second:
        assert first != second
        assert Client(first).run("echo", 1, workflowId="wf")["output"] == 1
        assert Client(second).get("/workflow/wf/result").json["output"] == 1
    with mock.serve() as third:
        assert Client(third).get("/workflow/wf/result").json["output"] == 1
        assert Client(third).run("echo", 2)["output"] == 2


def test_a_server_without_any_request_stops_without_an_error(mock: OutputMock) -> None:
    with mock.serve() as url:
        assert url.startswith("http://127.0.0.1:")


def test_stopping_a_server_that_has_already_ended_is_no_error(
    mock: OutputMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(mock.app)
    thread = threading.Thread(target=server.run)
    wake = server._listener.pull_trigger

    def wake_late() -> None:
        thread.join(5)
        wake()

    monkeypatch.setattr(server._listener, "pull_trigger", wake_late)
    thread.start()
    server.close()
    thread.join()


def test_a_busy_port_is_an_error(mock: OutputMock) -> None:
    with (
        mock.serve() as url,
        pytest.raises(OSError, match="in use"),
        mock.serve(port=int(url.rpartition(":")[2])),
    ):
        pass


def test_a_fake_can_be_closed_more_than_once(mock: OutputMock) -> None:
    mock.workflow("echo").returns(1)
    mock.world.start("echo")
    mock.close()
    mock.close()


@pytest.mark.parametrize(("written", "seconds"), [(200, 0.2), ("200ms", 0.2), (2500.5, 2.5005), ("2s", 2)])
def test_numbers_in_options_are_milliseconds_as_in_the_sdk(
    mock: OutputMock, client: Client, written: Any, seconds: float
) -> None:
    retry = {"initialInterval": written, "maximumAttempts": 2}

    @mock.workflow("tries", options={"retry": retry})
    async def tries(ctx: Context, input: Any) -> Any:
        begun = ctx.now()
        await ctx.step("work", fails=["once", None], takes=0)
        return (ctx.now() - begun).total_seconds()

    assert client.run("tries")["output"] == pytest.approx(seconds, abs=0.001)


def test_a_sleep_of_zero_or_less_is_a_timer_of_a_millisecond(mock: OutputMock, client: Client) -> None:
    @mock.workflow("sleeps")
    async def sleeps(ctx: Context, input: Any) -> None:
        for length in (0, -5, "0s", "-2m", timedelta(days=-1), timedelta(0), 0.0001):
            await ctx.sleep(length)

    client.run("sleeps", workflowId="wf")
    status = client.get("/workflow/wf/status").json
    assert status["completedAt"] - status["startedAt"] == 7


def test_a_match_can_require_that_a_key_is_undefined(mock: OutputMock, client: Client) -> None:
    mock.workflow("w").when(UNDEFINED).returns("no input").when({"mode": UNDEFINED}).returns("no mode").when(
        {"mode": None}
    ).returns("null")
    answers = [client.run("w", *given)["output"] for given in ([], [{}], [{"a": 1}], [{"mode": None}])]
    assert answers == ["no input", "no mode", "no mode", "null"]
    error = client.post("/workflow/run", {"workflowName": "w", "input": {"mode": "x"}}).json
    assert 'when(UNDEFINED): input is {"mode": "x"}, not undefined' in error["message"]
