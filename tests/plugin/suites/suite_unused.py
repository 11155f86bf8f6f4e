"""User tests that script more than they use. Their names say how each must end."""

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from output_mock import Fault, Script

SHARED = Script()
SHARED.workflow("catalog_a").when({"x": 1}).returns(1)
SHARED.workflow("catalog_b").returns(1)


def run(mock, workflow, **body):
    return requests.post(f"{mock.url}/workflow/run", json={"workflowName": workflow, **body}).json()["output"]


def helper(mock):
    mock.workflow("a").returns(1)
    mock.workflow("b").returns(2)


@pytest.fixture
def scripts(output_mock):
    helper(output_mock)
    output_mock.fail_next(503, route="terminate")


# Scripts of the test itself


def test_fails_for_a_workflow_that_was_never_run(output_mock):
    """workflow 'a' was never run (…suite_unused.py, line HERE)"""
    output_mock.workflow("a").returns(1)  # here


def test_fails_for_a_function_that_was_never_run(output_mock):
    """workflow 'a' was never run (…suite_unused.py, line HERE)"""

    @output_mock.workflow("a")  # here
    async def a(ctx, input):
        return 1


def test_fails_for_a_when_that_fitted_nothing(output_mock):
    """workflow 'a': when({"x": 1}) matched no input (…suite_unused.py, line HERE)"""
    output_mock.workflow("a").when({"x": 1}).returns(1)  # here
    output_mock.workflow("a").returns(2)
    assert run(output_mock, "a", input={"x": 2}) == 2


def test_fails_for_a_predicate_that_fitted_nothing(output_mock):
    """workflow 'a': when(<lambda>) matched no input"""
    output_mock.workflow("a").when(lambda input: input["x"] > 9).returns(1).when({"x": 2}).returns(2)
    assert run(output_mock, "a", input={"x": 2}) == 2


def test_fails_for_the_answer_to_other_inputs(output_mock):
    """workflow 'a': no run got its answer for other inputs"""
    output_mock.workflow("a").when({"x": 1}).returns(1)
    output_mock.workflow("a").returns(2)
    assert run(output_mock, "a", input={"x": 1}) == 1


def test_fails_for_an_answer_in_a_row_that_no_run_got(output_mock):
    """workflow 'a': no run got answer 3 of 3 (…suite_unused.py, line HERE)"""
    output_mock.workflow("a").fails("busy").then.returns(2).then.returns(3)  # here
    run(output_mock, "a")
    assert run(output_mock, "a") == 2


def test_fails_for_a_when_below_a_function_that_plays_all(output_mock):
    """workflow 'a': when({"x": 1}) matched no input"""

    @output_mock.workflow("a")
    async def a(ctx, input):
        return 1

    output_mock.workflow("a").when({"x": 1}).returns(2)
    assert run(output_mock, "a", input={"x": 1}) == 1


@settings(suppress_health_check=list(HealthCheck), database=None, max_examples=3)
@given(number=st.integers(0, 9))
def test_fails_for_a_when_below_given(output_mock, number):
    """workflow 'a': when({"x": "never"}) matched no input (…suite_unused.py, line HERE)"""
    output_mock.workflow("a").when({"x": "never"}).returns(1)  # here
    output_mock.workflow("a").returns(2)
    assert run(output_mock, "a", input={"x": number}) == 2


@settings(suppress_health_check=list(HealthCheck), database=None, max_examples=3)
@given(number=st.integers(0, 9))
def test_passes_when_each_example_uses_what_it_scripts(output_mock, number):
    output_mock.workflow("a").returns(number)
    assert run(output_mock, "a", input={"x": number}) == number


def test_fails_for_a_fault_that_affected_nothing(output_mock):
    """the fault 'answer 503 for route stop' affected no call (…suite_unused.py, line HERE)"""
    output_mock.fail_next(503, route="stop")  # here


def test_fails_for_a_cut_after_the_end_of_the_stream(output_mock):
    """the fault 'cut the stream after 99 events for route … affected no call (…suite_unused.py, line HERE)"""
    output_mock.workflow("a").returns(1)
    output_mock.cut_next_stream(after=99)  # here
    run(output_mock, "a", workflowId="r")
    assert b"event: done" in requests.get(f"{output_mock.url}/workflow/r/history/stream").content


