"""The client: its results, the faults that it survives, and its errors."""

from __future__ import annotations

import pytest
from publishing.client import OutputClient, OutputError, RunFailed, StillRunning, Unavailable

from output_mock import OutputMock, called, started

# The client's own sleeping moves the fake's clock, so that no test waits.
pytestmark = pytest.mark.output(sleep="virtual")


def test_a_report_is_waited_for(output_mock: OutputMock, client: OutputClient) -> None:
    output_mock.workflow("report").takes("45m").returns({"pages": 3})
    client.start("report", {"month": 5}, workflow_id="report-5")
    assert client.wait("report-5", within=3600) == {"pages": 3}


def test_a_failed_report_gives_the_reason(output_mock: OutputMock, client: OutputClient) -> None:
    output_mock.workflow("report").fails("no figures for May")
    client.start("report", {"month": 5}, workflow_id="report-5")
    with pytest.raises(RunFailed, match="report-5 has failed: no figures for May"):
        client.wait("report-5", within=3600)


def test_the_client_gives_up_on_a_report_that_takes_too_long(
    output_mock: OutputMock, client: OutputClient
) -> None:
    output_mock.workflow("report").takes("2h").returns({"pages": 3})
    client.start("report", {"month": 5}, workflow_id="report-5")
    with pytest.raises(StillRunning):
        client.wait("report-5", within=3600)


def test_a_busy_api_is_retried_after_the_requested_delay(
    output_mock: OutputMock, client: OutputClient
) -> None:
    output_mock.workflow("report").returns({"pages": 3})
    output_mock.fail_next(503, times=2, headers={"Retry-After": "7"}, route="start")
    before = output_mock.clock.now()
    client.start("report", {"month": 5}, workflow_id="report-5")
    assert (output_mock.clock.now() - before).total_seconds() == 14
    output_mock.assert_called(started("report", {"month": 5}), times=1)


def test_the_client_gives_up_when_the_api_is_unavailable_for_too_long(
    output_mock: OutputMock, client: OutputClient
) -> None:
    output_mock.drop_next(times=5)
    with pytest.raises(Unavailable):
        client.start("report", {"month": 5}, workflow_id="report-5")
    assert not output_mock.runs


def test_a_start_whose_response_is_lost_does_not_run_twice(
    output_mock: OutputMock, client: OutputClient
) -> None:
    output_mock.workflow("report").returns({"pages": 3})
    output_mock.drop_next(lose="answer", route="start")
    client.start("report", {"month": 5}, workflow_id="report-5")
    assert client.wait("report-5", within=3600) == {"pages": 3}
    assert len(output_mock.calls(route="start")) == len(output_mock.runs) == 1


def test_a_start_whose_response_is_late_does_not_run_twice(
    output_mock: OutputMock, client: OutputClient
) -> None:
    output_mock.workflow("report").returns({"pages": 3})
    output_mock.delay_next("1m", route="start")
    client.start("report", {"month": 5}, workflow_id="report-5")
    output_mock.assert_called_in_order(called("start"), called("status", workflow_id="report-5", status=200))
    assert output_mock.calls(route="start").one().lost


def test_an_unknown_workflow_is_an_error(output_mock: OutputMock, client: OutputClient) -> None:
    output_mock.expect_unmatched(route="start", status=424)
    with pytest.raises(OutputError, match="UnsupportedWorkflowError"):
        client.start("no_such_workflow", {}, workflow_id="report-5")


@pytest.mark.output(auth_token="secret")
def test_the_token_is_sent(output_mock: OutputMock, client: OutputClient) -> None:
    output_mock.workflow("report").returns({"pages": 3})
    client.start("report", {"month": 5}, workflow_id="report-5")
    assert output_mock.calls.one().headers["Authorization"] == "Basic secret"
