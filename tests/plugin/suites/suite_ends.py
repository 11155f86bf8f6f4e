"""User tests that start runs and never poll them. Their names say how each must end."""

import asyncio
import contextlib
import threading
import time

import pytest
import requests

from output_mock import Failure
from output_mock.http.journal import Journal


def start(mock, workflow="w", workflow_id="a", **body):
    body = {"workflowName": workflow, "workflowId": workflow_id, "input": {"topic": "bees"}, **body}
    assert requests.post(f"{mock.url}/workflow/start", json=body).status_code == 200


def broken(mock, name="w"):
    @mock.workflow(name)
    async def script(ctx, input):
        return input["nope"]


def broken_chain(mock):
    @mock.workflow("w")
    async def script(ctx, input):
        if "page" not in input:
            ctx.continue_as_new({"page": 2})
        return input["nope"]


# Requests that no script matches


def test_fails_when_no_when_fits(output_mock):
    """no answer for the input …; the nearest is when({"topik": "bees"}): input.topik is missing"""
    output_mock.workflow("w").when({"topik": "bees"}).returns(1)
    start(output_mock)


def test_fails_when_a_script_has_a_bug(output_mock):
    """the script of workflow 'w' raised KeyError: 'nope' (…suite_ends.py, line …)"""
    broken(output_mock)
    start(output_mock)


def ask_more_than_is_kept(mock):
    mock.app.calls = Journal(10)
    requests.post(f"{mock.url}/workflow/start", json={"workflowName": "reprot"})
    for _ in range(20):
        requests.get(f"{mock.url}/health")


def test_fails_for_a_request_that_is_no_longer_among_the_calls(output_mock):
    """no script matches these requests:…#1 POST /workflow/start: no workflow 'reprot'"""
    ask_more_than_is_kept(output_mock)


def test_fails_once_for_such_a_request_to_a_modules_fake(output_mock_module_factory):
    """no script matches these requests:…#1 POST /workflow/start: no workflow 'reprot'"""
    ask_more_than_is_kept(output_mock_module_factory())


def test_fails_on_a_socket_too(output_server):
    """raised KeyError: 'nope'"""
    broken(output_server)
    start(output_server)


@pytest.mark.output(clock="manual")
def test_fails_on_a_clock_that_stands(output_mock):
    """raised KeyError: 'nope'"""
    broken(output_mock)
    start(output_mock)


@pytest.mark.output(clock="real")
def test_fails_on_a_clock_that_runs(output_mock):
    """raised KeyError: 'nope'"""
    broken(output_mock)
    start(output_mock)


def test_fails_when_a_predicate_has_a_bug(output_mock):
    """raised KeyError: 'topik'"""
    output_mock.workflow("w").when(lambda input: input["topik"] == "bees").returns(1)
    start(output_mock)


def test_fails_when_a_function_that_answers_has_a_bug(output_mock):
    """raised KeyError: 'n'"""
    output_mock.workflow("w").returns(lambda input: {"pages": input["n"]})
    start(output_mock)


def test_fails_when_a_step_that_takes_no_time_has_a_bug(output_mock):
    """raised ZeroDivisionError"""

    @output_mock.workflow("w")
    async def script(ctx, input):
        await ctx.step("first", returns=1)
        await ctx.step("second", returns=lambda given: 1 / 0)

    start(output_mock)


def test_fails_when_the_run_after_continue_as_new_has_a_bug(output_mock):
    """raised KeyError: 'nope'"""
    broken_chain(output_mock)
    start(output_mock)


@pytest.mark.output(clock="manual")
def test_fails_when_a_client_has_seen_only_the_run_before_continue_as_new(output_mock):
    """raised KeyError: 'nope'"""

    @output_mock.workflow("w")
    async def script(ctx, input):
        if "page" not in input:
            await ctx.step("first", returns=1)
            ctx.continue_as_new({"page": 2})
        return input["nope"]

    start(output_mock)
    output_mock.clock.advance("100ms")
    assert output_mock.runs["a"].status == "running"


def test_fails_when_no_when_fits_after_continue_as_new(output_mock):
    """no answer for the input …; the nearest is when({"page": 1}): input.page is 2, not 1"""

    @output_mock.workflow("pages")
    async def pages(ctx, input):
        await ctx.child("page", {"page": input.get("page", 1)})
        ctx.continue_as_new({"page": 2})

    output_mock.workflow("page").when({"page": 1}).returns(1).when({"page": 3}).returns(3)
    start(output_mock, "pages")