def test_fails_for_a_cut_of_a_stream_that_the_client_left_before(output_server):
    """the fault 'cut the stream after 99 events for route … affected no call (…suite_unused.py, line HERE)"""
    output_server.workflow("a").returns(1)
    output_server.cut_next_stream(after=99)  # here
    run(output_server, "a", workflowId="r")
    with requests.get(f"{output_server.url}/workflow/r/history/stream", stream=True) as stream:
        assert b"event: done" in stream.iter_lines()


def test_fails_for_a_signal_of_a_run_that_does_not_wait_for_it(output_mock):
    """signal 'approve' was never sent: the run ended 1d before it was due; …wait_for_signal (…, line HERE)"""
    output_mock.workflow("post").receives("approve", {"by": "ana"}, after="24h").returns(1)  # here
    assert run(output_mock, "post") == 1


@pytest.mark.output(unused="all", scripts=["workflows.yaml"])
def test_fails_for_a_signal_of_a_file_if_all_counts(output_mock):
    """signal 'approve' was never sent: the run ended 1d before it was due; …(…workflows.yaml, line 17, …"""
    assert run(output_mock, "hasty") == 1


def test_fails_for_a_signal_that_is_due_when_the_run_times_out(output_mock):
    """never sent: the run reached its execution timeout just when it was due; set a longer"""

    @output_mock.workflow("post")
    async def post(ctx, input):
        return await ctx.wait_for_signal("approve")

    output_mock.workflow("post").receives("approve", after="24h")
    output_mock.begin_with("post", workflow_id="a")
    output_mock.clock.advance("25h")
    assert output_mock.runs["a"].status == "timed_out"


def test_passes_when_one_of_several_runs_gets_the_signal(output_mock):
    @output_mock.workflow("post")
    async def post(ctx, input):
        return input or await ctx.wait_for_signal("approve")

    output_mock.workflow("post").receives("approve", 2, after="1m")
    assert run(output_mock, "post", input=1) == 1
    assert run(output_mock, "post") == 2


def test_passes_when_a_signal_reaches_the_run_that_continues(output_mock):
    @output_mock.workflow("post")
    async def post(ctx, input):
        if input is None:
            ctx.continue_as_new(1)
        return await ctx.wait_for_signal("approve")

    output_mock.workflow("post").receives("approve", 2, after="1h")
    output_mock.begin_with("post", workflow_id="a")
    output_mock.clock.advance("2h")
    assert output_mock.runs["a"].output == 2


def test_passes_while_the_signal_of_a_run_is_on_its_way(output_mock):
    @output_mock.workflow("post")
    async def post(ctx, input):
        return input or await ctx.wait_for_signal("approve")

    output_mock.workflow("post").receives("approve", 2, after="1h")
    assert run(output_mock, "post", input=1) == 1
    requests.post(f"{output_mock.url}/workflow/start", json={"workflowName": "post"})


def test_passes_when_a_fixture_scripts_a_signal_that_comes_too_late(answered, output_mock):
    assert run(output_mock, "answered") == 1


@pytest.fixture
def answered(output_mock):
    output_mock.workflow("answered").receives("approve", after="1h").returns(1)


def test_fails_for_a_socket_too(output_server):
    """workflow 'a' was never run"""
    output_server.workflow("a").returns(1)


def test_fails_for_what_takes_precedence_over_a_fixture(output_mock, scripts):
    """workflow 'a': when({"x": 1}) matched no input"""
    output_mock.workflow("a").when({"x": 1}).returns(3)
    assert run(output_mock, "a") == 1


@pytest.mark.output(strict=False, unused="error")
def test_fails_when_it_is_told_to_though_not_strict(output_mock):
    """workflow 'a' was never run"""
    output_mock.workflow("a").returns(1)


