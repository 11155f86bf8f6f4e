"""The plugin's fixtures, as a client's test suite uses them."""

from __future__ import annotations

import os
from typing import Any

import pytest

from output_mock import OutputMock
from pytest_output.fakes import Fakes
from tests.conftest import Suite


def test_requests_reach_the_fake_without_a_socket(suite: Suite) -> None:
    suite(
        """
        import requests, socket

        def test_it(output_mock, monkeypatch):
            monkeypatch.setattr(socket, "socket", None)
            output_mock.workflow("summarize_url").returns({"summary": "short"})
            body = {"workflowName": "summarize_url", "input": {"url": "https://a.example"}}
            answer = requests.post(f"{output_mock.url}/workflow/run", json=body)
            assert answer.json()["output"] == {"summary": "short"}
        """
    ).assert_outcomes(passed=1)


def test_each_test_has_a_fresh_fake_and_its_url_in_the_environment(suite: Suite) -> None:
    suite(
        """
        import os, requests

        def test_one(output_mock):
            assert os.environ["OUTPUT_API_URL"] == output_mock.url
            assert "OUTPUT_API_AUTH_TOKEN" not in os.environ
            output_mock.workflow("report").returns(1)
            requests.post(os.environ["OUTPUT_API_URL"] + "/workflow/run", json={"workflowName": "report"})
            assert len(output_mock.calls) == len(output_mock.runs) == 1

        def test_two(output_mock):
            assert not output_mock.calls
            assert not output_mock.runs
            assert requests.get(f"{output_mock.url}/workflow/catalog").json()["workflows"] == []

        def test_three():
            assert "OUTPUT_API_URL" not in os.environ
        """
    ).assert_outcomes(passed=3)


@pytest.mark.parametrize("fixture", ["output_mock", "output_server"])
def test_the_environment_is_restored(suite: Suite, monkeypatch: pytest.MonkeyPatch, fixture: str) -> None:
    monkeypatch.setenv("OUTPUT_API_URL", "http://before.example")
    monkeypatch.delenv("OUTPUT_API_AUTH_TOKEN", raising=False)
    suite(
        f"""
        import os, pytest

        @pytest.mark.output(auth_token="s3cret")
        def test_it({fixture}):
            assert os.environ["OUTPUT_API_URL"] == {fixture}.url
            assert os.environ["OUTPUT_API_AUTH_TOKEN"] == "s3cret"
            raise SystemExit
        """
    ).assert_outcomes(failed=1)
    assert os.environ["OUTPUT_API_URL"] == "http://before.example"
    assert "OUTPUT_API_AUTH_TOKEN" not in os.environ


def test_a_server_is_reachable_from_other_processes_and_starts_once(suite: Suite) -> None:
    suite(
        """
        import os, subprocess, sys, threading, urllib.request

        urls = set()
        CLIENT = "import os, urllib.request; urllib.request.urlopen(os.environ['OUTPUT_API_URL'] + '/health')"

        def test_one(output_server):
            urls.add(output_server.url)
            subprocess.run([sys.executable, "-c", CLIENT], check=True)
            assert output_server.calls.one().route == "health"

        def test_two(output_server):
            urls.add(output_server.url)
            assert not output_server.calls
            with urllib.request.urlopen(f"{output_server.url}/ready") as answer:
                assert answer.status == 200
            assert len(urls) == 1
        """
    ).assert_outcomes(passed=2)


def test_the_fake_is_empty_after_the_test(suite: Suite) -> None:
    suite(
        """
        import json, pytest, urllib.request

        @pytest.mark.output(unused="report")
        def test_one(output_server):
            global url
            url = output_server.url
            output_server.workflow("report").returns(1)

        def test_two():
            with urllib.request.urlopen(f"{url}/workflow/catalog") as answer:
                assert json.load(answer)["workflows"] == []
        """
    ).assert_outcomes(passed=2)


def test_an_open_stream_ends_with_its_test(suite: Suite) -> None:
    result = suite(
        """
        import threading, urllib.request

        ended = threading.Event()

        def test_one(output_server):
            @output_server.workflow("waits")
            async def waits(ctx, input):
                await ctx.wait_for_signal("never")

            output_server.begin_with("waits", workflow_id="w")

            def read():
                with urllib.request.urlopen(f"{output_server.url}/workflow/w/history/stream") as stream:
                    began.set()
                    stream.read()
                ended.set()

            began = threading.Event()
            threading.Thread(target=read, daemon=True).start()
            assert began.wait(10)

        def test_two(output_server):
            assert ended.wait(10)
        """
    )
    result.assert_outcomes(passed=2)


def test_session_and_module_fakes_live_as_long_as_their_scope(suite: Suite) -> None:
    suite(
        """
        import pytest, requests

        @pytest.fixture(scope="session")
        def shop(output_mock_factory):
            mock = output_mock_factory(clock="manual", seed=3)
            mock.workflow("order").returns("ordered")
            return mock

        @pytest.fixture(scope="module")
        def served(output_mock_module_factory):
            return output_mock_module_factory(serve=True)

        def test_one(shop, served, output_mock):
            assert len({shop.url, served.url, output_mock.url}) == 3
            assert shop.clock.mode == "manual"
            requests.post(f"{shop.url}/workflow/start", json={"workflowName": "order"})
            requests.get(f"{served.url}/health")
            requests.get(f"{output_mock.url}/ready")
            assert output_mock.calls.one().route == "ready"

        def test_two(shop, served):
            assert shop.calls.one().route == "start"
            assert served.calls.one().route == "health"
        """
    ).assert_outcomes(passed=2)


def test_a_fake_of_a_factory_can_have_its_own_url(output_mock_module_factory: Fakes) -> None:
    mock = output_mock_module_factory(url="https://output.example/api")
    assert mock.url == "https://output.example/api"
    with pytest.raises(TypeError, match="clok"):
        output_mock_module_factory(clok="manual")


def test_the_two_fixtures_are_separate_fakes(output_mock: OutputMock, output_server: OutputMock) -> None:
    assert output_mock is not output_server
    assert output_mock.url != output_server.url


def test_the_environment_has_the_url_of_the_last_requested_fixture(
    output_mock: OutputMock, output_server: OutputMock
) -> None:
    assert os.environ["OUTPUT_API_URL"] == output_server.url


def test_output_url_is_that_of_a_fresh_fake_when_no_server_is_given(output_url: str, request: Any) -> None:
    assert output_url == request.getfixturevalue("output_server").url == os.environ["OUTPUT_API_URL"]