def test_passes_when_a_workflow_continues_as_new_for_ever(output_mock):
    @output_mock.workflow("w")
    async def script(ctx, input):
        ctx.continue_as_new(input)

    start(output_mock)


def test_fails_for_a_task_that_nobody_awaits(output_mock):
    """raised KeyError: 'nope' (…suite_ends.py, line HERE)"""

    @output_mock.workflow("w")
    async def script(ctx, input):
        async def note():
            return input["nope"]  # here

        asyncio.create_task(note())  # noqa: RUF006
        return 1

    start(output_mock)


def test_fails_for_a_task_that_nobody_has_awaited_at_the_end(output_mock):
    """raised KeyError: 'nope'"""

    @output_mock.workflow("w")
    async def script(ctx, input):
        async def note():
            return input["nope"]

        noted = asyncio.create_task(note())
        await ctx.wait_for_signal("go")
        await noted

    start(output_mock)


def test_passes_when_the_error_of_a_task_is_awaited_or_is_a_failure(output_mock):
    @output_mock.workflow("w")
    async def script(ctx, input):
        async def fails(error):
            raise error

        await asyncio.gather(fails(KeyError("a")), fails(KeyError("b")), return_exceptions=True)
        awaited = asyncio.create_task(fails(KeyError("c")))
        await ctx.step("first", returns=1)
        with contextlib.suppress(KeyError):
            await awaited
        asyncio.create_task(fails(Failure("d")))  # noqa: RUF006
        asyncio.create_task(ctx.sleep("1h"))  # noqa: RUF006
        return 1

    start(output_mock)


def test_fails_for_a_child_that_nobody_awaits(output_mock):
    """the script of workflow 'c' raised KeyError: 'nope'"""
    broken(output_mock, "c")

    @output_mock.workflow("w")
    async def script(ctx, input):
        import asyncio

        left = asyncio.ensure_future(ctx.child("c", {}, detached=True))
        await ctx.wait_for_signal("go")
        await left

    start(output_mock)


def test_fails_for_a_grandchild(output_mock):
    """the script of workflow 'c' raised KeyError: 'nope'"""
    broken(output_mock, "c")

    @output_mock.workflow("b")
    async def between(ctx, input):
        return await ctx.child("c", {})

    @output_mock.workflow("w")
    async def script(ctx, input):
        return await ctx.child("b", {})

    start(output_mock)


def test_fails_for_a_handler_of_signals(output_mock):
    """raised KeyError: 'by'"""

    @output_mock.workflow("w")
    async def script(ctx, input):
        ctx.on_signal("approve", lambda payload: payload["by"])
        await ctx.wait_for_signal("never")

    start(output_mock)
    requests.post(f"{output_mock.url}/workflow/a/signal/approve", json={"payload": {}})


def test_fails_for_a_handler_of_signals_that_waits(output_mock):
    """raised KeyError: 'by'"""

    @output_mock.workflow("w")
    async def script(ctx, input):
        async def approved(payload):
            await ctx.step("note")
            payload["by"]

        ctx.on_signal("approve", approved)
        await ctx.wait_for_signal("never")

    start(output_mock)
    output_mock.signal("a", "approve", {})


def test_fails_for_a_validator_that_has_a_bug(output_mock):
    """raised KeyError: 'threshold' …in the validator of update 'set'…raise a Failure or a ValueError"""

    @output_mock.workflow("w")
    async def script(ctx, input):
        ctx.on_update("set", lambda payload: 1, validator=lambda payload: payload["threshold"])
        await ctx.wait_for_signal("never")

    start(output_mock)
    answer = requests.post(f"{output_mock.url}/workflow/a/update/set", json={"payload": {}})
    assert answer.json()["error"] == "WorkflowUpdateFailedError"


def test_passes_when_a_validator_refuses(output_mock):
    @output_mock.workflow("w")
    async def script(ctx, input):
        def check(payload):
            if payload["how"] == "library":
                int("many")
            raise payload_errors[payload["how"]]("no")

        payload_errors = {"value": ValueError, "type": TypeError, "key": KeyError, "failure": Failure}
        ctx.on_update("set", lambda payload: 1, validator=check)
        await ctx.wait_for_signal("never")

    start(output_mock)
    for how in ("library", "value", "type", "key", "failure"):
        answer = requests.post(f"{output_mock.url}/workflow/a/update/set", json={"payload": {"how": how}})
        assert answer.json()["error"] == "WorkflowUpdateFailedError"


