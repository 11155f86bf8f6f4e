"""What the report of a failing test says about its fake, and what fails a strict test."""

from __future__ import annotations

import pytest

from output_mock import OutputMock
from output_mock.report import calls
from tests.conftest import Suite


@pytest.mark.parametrize("arguments", [(), ("-p", "xdist.plugin", "-n", "1")])
def test_a_failing_test_shows_the_calls_and_the_progress_of_the_runs(
    suite: Suite, arguments: tuple[str, ...]
) -> None:
    result = suite(
        """
        import requests

        def test_it(output_mock):
            @output_mock.workflow("review")
            async def review(ctx, input):
                await ctx.step("draft", returns="text", takes="10m")
                await ctx.wait_for_signal("approve", timeout="20h")

            output_mock.workflow("report").fails("no data")
            url = output_mock.url
            started = {"workflowName": "review", "workflowId": "r-1", "input": {"topic": "bees"}}
            requests.post(f"{url}/workflow/start", json=started)
            for _ in range(3):
                requests.get(f"{url}/workflow/r-1/status")
            requests.post(f"{url}/workflow/run", json={"workflowName": "report", "workflowId": "q-1"})
            output_mock.clock.advance("2h")
            output_mock.fail_next(503, times=2, route="signal")
            assert not output_mock.runs["r-1"].status
        """,
        *arguments,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- output_mock: calls -*",
            "[#]1 POST /workflow/start -> 200  {*bees*}",
            "[#]2 GET /workflow/r-1/status -> 200  (3 times, up to [#]4)",
            "[#]5 POST /workflow/run -> 200  *",
            "active fault: answer 503 for route signal (2 of 2 left)",
            "*- output_mock: runs -*",
            "r-1 (review): waiting for signal 'approve' since 2h, virtual; it times out in 18h",
            "q-1 (report): failed: no data",
            "clock auto, at 2026-01-01 02:10:00 UTC; seed 0",
        ]
    )


@pytest.mark.parametrize("kind", ["feedback", "signal/approve", "query/state", "update/edit"])
def test_a_message_with_a_misplaced_payload_is_explained(mock: OutputMock, kind: str) -> None:
    client = mock.app.test_client()
    for body in ({"approved": True}, {"payload": {"approved": True}}, {}):
        client.post(f"/workflow/w-1/{kind}", json=body)
    first, told, second, third = calls(mock).splitlines()
    assert "the body has no 'payload', so the workflow gets undefined" in told
    assert all(line.startswith("#") for line in (first, second, third))


def test_a_passing_test_shows_nothing(suite: Suite) -> None:
    result = suite("def test_it(output_mock): pass", "-rA")
    result.stdout.no_fnmatch_line("*output_mock: calls*")


