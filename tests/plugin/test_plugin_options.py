"""The plugin's marker, its ini options and its command line."""

from __future__ import annotations

import re
import socket
import urllib.error

import pytest

from output_mock import OutputMock
from pytest_output import plugin
from pytest_output.fakes import reachable
from tests.conftest import Suite


def with_ini(pytester: pytest.Pytester, *lines: str) -> None:
    with (pytester.path / "tox.ini").open("a") as file:
        file.write("".join(f"\n{line}" for line in lines))


# The marker


def test_the_marker_configures_the_fake(pytester: pytest.Pytester, suite: Suite) -> None:
    script = "from output_mock import Script\nscript = Script()\nscript.workflow('hello').returns('hi')\n"
    pytester.makepyfile(workflows=script)
    suite(
        """
        import datetime, pytest, requests
        from output_mock import Script

        START = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
        greetings = Script()
        greetings.workflow("bye").returns("bye")

        @pytest.mark.output(
            clock="manual", seed=5, catalog="remote", auth_token="t", scripts=[greetings, "workflows.py"],
            start=START,
            url="https://api.example/v1",
            execution_timeout="2h",
            max_waiting="1m",
            script_limit="3s",
        )
        def test_it(output_mock):
            assert output_mock.clock.mode == "manual"
            assert output_mock.clock.now().year == 2030
            assert output_mock.world.seed == 5
            assert output_mock.url == "https://api.example/v1"
            assert output_mock.world.execution_timeout == 2 * 3600 * 10**9
            assert output_mock.world.watchdog.limit == 3 * 10**9
            headers = {"Authorization": "Basic t"}
            catalog = requests.get("https://api.example/v1/workflow/catalog/remote", headers=headers).json()
            assert [workflow["name"] for workflow in catalog["workflows"]] == ["bye", "hello"]
        """,
    ).assert_outcomes(passed=1)


def test_a_tests_marker_takes_precedence_over_its_classs_and_its_modules(suite: Suite) -> None:
    suite(
        """
        import pytest

        pytestmark = pytest.mark.output(seed=1, catalog="module", clock="manual")

        @pytest.mark.output(seed=2, catalog="class")
        class TestIt:
            @pytest.mark.output(seed=3)
            def test_it(self, output_mock):
                world = output_mock.world
                assert (world.seed, world.default_catalog, world.clock.mode) == (3, "class", "manual")
        """,
    ).assert_outcomes(passed=1)


@pytest.mark.parametrize("test", ["def test_it(output_mock):", "def test_it():"])
def test_an_unknown_argument_is_an_error_that_names_the_test_and_a_suggestion(
    suite: Suite, test: str
) -> None:
    result = suite(f"import pytest\n@pytest.mark.output(clok='manual')\n{test}\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*@pytest.mark.output of test_an_unknown_argument*::test_it: unknown argument 'clok'; "
            "did you mean 'clock'? It takes clock, seed, *"
        ]
    )


def test_a_positional_marker_argument_is_an_error(suite: Suite) -> None:
    code = "import pytest\n@pytest.mark.output('manual')\ndef test_it(output_mock):\n    pass\n"
    result = suite(code)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*give arguments by name, such as clock='manual'*"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("clock='fast'", "clock must be one of real, auto, manual, not 'fast'"),
        ("execution_timeout='soon'", "'soon' is not a duration*"),
        ("scripts=['missing.py']", "*missing.py: there is no such file*"),
        ("scripts='shop.yaml'", "*scripts must be a list, scripts=[[]'shop.yaml'[]], and not one script*"),
        ("url='nowhere'", "'nowhere' is not a base URL; write it like 'http://localhost:3001'"),
        (
            "sleep=[3]",
            "sleep must be 'virtual', 'real', or a list of modules and their names, and 3 is none of these",
        ),
        ("sleep='virtual', clock='real'", "virtual time does not work with a real clock*"),
    ],
)
def test_an_invalid_value_is_an_error_that_names_the_test(suite: Suite, arguments: str, message: str) -> None:
    code = f"import pytest\n@pytest.mark.output({arguments})\ndef test_it(output_mock):\n    pass\n"
    result = suite(code)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*@pytest.mark.output of *::test_it: {message}"])
    assert "Traceback" not in result.stdout.str()