@pytest.mark.output(scripts=["workflows.yaml"])
def test_fails_when_no_when_of_a_file_fits(output_mock):
    """workflow 'price' (…workflows.yaml, line 2, … has no answer for the input"""
    start(output_mock, "price", input={"currency": "USD"})


@pytest.mark.output(scripts=["workflows.yaml"])
def test_fails_when_an_expression_of_a_file_fails(output_mock):
    """workflow 'words': {{ input.nope }}: …workflows.yaml, line 7"""
    start(output_mock, "words")


@pytest.mark.output(scripts=["workflows.yaml"])
def test_fails_when_a_refusal_of_a_file_fails(output_mock):
    """workflow 'limits': {{ payload.threshold > 1 }}: …workflows.yaml, line 11"""
    start(output_mock, "limits")
    requests.post(f"{output_mock.url}/workflow/a/update/set", json={"payload": {}})


def test_fails_for_a_run_that_the_test_begins_with(output_mock):
    """raised KeyError: 'nope'"""
    broken(output_mock)
    output_mock.begin_with("w", {})


def test_fails_for_one_of_many_runs(output_mock):
    """raised KeyError: 'nope'"""
    output_mock.workflow("fine").returns(1)
    broken(output_mock)
    for number in range(50):
        start(output_mock, "fine", f"fine-{number}")
    start(output_mock)


@pytest.mark.output(script_limit="200ms")
def test_fails_for_a_script_that_never_gives_its_thread_back(output_mock):
    """without awaiting anything"""

    @output_mock.workflow("w")
    async def script(ctx, input):
        while True:
            pass

    for number in range(20):
        start(output_mock, workflow_id=f"w-{number}")


def test_fails_for_a_wrong_name_and_blames_it_for_what_was_not_played(output_mock):
    """did you mean 'price'?…'price' was never run …first fix what is listed above"""
    output_mock.workflow("price").returns(1)
    body = {"workflowName": "prise", "workflowId": "a", "input": {}}
    assert not requests.post(f"{output_mock.url}/workflow/start", json=body).ok


@pytest.fixture
def ends_with_a_run(output_mock):
    yield
    broken(output_mock)
    start(output_mock)


def test_fails_for_a_run_that_the_end_of_a_fixture_starts(ends_with_a_run):
    """raised KeyError: 'nope'"""


# Correct tests


def test_passes_when_a_run_waits(output_mock):
    @output_mock.workflow("w")
    async def script(ctx, input):
        await ctx.step("draft", takes="10m")
        await ctx.wait_for_signal("approve")

    start(output_mock)


def test_passes_when_the_worker_is_away(output_mock):
    output_mock.workflow("w").returns(1)
    output_mock.add_catalog("main", worker=False)
    start(output_mock)


def test_passes_for_a_mistake_that_is_a_day_away(output_mock):
    @output_mock.workflow("w")
    async def script(ctx, input):
        await ctx.sleep("1d")
        input["nope"]

    start(output_mock)


def test_passes_without_moving_time(output_mock, was):
    output_mock.workflow("w").takes("1h").returns(1)
    start(output_mock)
    was["now"] = output_mock.clock.now()


@pytest.fixture
def was(output_mock):
    noted = {}
    yield noted
    output_mock.world.play_what_is_due()
    assert output_mock.clock.now() == noted["now"]
    assert output_mock.runs["a"].status == "running"


def test_passes_with_a_warning_where_warnings_are_errors(output_mock):
    @output_mock.workflow("w")
    async def script(ctx, input):
        await ctx.wait_for_signal("approve", timeout="24h")

    start(output_mock)


def test_passes_when_a_scripted_failure_is_not_looked_at(output_mock):
    output_mock.workflow("w").fails("no data")
    start(output_mock)


@pytest.mark.output(strict=False)
def test_passes_when_it_is_not_strict(output_mock):
    output_mock.workflow("w").when({"topik": "bees"}).returns(1)
    start(output_mock)


