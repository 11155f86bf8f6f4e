"""The plugin's hooks and fixtures.

The fake is imported only when a test asks for one, so that the plugin does not slow down other test sessions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_output import settings

if TYPE_CHECKING:
    from output_mock import OutputMock
    from output_mock.stored_traces import StoredTraces
    from pytest_output.fakes import FakeOfTest, Fakes, Stage

# The fakes of a test.
_FAKES: pytest.StashKey[list[FakeOfTest]] = pytest.StashKey()
# The factories that are open: of the session, and of the module.
_FACTORIES: pytest.StashKey[list[Fakes]] = pytest.StashKey()
# Whether a test has failed already.
_FAILED: pytest.StashKey[bool] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    settings.add_options(parser)


def pytest_load_initial_conftests(early_config: pytest.Config, args: list[str]) -> None:
    """Load the plugin of the contract suite where `pytest --pyargs output_contract` asks for the suite."""
    if any("output_contract" in arg for arg in args):
        from pytest_output.contract import load

        load(early_config, args)


def pytest_configure(config: pytest.Config) -> None:
    if pytest.version_tuple < (8,):
        # Whoever runs this has pytest already; output-mock does not require it.
        raise pytest.UsageError(
            f"output-mock's plugin needs pytest 8 or later, and this is {pytest.__version__}; run: pip "
            f"install 'output-mock[pytest]', or switch the plugin off with -p no:output"
        )
    config.addinivalue_line(
        "markers",
        f"output({', '.join(settings.NAMES)}): configure the fake of the Output API that this test gets from "
        "output_mock or output_server.",
    )
    settings.check_command_line(config)
    worker = getattr(config, "workerinput", None)
    if worker is not None:
        config.stash[settings.SEEDS] = worker["output_seeds"]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """A worker of pytest-xdist gets the seeds of its controller."""
    node.workerinput["output_seeds"] = node.config.stash[settings.SEEDS]


def pytest_report_header(config: pytest.Config) -> str | None:
    given, usual = config.stash[settings.SEEDS]
    if "random" in (config.getini("output_seed"), config.option.output_seed):
        seed = given or usual
        return f"output-mock: seed {seed} (repeat with --output-seed={seed})"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    # A test that is run again has not failed yet.
    item.stash[_FAILED] = False
    settings.check_markers(item)
    for fakes in item.config.stash.get(_FACTORIES, ()):
        fakes.begin_test()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    settings.add_versions(metafunc)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    try:
        yield
    except BaseException:
        item.stash[_FAILED] = True
        raise
    # Before other fixtures are torn down, as scripts may use them.
    fakes = item.stash.get(_FAKES, ())
    for fake in fakes:
        fake.play_what_is_due()
        fake.warn()
    if item.get_closest_marker("xfail") is not None:
        # This may be the failure that the test expects.
        _fail([*(fake.complaint() for fake in fakes), _complaint_of_factories(item)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    # Also after a test that has failed, so that the next one is not blamed.
    complaints = [_complaint_of_factories(item)]
    try:
        yield
    finally:
        complaints.append(_complaint_of_factories(item))
    if not item.stash[_FAILED]:
        _fail(complaints)


def _complaint_of_factories(item: pytest.Item) -> str | None:
    """What no script of the factories' fakes foresaw since the test before, if the test is strict."""
    factories = item.config.stash.get(_FACTORIES, ())
    complaints = [words for fakes in factories if (words := fakes.complaint()) is not None]
    if not complaints or not settings.of_test(item, item.config).strict:
        return None
    return "\n\n".join(complaints)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    if call.excinfo is not None:
        item.stash[_FAILED] = True
    if call.when == "call":
        for fake in item.stash.get(_FAKES, ()):
            report.sections += fake.slept()
    if report.failed:
        for fake in item.stash.get(_FAKES, ()):
            report.sections += fake.sections(None if call.excinfo is None else call.excinfo.value)
        for fakes in item.config.stash.get(_FACTORIES, ()):
            report.sections += fakes.sections()
    if call.when == "teardown" and _FAKES in item.stash:
        del item.stash[_FAKES]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that slept for long, unless pytest has printed that with their failure."""
    option = terminalreporter.config.option
    prints_failures = option.tbstyle not in ("no", "line") and option.showcapture == "all"
    slept = [
        (report.nodeid, text)
        for reports in terminalreporter.stats.values()
        for report in reports
        if not (prints_failures and getattr(report, "failed", False))
        for title, text in getattr(report, "sections", ())
        if title == "output_mock: time slept for real"
    ]
    if slept:
        terminalreporter.section("output-mock: tests that slept in real time")
        for nodeid, text in slept:
            terminalreporter.line(f"{nodeid}: {text}")


@pytest.fixture
def output_mock(request: pytest.FixtureRequest) -> Iterator[OutputMock]:
    """A fresh fake in the same process, for `requests`, `httpx` and `httpx2`, sync, async and streaming.

    `OUTPUT_API_URL` is its URL for the test. `@pytest.mark.output(…)` configures it.
    """
    from pytest_output.fakes import in_process

    yield from _of_test(request, in_process)


@pytest.fixture
def output_server(request: pytest.FixtureRequest) -> Iterator[OutputMock]:
    """A fresh fake on a real socket, for other clients (`aiohttp`, `urllib`) and other processes.

    One server serves the whole session and is wiped for each test. `OUTPUT_API_URL` is its URL for the test.
    `@pytest.mark.output(…)` configures the fake.
    """
    from pytest_output.fakes import staged

    _skip_if_elsewhere(request)
    stage: Stage = request.getfixturevalue("_output_stage")
    yield from _of_test(request, lambda wanted: staged(stage, wanted))


@pytest.fixture
def output_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of the server that `--output-url` names, or else of `output_server`."""
    from pytest_output.fakes import environment, reachable

    url: str | None = request.config.getoption("output_url")
    if url is None:
        yield request.getfixturevalue("output_server").url
        return
    reachable(url)
    with environment(url, request.config.getoption("output_token")):
        yield url.rstrip("/")


