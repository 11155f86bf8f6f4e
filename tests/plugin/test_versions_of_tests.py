"""Tests that run against servers and workers of several versions."""

from __future__ import annotations

import pytest

_TEST = """
    import pytest, requests

    @pytest.mark.output({settings})
    def test_result({fixture}):
        {fixture}.workflow("sum").returns(3)
        answer = requests.post({fixture}.url + "/workflow/run", json={{"workflowName": "sum"}}).json()
        print("seen", {fixture}.world.deployment, answer.get("output", "lost"), answer.get("v"))
"""


@pytest.mark.parametrize("fixture", ["output_mock", "output_server"])
def test_all_runs_a_test_against_each_known_version(pytester: pytest.Pytester, fixture: str) -> None:
    pytester.makepyfile(_TEST.format(settings='api_version="all"', fixture=fixture))
    result = pytester.runpytest("-v", "-s", "-p", "no:pytest_asyncio.plugin")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "*test_result?API 0.11.0?*seen <API 0.11.0, SDK 0.11.0> 3 2*",
            "*test_result?API 0.10.0?*seen <API 0.10.0, SDK 0.10.0> 3 None*",
            "*test_result?API 0.9.2?*seen <API 0.9.2, SDK 0.9.2> 3 None*",
            "*test_result?API 0.8.0?*seen <API 0.8.0, SDK 0.8.0> 3 None*",
        ]
    )


def test_both_axes_together_make_every_pair(pytester: pytest.Pytester) -> None:
    settings = 'api_version="all", sdk_version="all"'
    pytester.makepyfile(_TEST.format(settings=settings, fixture="output_mock"))
    result = pytester.runpytest("-v", "-s", "-p", "no:pytest_asyncio.plugin")
    # A server from 0.9.2 on finds no workflow of a 0.8 worker. The fake reports that at teardown.
    result.assert_outcomes(passed=16, errors=3)
    result.stdout.fnmatch_lines(["*a server of 0.9.2 finds no workflows of workers of 0.8.0*"])
    result.stdout.fnmatch_lines(["*API 0.10.0,SDK 0.11.0*seen <API 0.10.0, SDK 0.11.0> lost None*"])


def test_a_marker_takes_precedence_over_the_ini_file_and_reaches_fakes_of_a_factory(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\noutput_api_version = 0.9\n")
    pytester.makepyfile(
        """
        import pytest

        def test_ini(output_mock, output_mock_factory):
            assert output_mock.world.deployment.api == "0.9.2"
            assert output_mock_factory().world.deployment.sdk == "0.9.2"

        @pytest.mark.output(api_version="0.10", sdk_version="0.11")
        def test_marker(output_mock):
            assert repr(output_mock.world.deployment) == "<API 0.10.0, SDK 0.11.0>"
        """
    )
    pytester.runpytest("-p", "no:pytest_asyncio.plugin").assert_outcomes(passed=2)


def test_the_version_all_in_the_ini_file_leaves_factory_fakes_at_the_newest(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\noutput_api_version = all\n")
    pytester.makepyfile(
        """
        def test_ini(output_mock, output_mock_factory):
            assert output_mock_factory().world.deployment.is_newest

        def test_without_a_fake():
            pass
        """
    )
    pytester.runpytest("-p", "no:pytest_asyncio.plugin").assert_outcomes(passed=4 + 1)


def test_the_report_of_a_failing_test_names_an_older_version(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.output(api_version="0.10", sdk_version="0.9")
        def test_older(output_mock):
            assert False
        """
    )
    result = pytester.runpytest("-p", "no:pytest_asyncio.plugin")
    result.stdout.fnmatch_lines(["clock auto, *; seed 0; API 0.10.0, workers of SDK 0.9.2"])


def test_an_unknown_version_fails_the_test_and_names_the_known_ones(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(_TEST.format(settings='api_version="0.7"', fixture="output_mock"))
    result = pytester.runpytest("-p", "no:pytest_asyncio.plugin")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*version '0.7' of the server (API) is unknown; known are 0.11.0, 0.10.0*"])