# Ini options


def test_markers_override_ini_options(pytester: pytest.Pytester, suite: Suite) -> None:
    with_ini(
        pytester,
        "output_clock = manual",
        "output_seed = 9",
        "output_catalog = remote",
        "output_auth_token = t0ken",
        "output_scripts = workflows.yaml",
        "output_url = http://localhost:3001",
        "output_execution_timeout = 1h",
        "output_script_limit = 500ms",
    )
    (pytester.path / "workflows.yaml").write_text("workflows:\n  - name: hello\n    returns: hi\n")
    suite(
        """
        import os, pytest

        def test_defaults(output_mock):
            world = output_mock.world
            assert (world.clock.mode, world.seed, world.default_catalog) == ("manual", 9, "remote")
            assert world.execution_timeout == 3600 * 10**9
            assert world.watchdog.limit == 5 * 10**8
            assert os.environ["OUTPUT_API_AUTH_TOKEN"] == "t0ken"
            assert output_mock.url == "http://localhost:3001"
            assert list(world.catalogs["remote"].workflows) == ["hello"]

        @pytest.mark.output(clock="auto", seed=1, scripts=())
        def test_over_them(output_mock):
            assert (output_mock.clock.mode, output_mock.world.seed) == ("auto", 1)
            assert not output_mock.world.catalogs["remote"].workflows

        def test_of_a_factory(output_mock_factory):
            assert output_mock_factory().world.default_catalog == "remote"
        """,
    ).assert_outcomes(passed=3)


def test_strictness_and_virtual_time_can_be_set_for_all_tests(
    pytester: pytest.Pytester, suite: Suite
) -> None:
    with_ini(pytester, "output_strict = false", "output_sleep = virtual")
    suite(
        """
        import requests, time

        def test_it(output_mock):
            requests.get(f"{output_mock.url}/nope")
            before = output_mock.clock.now()
            time.sleep(3600)
            assert (output_mock.clock.now() - before).total_seconds() == 3600
        """,
    ).assert_outcomes(passed=1)


# Seeds

SEED = """
    def test_it(output_mock, record_property):
        print("seed", output_mock.world.seed)
        assert False
"""


def seeds(result: pytest.RunResult) -> set[str]:
    return set(re.findall(r"^seed (\d+)$", result.stdout.str(), re.MULTILINE))


def test_the_seed_is_in_the_failure_report_and_can_be_reused(suite: Suite) -> None:
    result = suite(SEED)
    result.stdout.fnmatch_lines(["clock auto, at 2026-01-01 00:00:00 UTC; seed 0"])
    assert seeds(suite(SEED, "--output-seed=77")) == {"77"}


def test_the_command_lines_seed_takes_precedence_over_markers_and_ini(
    pytester: pytest.Pytester, suite: Suite
) -> None:
    with_ini(pytester, "output_seed = 9")
    code = f"import pytest\npytestmark = pytest.mark.output(seed=4)\n{SEED.replace('    def', 'def', 1)}"
    code = code.replace("        ", "    ")
    assert seeds(suite(code)) == {"4"}
    assert seeds(suite(code, "--output-seed", "77")) == {"77"}


def test_an_invalid_seed_is_refused(suite: Suite) -> None:
    result = suite("def test_it(): pass", "--output-seed=often")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: the seed of fakes must be a whole number, or random, not 'often'"])


# A given server

ELSEWHERE = """
    import os, requests

    def test_the_server(output_url):
        assert os.environ["OUTPUT_API_URL"] == output_url
        token = os.environ.get("OUTPUT_API_AUTH_TOKEN")
        headers = {} if token is None else {"Authorization": f"Basic {token}"}
        assert requests.get(f"{output_url}/workflow/catalog", headers=headers).status_code == 200

    def test_a_script(output_mock):
        assert False

    def test_a_served_script(output_server):
        assert False

    def test_a_factory(output_mock_factory):
        assert False
"""


