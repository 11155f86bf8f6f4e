"""What the report of a test says about requests that workflows send."""

from __future__ import annotations

from tests.conftest import Suite

CODE = """
import requests

URL = "https://app.example/review"


def run(fake):
    requests.post(f"{fake.url}/workflow/run", json={"workflowName": "ask", "input": "a"}, timeout=5)


def application(environ, start_response):
    raise ValueError("no room")


def test_what_the_application_raises_is_in_the_report(output_mock):
    output_mock.workflow("ask").calls_back(URL)
    output_mock.application("https://app.example", application)
    run(output_mock)
    assert not "that is all"


def test_a_request_that_went_nowhere_fails_a_test(output_mock):
    output_mock.workflow("ask").calls_back("https://app.example/reveiw")
    output_mock.application(URL, application)
    run(output_mock)


def test_an_answer_that_was_never_sent_fails_a_test(output_mock):
    output_mock.workflow("ask").calls_back(URL)
    output_mock.callbacks.respond(URL, times=2, status=500)
    output_mock.callbacks.drop_next(url="https://other.example/*")
    run(output_mock)
"""


def test_the_report_shows_requests_and_unused_responses(suite: Suite) -> None:
    result = suite(CODE, "-p", "no:randomly")
    result.assert_outcomes(passed=2, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        [
            "*these requests of workflows went nowhere:",
            "*nothing is at https://app.example/reveiw; the nearest is https://app.example/review*",
            "*the answer 500 to https://app.example/review was sent 1 of 2 times (*, line 29)*",
            "*that loses its request never came (*, line 30)*",
            "*output_mock: callbacks*",
            "#1 *: POST https://app.example/review -> ValueError: no room",
            "*raise ValueError(*",
        ]
    )