def test_a_teardown_failure_of_another_fixture_shows_them_too(suite: Suite) -> None:
    result = suite(
        """
        import pytest, requests

        @pytest.fixture
        def client(output_mock):
            yield
            requests.get(f"{output_mock.url}/health")
            assert False

        def test_it(client): pass
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*- output_mock: calls -*", "[#]1 GET /health -> 200"])


def test_the_report_shows_both_fakes_of_a_test(suite: Suite) -> None:
    result = suite("def test_it(output_mock, output_server): assert False")
    assert result.stdout.str().count("output_mock: calls") == 2


# Strictness

UNFORESEEN = {
    "an unknown workflow": (
        "post", "/workflow/run", '{"workflowName": "sumarize"}',
        "POST /workflow/run: no workflow 'sumarize' in catalog 'main'; did you mean 'summarize'?",
    ),
    "an input that no when fits": (
        "post", "/workflow/run", '{"workflowName": "summarize", "input": {"url": "b"}}',
        "POST /workflow/run: *no answer for the input {*}; the nearest is when(*): "
        'input.url is "b", not "a"',
    ),
    "an unknown route": (
        "post", "/workflow/strat", "{}",
        "POST /workflow/strat: there is no POST /workflow/strat; the nearest is POST /workflow/start",
    ),
    "a wrong method": (
        "post", "/workflow/x/stop", "{}",
        "POST /workflow/x/stop: there is no POST /workflow/x/stop; the nearest is PATCH /workflow/{id}/stop",
    ),
    "a wrong body": (
        "post", "/workflow/start", '{"workflow_name": "summarize"}',
        "POST /workflow/start: the request is not valid: workflowName: *'workflow_name' is ignored; "
        "did you mean 'workflowName'? (the body is *)",
    ),
    "an unknown catalog": (
        "post", "/workflow/run", '{"workflowName": "summarize", "catalog": "mian"}',
        "POST /workflow/run: no catalog 'mian'; did you mean 'main'?",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "words"), UNFORESEEN.values(), ids=UNFORESEEN)
def test_a_call_that_no_script_matches_fails_the_test_and_names_the_nearest_one(
    suite: Suite, method: str, path: str, body: str, words: str
) -> None:
    result = suite(
        f"""
        import requests

        def test_it(output_mock):
            output_mock.workflow("summarize").when({{"url": "a"}}).returns(1)
            answer = requests.{method}(f"{{output_mock.url}}{path}", json={body})
            assert answer.headers["Output-Mock-Unmatched"] in output_mock.calls[0].unmatched_reason
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    pattern = words.replace("[", "[[]").replace("?", "[?]")
    result.stdout.fnmatch_lines(["no script matches these requests:", f"  [#]1 {pattern}"])
    result.stdout.fnmatch_lines(
        ["correct the script. If the test expects this, call output_mock.expect_unmatched(status=…)*"]
    )


def test_a_call_that_the_test_expects_does_not_fail_it(suite: Suite) -> None:
    suite(
        """
        import pytest, requests

        def test_before(output_mock):
            output_mock.expect_unmatched(status=424)
            requests.post(f"{output_mock.url}/workflow/run", json={"workflowName": "x"})

        def test_afterwards(output_mock):
            requests.post(f"{output_mock.url}/workflow/run", json={"workflowName": "x"})
            output_mock.expect_unmatched(workflow="x")

        def test_all_of_them(output_mock):
            output_mock.expect_unmatched()
            requests.get(f"{output_mock.url}/nope")

        @pytest.mark.output(strict=False)
        def test_not_strict(output_mock):
            requests.get(f"{output_mock.url}/nope")
        """
    ).assert_outcomes(passed=4)


def test_an_expectation_does_not_cover_other_calls(suite: Suite) -> None:
    result = suite(
        """
        import requests

        def test_it(output_mock):
            output_mock.expect_unmatched(status=424)
            requests.post(f"{output_mock.url}/workflow/run", json={"workflowName": "x"})
            requests.get(f"{output_mock.url}/nope")
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.no_fnmatch_line("  [#]1 *")
    result.stdout.fnmatch_lines(["  [#]2 GET /nope: *"])


def test_a_script_error_fails_the_test_even_without_a_failed_call(suite: Suite) -> None:
    result = suite(
        """
        def test_it(output_mock):
            @output_mock.workflow("broken")
            async def broken(ctx, input):
                return input["missing"]

            output_mock.begin_with("broken", {})
            output_mock.clock.advance("1s")
        """
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["  the script of workflow 'broken' raised KeyError: 'missing' (*, line 4)"])


def test_a_rerun_test_is_strict_again(pytester: pytest.Pytester, suite: Suite) -> None:
    pytester.makeconftest(
        """
        from _pytest.runner import runtestprotocol

        def pytest_runtest_protocol(item, nextitem):
            for _ in range(2):
                for report in runtestprotocol(item, nextitem=nextitem, log=False):
                    item.ihook.pytest_runtest_logreport(report=report)
            return True
        """
    )
    suite(
        """
        import requests

        runs = []

        def test_it(output_mock):
            requests.get(f"{output_mock.url}/nope")
            runs.append(1)
            assert len(runs) > 1
        """
    ).assert_outcomes(failed=1, passed=1, errors=1)


def test_a_failed_test_fails_only_once(suite: Suite) -> None:
    result = suite(
        """
        import requests

        def test_it(output_mock):
            requests.get(f"{output_mock.url}/nope")
            assert False, "the client did not cope"
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*the client did not cope", "*there is no GET /nope; *"])


def test_usual_errors_of_the_api_do_not_fail_a_test(suite: Suite) -> None:
    suite(
        """
        import requests

        def test_it(output_mock):
            output_mock.workflow("report").takes("1h").returns(1)
            url = output_mock.url
            assert requests.get(f"{url}/workflow/unknown/status").status_code == 404
            body = {"workflowName": "report", "workflowId": "r"}
            requests.post(f"{url}/workflow/start", json=body)
            assert requests.get(f"{url}/workflow/r/result").status_code == 424
            assert requests.post(f"{url}/workflow/start", json=body).status_code == 500
            output_mock.fail_next(500)
            assert requests.get(f"{url}/workflow/r/status").status_code == 500
        """
    ).assert_outcomes(passed=1)
