"""User tests whose fake lives longer than a test. Their names say how each must end."""

import pytest
import requests


def start(mock, workflow, **body):
    requests.post(f"{mock.url}/workflow/start", json={"workflowName": workflow, **body})


@pytest.fixture(scope="module")
def shop(output_mock_module_factory):
    mock = output_mock_module_factory()
    mock.workflow("order").when({"n": 1}).returns("ordered")
    return mock


@pytest.fixture(scope="session")
def office(output_mock_factory):
    mock = output_mock_factory(serve=True)

    @mock.workflow("broken")
    async def broken(ctx, input):
        raise TypeError("oh")

    return mock


@pytest.fixture
def farewell(shop):
    yield
    start(shop, "goodbye")


def test_fails_for_an_unknown_workflow_on_a_modules_fake(shop):
    """the fake at http://…, which a factory made: no script matches…#1 POST /workflow/start: …'ordr'"""
    start(shop, "ordr")


def test_passes_after_a_test_that_a_modules_fake_failed(shop):
    start(shop, "order", input={"n": 1})


def test_fails_for_a_script_error_on_a_sessions_fake(office):
    """the fake at http://…, which a factory made: …raised TypeError: oh"""
    start(office, "broken", workflowId="b-1")
    requests.get(f"{office.url}/workflow/b-1/status")
    requests.get(f"{office.url}/workflow/b-1/status")


def test_fails_for_what_a_fixture_does_to_a_modules_fake_in_its_teardown(farewell):
    """…'goodbye'"""


def test_passes_for_what_a_modules_fake_was_told_to_expect(shop):
    shop.expect_unmatched(route="start", workflow="nothing")
    start(shop, "nothing")


@pytest.mark.output(strict=False)
def test_passes_for_a_modules_fake_without_strictness(shop):
    start(shop, "ordr")


@pytest.mark.xfail(strict=True)
def test_xfails_for_an_unknown_workflow_on_a_modules_fake(shop):
    start(shop, "ordr")


def test_failed_before_its_modules_fake_could_complain(shop):
    start(shop, "ordr")
    raise ValueError


def test_failed_without_calls_of_its_modules_fake(shop):
    raise ValueError


def test_passes_after_a_test_that_failed_with_a_modules_fake(shop):
    pass


def test_fails_with_its_module_for_a_run_that_nobody_polled(shop):
    """which a factory made: these runs failed because of a mistake…'order'"""
    start(shop, "order", input={"n": 2})