@pytest.mark.parametrize(
    "expected",
    [{}, {"workflow": "w"}, {"workflow_id": "a"}, {"status": 500}, {"route": "result"}, {"route": "start"}],
    ids=str,
)
def test_expected(output_mock, expected):
    output_mock.expect_unmatched(**expected)
    output_mock.workflow("w").when({"topik": "bees"}).returns(1)
    start(output_mock)


def test_passes_when_the_failure_of_a_child_is_expected(output_mock):
    broken(output_mock, "c")

    @output_mock.workflow("w")
    async def script(ctx, input):
        await ctx.child("c", {})

    output_mock.expect_unmatched(workflow="w")
    start(output_mock)


def test_fails_when_something_else_is_expected(output_mock):
    """raised KeyError: 'nope'"""
    output_mock.expect_unmatched(workflow="other")
    output_mock.expect_unmatched(status=424)
    broken(output_mock)
    start(output_mock)


def test_passes_though_a_script_would_never_end(output_mock):
    @output_mock.workflow("w")
    async def script(ctx, input):
        while True:
            await ctx.step("again")

    start(output_mock)


def test_passes_though_a_thread_still_starts_runs(output_mock):
    output_mock.workflow("w").returns(1)
    started = threading.Event()

    def work():
        number = 0
        try:
            while True:
                number += 1
                output_mock.begin_with("w", workflow_id=f"w-{number}")
                started.set()
                time.sleep(0.001)
        except Exception:
            pass

    threading.Thread(target=work, daemon=True).start()
    started.wait()


def test_passes_though_a_thread_still_waits_for_a_run(output_mock):
    @output_mock.workflow("w")
    async def script(ctx, input):
        await ctx.wait_for_signal("approve")

    body = {"workflowName": "w", "workflowId": "a", "timeout": 3_600_000}
    output_mock.world.set_clock_mode("manual")
    threading.Thread(
        target=lambda: requests.post(f"{output_mock.url}/workflow/run", json=body), daemon=True
    ).start()
    for _ in range(60_000):
        if output_mock.world.waiting_requests():
            return
        time.sleep(0.001)
    raise AssertionError("the request does not wait")


@pytest.fixture
def database(output_mock):
    rows = {"bees": 1}
    yield rows
    rows.clear()


def test_passes_when_a_script_uses_what_a_fixture_takes_away(output_mock, database):
    @output_mock.workflow("w")
    async def script(ctx, input):
        return database[input["topic"]]

    start(output_mock)


def test_passes_when_a_script_uses_what_monkeypatch_takes_back(output_mock, monkeypatch):
    monkeypatch.setenv("RATE", "2")

    @output_mock.workflow("w")
    async def script(ctx, input):
        import os

        return int(os.environ["RATE"])

    start(output_mock)


def test_passes_when_a_chain_uses_what_a_fixture_takes_away(output_mock, database):
    @output_mock.workflow("w")
    async def script(ctx, input):
        await ctx.step("count", returns=database[input["topic"]])
        ctx.continue_as_new(input)

    start(output_mock)


def test_passes_when_a_child_in_a_chain_uses_what_a_fixture_takes_away(output_mock, database):
    @output_mock.workflow("w")
    async def script(ctx, input):
        if "page" in input:
            await ctx.child("page", {"of": input["topic"]})
        ctx.continue_as_new({**input, "page": 2})

    @output_mock.workflow("page")
    async def page(ctx, input):
        ctx.continue_as_new({"of": input["of"], "bees": database[input["of"]]})

    start(output_mock)


@pytest.fixture
def ends_with_a_chain(output_mock):
    broken_chain(output_mock)
    yield
    start(output_mock)


def test_fails_for_a_chain_that_the_end_of_a_fixture_starts(ends_with_a_chain):
    """raised KeyError: 'nope'"""


def test_failed_already(output_mock):
    broken(output_mock)
    start(output_mock)
    raise AssertionError


@pytest.mark.xfail(strict=True)
def test_xfails_for_what_shows_at_its_end(output_mock):
    broken(output_mock)
    start(output_mock)


@pytest.mark.xfail(strict=True)
def test_xfails_by_itself(output_mock):
    broken(output_mock)
    start(output_mock)
    raise AssertionError


def test_skips(output_mock):
    broken(output_mock)
    start(output_mock)
    pytest.skip("not here")


def test_passes_and_waits_while_another_fails(output_mock):
    assert output_mock.unused == []