@pytest.mark.output(unused="all", scripts=["workflows.yaml"])
def test_fails_for_a_when_of_a_file_if_all_counts(output_mock):
    """workflow 'price' was never run (…workflows.yaml, line 2, …"""
    output_mock.expect_unmatched()


@pytest.mark.output(unused="all")
def test_fails_for_a_fixture_if_all_counts(output_mock, scripts):
    """workflow 'b' was never run (…suite_unused.py, line …)"""
    assert run(output_mock, "a") == 1


# Scripts that are not reported as unused


def test_passes_when_a_fixture_scripts_more(output_mock, scripts):
    assert run(output_mock, "a") == 1


def test_passes_when_a_helper_scripts_more(output_mock):
    helper(output_mock)
    assert run(output_mock, "b") == 2


@pytest.mark.output(scripts=[SHARED, "workflows.yaml"])
def test_passes_when_files_script_more(output_mock):
    assert run(output_mock, "catalog_a", input={"x": 1}) == 1


def test_passes_when_the_last_answer_is_given_again(output_mock):
    output_mock.workflow("a").fails("busy").then.returns(2)
    assert [run(output_mock, "a"), run(output_mock, "a"), run(output_mock, "a")] == [None, 2, 2]


def test_passes_when_it_is_scripted_again(output_mock):
    output_mock.workflow("a").returns(1)
    output_mock.workflow("a").returns(2)
    assert run(output_mock, "a") == 2


def test_passes_when_only_a_child_plays_it(output_mock):
    output_mock.workflow("a").returns(1)

    @output_mock.workflow("b")
    async def b(ctx, input):
        return await ctx.child("a")

    assert run(output_mock, "b") == 1


def test_passes_for_an_alias(output_mock):
    output_mock.workflow("a", aliases=["old"]).returns(1)
    assert run(output_mock, "old") == 1


def test_passes_for_faults_that_may_affect_nothing(output_mock):
    output_mock.faults.preset("flaky")
    output_mock.faults.add(Fault(status=503, times="always", route="stop"))
    output_mock.faults.add(Fault(limit=5, per="1m"))


def test_passes_for_a_fault_that_affected_fewer_calls_than_it_might(output_mock):
    output_mock.workflow("a").returns(1)
    output_mock.fail_next(503, times=9)
    requests.get(f"{output_mock.url}/workflow/runs")
    output_mock.faults.clear()
    assert run(output_mock, "a") == 1


def test_passes_for_a_stream_that_was_only_late(output_mock):
    output_mock.workflow("a").returns(1)
    output_mock.delay_next("1m", route="history_stream")
    run(output_mock, "a", workflowId="r")
    requests.get(f"{output_mock.url}/workflow/r/history/stream")


def test_passes_for_a_cut_that_was_taken_away_before_the_stream_ended(output_mock):
    @output_mock.workflow("a")
    async def a(ctx, input):
        await ctx.wait_for_signal("go")

    requests.post(f"{output_mock.url}/workflow/start", json={"workflowName": "a", "workflowId": "r"})
    output_mock.cut_next_stream(after=99)
    with requests.get(f"{output_mock.url}/workflow/r/history/stream", stream=True) as stream:
        lines = stream.iter_lines()
        assert next(lines) == b"event: workflow"
        output_mock.faults.clear()
        requests.post(f"{output_mock.url}/workflow/r/signal/go")
        assert b"event: done" in lines


def test_passes_for_a_fault_that_was_taken_away(output_mock):
    output_mock.fail_next(503)
    output_mock.faults.clear()


def test_passes_for_a_session_wide_fake(output_mock_factory):
    output_mock_factory().workflow("a").returns(1)


@pytest.mark.output(unused="report")
def test_passes_when_it_is_only_reported(output_mock):
    output_mock.workflow("a").returns(1)


@pytest.mark.output(unused="report", scripts=[SHARED])
def test_reports(output_mock, scripts):
    output_mock.workflow("c").returns(1)
    output_mock.expect_unmatched()
    run(output_mock, "catalog_a", input={"x": 2})
    assert run(output_mock, "a", input={"x": 2}) == 2


@pytest.mark.output(unused="sometimes")
def test_wrong(output_mock):
    pass