def test_a_suite_runs_against_a_given_server_and_skips_tests_that_script_a_fake(
    suite: Suite,
) -> None:
    with OutputMock(auth_token="t0ken").serve() as url:
        result = suite(ELSEWHERE, "--output-url", url, "--output-token", "t0ken", "-rs")
    result.assert_outcomes(passed=1, skipped=3)
    result.stdout.fnmatch_lines(
        ["*this test scripts a fake, and with --output-url the tests run against another server"]
    )


def test_without_a_given_server_the_suite_runs_against_a_fake(suite: Suite) -> None:
    suite(ELSEWHERE, "-k", "the_server").assert_outcomes(passed=1, deselected=3)


def test_an_unreachable_server_is_reported_at_once(suite: Suite) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}"
        result = suite(ELSEWHERE, "--output-url", url, "-k", "the_server")
    result.assert_outcomes(errors=1, deselected=3)
    result.stdout.fnmatch_lines([f"*--output-url {url}: GET /health: no server answers there (*"])


def test_a_server_that_is_not_an_output_api_is_reported(suite: Suite) -> None:
    mock = OutputMock()
    mock.fail_next(404)
    with mock.serve() as url:
        result = suite(ELSEWHERE, "--output-url", url, "-k", "the_server")
    result.stdout.fnmatch_lines(["*GET /health: answered 404; is it an Output API?"])


def test_the_connection_to_a_server_that_is_not_an_output_api_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python would close it in some later test, with a warning."""
    closed: list[object] = []
    close = urllib.error.HTTPError.close
    monkeypatch.setattr(
        urllib.error.HTTPError, "close", lambda error: (closed.append(error), close(error)), raising=False
    )
    mock = OutputMock()
    mock.fail_next(404)
    with mock.serve() as url, pytest.raises(pytest.fail.Exception, match="answered 404"):
        reachable(url)
    assert len(closed) == 1
    mock.close()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--output-url", "localhost:3001"),
            "--output-url must be the base URL of a server, http(s)://…, not *",
        ),
        (
            ("--output-token", "t"),
            "--output-token is the token of the server at --output-url; give --output-url as well",
        ),
    ],
)
def test_options_that_are_invalid_are_refused(suite: Suite, arguments: tuple[str, ...], message: str) -> None:
    result = suite("def test_it(): pass", *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {message}"])


def test_a_pytest_that_is_too_old_is_reported_with_the_command(
    monkeypatch: pytest.MonkeyPatch, pytestconfig: pytest.Config
) -> None:
    monkeypatch.setattr(pytest, "version_tuple", (7, 4, 4))
    with pytest.raises(
        pytest.UsageError, match=r"pip install 'output-mock\[pytest\]', or switch the plugin off"
    ):
        plugin.pytest_configure(pytestconfig)


@pytest.mark.usefixtures("suite")
def test_help_and_markers_document_the_plugin(pytester: pytest.Pytester) -> None:
    helped = pytester.runpytest("--help").stdout
    helped.fnmatch_lines(["fakes of the Output API:", "*--output-url=URL*", "*--output-seed=N*"])
    helped.fnmatch_lines(["*output_strict (bool):*"])
    pytester.runpytest("--markers").stdout.fnmatch_lines(["@pytest.mark.output(clock, seed, *"])
    fixtures = pytester.runpytest("--fixtures").stdout
    for name in ("output_mock", "output_server"):
        # In any order: pytest sorts them as text.
        fixtures.re_match_lines_random([f"{name} -- "])


# The cost for a session that does not use the plugin


def test_a_session_that_uses_no_fake_imports_nothing_of_it(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(
        # It may import anything.
        "-p",
        "no:pytest_asyncio.plugin",
        pytester.makepyfile(
            """
            import sys

            def test_it():
                heavy = {"flask", "moto", "boto3", "responses", "werkzeug", "jsonschema", "output_mock"}
                assert not heavy & set(sys.modules)
            """
        ),
    )
    result.assert_outcomes(passed=1)