@pytest.fixture
def output_traces(request: pytest.FixtureRequest) -> Iterator[StoredTraces]:
    """The traces of the test's fake in a fake S3 (moto): get, put, corrupt and delete them.

    The fake is that of `output_server` for a test that has it, otherwise that of `output_mock`. Needs the
    extra `output-mock[s3]`.
    """
    _skip_if_elsewhere(request)
    from output_mock.stored_traces import stored_in_s3
    from output_mock.traces.s3 import S3Missing, installed

    try:
        installed()
    except S3Missing as error:
        pytest.fail(f"output_traces: {error}", pytrace=False)
    served = "output_server" in request.fixturenames
    mock: OutputMock = request.getfixturevalue("output_server" if served else "output_mock")
    with stored_in_s3(mock) as traces:
        yield traces


@pytest.fixture(scope="session")
def output_mock_factory(request: pytest.FixtureRequest) -> Iterator[Fakes]:
    """Make fakes that live as long as the session: `output_mock_factory(clock="manual", serve=True)`.

    Each has its URL in `.url`.
    """
    yield from _factory(request)


@pytest.fixture(scope="module")
def output_mock_module_factory(request: pytest.FixtureRequest) -> Iterator[Fakes]:
    """Make fakes that live as long as the module: `output_mock_module_factory(clock="manual")`.

    Each has its URL in `.url`.
    """
    yield from _factory(request)


@pytest.fixture
def _output_versions(request: pytest.FixtureRequest) -> object:
    """The versions that the test's fake stands in for, when the test runs against several."""
    return request.param


@pytest.fixture(scope="session")
def _output_stage() -> Iterator[Stage]:
    from pytest_output.fakes import Stage

    with Stage.open() as stage:
        yield stage


def _factory(request: pytest.FixtureRequest) -> Iterator[Fakes]:
    from pytest_output.fakes import Fakes

    _skip_if_elsewhere(request)
    wanted = settings.Settings(settings.of_session(request.config))
    factories = request.config.stash.setdefault(_FACTORIES, [])
    complaint = None
    with Fakes(wanted.options) as fakes:
        factories.append(fakes)
        try:
            yield fakes
            if wanted.strict:
                fakes.play_what_is_due()
                complaint = fakes.complaint()
        finally:
            factories.remove(fakes)
    _fail([complaint])


def _skip_if_elsewhere(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("output_url") is not None:
        pytest.skip("this test scripts a fake, and with --output-url the tests run against another server")


def _of_test(request: pytest.FixtureRequest, place: Any) -> Iterator[OutputMock]:
    """A fake for a test, reached as `place` says, and checked at the end of the test."""
    from output_mock.scripts.file_error import ScriptFileError
    from pytest_output.fakes import FakeOfTest, in_process

    _skip_if_elsewhere(request)
    item: pytest.Item = request.node
    problem: Exception | None = None
    try:
        wanted = settings.of_test(item, request.config)
        placed = place(wanted)
        mock: OutputMock = placed.__enter__()
    except (ValueError, TypeError, RuntimeError, ScriptFileError) as error:
        problem = error
    if problem is not None:
        pytest.fail(f"@pytest.mark.output of {item.nodeid}: {problem}", pytrace=False)
    fake = FakeOfTest(mock, wanted, getattr(item, "function", None), in_process=place is in_process)
    item.stash.setdefault(_FAKES, []).append(fake)
    complaint = None
    try:
        yield mock
        if not item.stash[_FAILED]:
            complaint = fake.complaint()
            if complaint is None:
                # The teardown of other fixtures may have started runs, too.
                fake.play_what_is_due()
                complaint = fake.complaint()
        fake.keep_sections()
    finally:
        placed.__exit__(None, None, None)
    _fail([complaint])


def _fail(complaints: Iterable[str | None]) -> None:
    words = "\n\n".join(words for words in complaints if words)
    if words:
        pytest.fail(words, pytrace=False)
