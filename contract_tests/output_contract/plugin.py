"""The pytest plugin of the suite: options, fixtures, and the outcome of each test.

`pytest_output` loads it if the arguments of pytest name the suite, as `output-mock verify` does.
"""

from __future__ import annotations

import functools
import importlib.util
import secrets
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from output_contract import bounds
from output_contract.checks import AREAS, Check, check_of
from output_contract.client import Client, Deviation, end
from output_contract.collector import JUDGED, PROPERTY, SEEN, Collector
from output_contract.detection import detect
from output_contract.evidence import Evidence, evidence_of, repeated_ids, seen
from output_contract.exchange import RecordedExchange, Secrets, secret_values
from output_contract.preflight import NotChecked, look
from output_contract.server import PATIENCE, MapError, NotApplicable, Role, Server, read_map
from output_contract.target import Target
from output_contract.versions import Judged, known
from output_mock.recording.transport import InProcessTransport, SocketTransport, Transport

if TYPE_CHECKING:
    import hypothesis

# How many requests to report before the one that deviates.
_BEFORE = 8
_EXAMPLE = ("Falsifying example", "Failing test case")
_SERVER: pytest.StashKey[Server] = pytest.StashKey()
_CLIENT: pytest.StashKey[Client] = pytest.StashKey()
_JUDGED: pytest.StashKey[Judged] = pytest.StashKey()
_SECRETS: pytest.StashKey[Secrets] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("output-contract", "the contract of the Output API")
    group.addoption(
        "--output-catalog", metavar="C", help="The catalog to check; the server's own by default."
    )
    group.addoption("--output-read-only", action="store_true", help="Start no run.")
    group.addoption(
        "--output-only", metavar="AREA", action="append", default=[], help="Only an area, or one check."
    )
    group.addoption("--output-map", metavar="FILE", help="Which of the deployment's own workflows do what.")
    group.addoption("--output-api-version", metavar="V", help="The version of the API. Default: detected.")
    group.addoption("--output-sdk-version", metavar="V", help="The version of the SDK that the workers run.")
    group.addoption("--output-fake", action="store_true", help="Check a fake in this process.")
    group.addoption(
        "--output-examples", metavar="N", type=int, default=25, help="How many examples for each property."
    )
    group.addoption(
        "--output-patience",
        metavar="S",
        type=float,
        default=PATIENCE,
        help="How many seconds a run may take.",
    )
    group.addoption("--output-max-requests", metavar="N", type=int, default=bounds.MOST_REQUESTS)
    group.addoption(
        "--output-until",
        metavar="TIME",
        type=float,
        help="Send no request after this time (seconds since 1970).",
    )
    group.addoption("--output-prefix", metavar="TEXT", help="The prefix of the ids of all runs.")
    group.addoption("--output-ledger", metavar="DIR", help="The folder in which to note the started runs.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "contract(id, source, level, api, sdk): what a check of the suite is called and stands on."
    )
    config.addinivalue_line("markers", "contract_case(api): the versions that a case of a check holds for.")
    if importlib.util.find_spec("hypothesis") is None:
        raise pytest.UsageError(
            "the contract suite needs hypothesis, which is not installed; run: pip install "
            "'output-mock[contract]'"
        )
    for area in config.getoption("output_only"):
        if area.partition(".")[0] not in AREAS:
            raise pytest.UsageError(f"there is no area {area!r}; the areas are {', '.join(AREAS)}")
    try:
        for option in ("output_api_version", "output_sdk_version"):
            if (version := config.getoption(option)) is not None:
                known(version)
        config.stash[_SERVER] = server = _server(config)
    except (ValueError, MapError) as error:
        raise pytest.UsageError(str(error)) from None
    inputs = [value for role in server.roles.values() for value in (role.input, role.payload)]
    hidden = tuple(text for value in inputs for text in secret_values(value))
    config.stash[_SECRETS] = Secrets(server.token, hidden)
    if not hasattr(config, "workerinput") and _plugin(config, Collector) is None:
        config.pluginmanager.register(Collector(server.transport.url))


_Plugin = TypeVar("_Plugin")


def _plugin(config: pytest.Config, kind: type[_Plugin]) -> _Plugin | None:
    """The registered plugin of this type, or None."""
    return next((one for one in config.pluginmanager.get_plugins() if isinstance(one, kind)), None)


def _server(config: pytest.Config) -> Server:
    worker = getattr(config, "workerinput", None) or {"workerid": "main", "workercount": 1}
    transport, token = _transport(config)
    prefix = config.getoption("output_prefix") or f"verify-{secrets.token_hex(4)}"
    folder = config.getoption("output_ledger")
    file = config.getoption("output_map")
    roles: dict[str, Role] = {} if file is None else read_map(Path(file))
    return Server(
        transport,
        token,
        config.getoption("output_catalog"),
        roles,
        config.getoption("output_read_only"),
        config.getoption("output_patience"),
        # Each worker may make its share of the requests.
        bounds.Bounds(
            config.getoption("output_max_requests") // worker["workercount"],
            config.getoption("output_until"),
            None if folder is None else Path(folder),
            worker["workerid"],
        ),
        bounds.Ledger(None if folder is None else Path(folder), worker["workerid"]),
        f"{prefix}-{worker['workerid']}",
    )


def _transport(config: pytest.Config) -> tuple[Transport, str | None]:
    target = _plugin(config, Target)
    if target is not None:
        return InProcessTransport(target.app), target.token
    if config.getoption("output_fake"):
        return fake_of_this_process(
            config.getoption("output_api_version"), config.getoption("output_sdk_version")
        )
    url = config.getoption("output_url", None)
    if url is None:
        raise pytest.UsageError(
            "the contract suite needs a server: name it with --output-url URL, or check a fake in this "
            "process with --output-fake"
        )
    return SocketTransport(url), config.getoption("output_token", None)


def fake_of_this_process(api_version: str | None, sdk_version: str | None) -> tuple[Transport, str]:
    """A fresh fake with the pack, on a real clock, that requires a token; and the token."""
    from output_contract.pack import script
    from output_mock import OutputMock

    token = secrets.token_hex(16)
    mock = OutputMock(
        "real",
        seed=secrets.randbelow(10**6),
        auth_token=token,
        scripts=[script],
        api_version=api_version,
        sdk_version=sdk_version,
    )
    return InProcessTransport(mock.app), token


# --- which tests ------------------------------------------------------------------------------------------


_FOLDER = Path(__file__).resolve().parent


@functools.cache
def _is_of_the_suite(file: Path) -> bool:
    return file.resolve().parent == _FOLDER


def _checks(items: list[pytest.Item]) -> list[tuple[pytest.Item, Check]]:
    """The tests of the suite. Other tests may run in the same session."""
    found = []
    for item in items:
        if _is_of_the_suite(item.path):
            check = check_of(item)
            if check is None or check.area not in AREAS:
                raise pytest.UsageError(
                    f"{item.nodeid}: a test of the suite says what it checks, with @check"
                )
            found.append((item, check))
    return found


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not read the files of other areas than the requested ones. It takes longer than many checks."""
    areas = {one.partition(".")[0] for one in config.getoption("output_only")}
    area = collection_path.stem.removeprefix("test_")
    is_other = areas and area in AREAS and area not in areas
    return True if is_other and _is_of_the_suite(collection_path) else None


def _is(check: Check, wanted: str) -> bool:
    """Whether a check is the requested one, one of its cases, or a check of the requested area."""
    return wanted in (check.area, check.id, check.id.partition("[")[0])


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only: list[str] = config.getoption("output_only")
    checks = _checks(items)
    for one in only:
        if checks and not any(_is(check, one) for _, check in checks):
            raise pytest.UsageError(f"there is no check {one!r}; verdict.json has the ids of all")
    left_out = [item for item, check in checks if only and not any(_is(check, one) for one in only)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


# --- fixtures ---------------------------------------------------------------------------------------------


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[Client]:
    """The client of a test. It ends the runs that it started after the test."""
    client = Client(request.config.stash[_SERVER])
    request.node.stash[_CLIENT] = client
    yield client
    client.end_runs()


@pytest.fixture
def examples(request: pytest.FixtureRequest) -> hypothesis.settings:
    """Hypothesis settings: the same examples each time, and a limited number."""
    from hypothesis import HealthCheck, Phase, settings

    return settings(
        max_examples=request.config.getoption("output_examples"),
        deadline=None,
        derandomize=True,
        database=None,
        # No shrinking, because each step would need another request.
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )


# --- versions ---------------------------------------------------------------------------------------------


def judged(config: pytest.Config) -> Judged:
    """The versions that this session judges the server as. Detected on first use."""
    known = config.stash.get(_JUDGED, None)
    if known is None:
        api, sdk = config.getoption("output_api_version"), config.getoption("output_sdk_version")
        server = config.stash[_SERVER]
        known = config.stash[_JUDGED] = server.judged = detect(server, api, sdk)
    return known


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    check = check_of(item) if _is_of_the_suite(item.path) else None
    if check is None:
        return
    versions = judged(item.config)
    reason = check.excluded(versions.api, versions.sdk)
    if reason is not None:
        raise NotApplicable(reason)


# --- outcomes ----------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Fail a test that reached its end if earlier answers had problems."""
    yield
    client = item.stash.get(_CLIENT, None)
    if client is not None and client.noted:
        raise client.noted[0]


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    outcome: Any = yield
    report: pytest.TestReport = outcome.get_result()
    check = check_of(item) if _is_of_the_suite(item.path) else None
    if check is None:
        return
    if report.when == "call" or report.outcome != "passed":
        noted = _noted(item, check, call, report)
        client = item.stash.get(_CLIENT, None)
        properties = {
            PROPERTY: noted,
            SEEN: dict(seen(() if client is None else client.exchanges)),
            JUDGED: asdict(judged(item.config)),
        }
        report.user_properties.extend(properties.items())
        if report.outcome == "failed" and not _can_be_told(report):
            report.longrepr = noted["failure"]["expected"]


def _can_be_told(report: pytest.TestReport) -> bool:
    """Whether pytest's report of a failure can be written, and sent to the reporting process."""
    try:
        str(report.longrepr).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _noted(
    item: pytest.Item, check: Check, call: pytest.CallInfo[None], report: pytest.TestReport
) -> dict[str, Any]:
    """The outcome of a test for the verdict, as JSON values."""
    client = item.stash.get(_CLIENT, None)
    exchanges = [] if client is None else client.exchanges
    noted: dict[str, Any] = {
        "id": check.id,
        "level": check.level,
        "source": check.source,
        "status": {"passed": "passed", "skipped": "not_checked"}.get(report.outcome, "failed"),
        "seconds": round(report.duration, 3),
        "requests": len(exchanges),
    }
    secrets = item.config.stash[_SECRETS]
    if report.outcome == "skipped":
        assert call.excinfo is not None
        if isinstance(call.excinfo.value, NotApplicable):
            noted["status"] = "not_applicable"
        noted["reason"] = secrets.hidden(str(call.excinfo.value))
    elif report.outcome == "failed":
        assert call.excinfo is not None
        noted["failure"] = _failure(item, call.excinfo.value, client)
    return noted


def _failure(item: pytest.Item, error: BaseException, client: Client | None) -> dict[str, Any]:
    exchanges = [] if client is None else client.exchanges
    secrets = item.config.stash[_SECRETS]
    # Several examples of a property may fail, for different reasons.
    while isinstance(getattr(error, "exceptions", None), tuple):
        error = error.exceptions[0]  # type: ignore[attr-defined]
    if isinstance(error, AssertionError):
        words = str(error)
    else:
        words = f"the answer does not have the form that the check expects ({type(error).__name__}: {error})"
    # Hypothesis names the example that failed.
    notes = [
        note for note in getattr(error, "__notes__", ()) if note.startswith(_EXAMPLE) and "<" not in note
    ]
    failure: dict[str, Any] = {
        "test": item.name.partition("[")[0].removeprefix("test_").replace("_", " "),
        "expected": secrets.hidden("\n".join([words, *notes]))[:4000],
    }
    exchange = error.exchange if isinstance(error, Deviation) else next(reversed(exchanges), None)
    failure["evidence"] = [
        [one.kind, secrets.hidden(one.detail)] for one in _evidence(error, exchange, client)
    ]
    if exchange is not None:
        base = item.config.stash[_SERVER].transport.url
        failure["curl"] = secrets.curl(base, exchange)
        failure["answer"] = secrets.answer(exchange)
        at = next(number for number, one in enumerate(exchanges) if one is exchange)
        failure["before"] = [
            secrets.hidden(f"{one.method} {one.path[:120]} {one.status or 'without an answer'}")
            for one in exchanges[max(0, at - _BEFORE) : at]
        ]
    return failure


def _evidence(
    error: BaseException, exchange: RecordedExchange | None, client: Client | None
) -> list[Evidence]:
    """The evidence in the exchange that failed a test, or else in its earlier exchanges with problems."""
    if isinstance(error, Deviation):
        return evidence_of(error.exchange, error.problems)
    found = [] if exchange is None else evidence_of(exchange)
    if client is not None:
        for noted in client.noted:
            found += evidence_of(noted.exchange, noted.problems)
        found += repeated_ids(client.exchanges)
    return found


def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse to start if there is no Output API.

    Skip this with ledgers, whose owner has checked it already, and in workers of pytest-xdist, which start
    after their controller.
    """
    config = session.config
    server = config.stash[_SERVER]
    seen_to = hasattr(config, "workerinput") or config.getoption("output_ledger") is not None
    if seen_to or not isinstance(server.transport, SocketTransport):
        return
    try:
        look(server, "--output-token")
    except NotChecked as problem:
        raise pytest.UsageError(f"{problem} (--output-url)") from None


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Try once more to end the runs that tests left open.

    If there is a folder of ledgers, its owner does this for all processes at once.
    """
    server = session.config.stash.get(_SERVER, None)
    if server is not None and session.config.getoption("output_ledger") is None:
        server.found.pop("does not end runs", None)
        end(server, server.ledger.open)
    collector = _plugin(session.config, Collector)
    if collector is not None and session.exitstatus == pytest.ExitCode.OK and not _checked(collector):
        # If the checks could not run, the exit status must not look like a server that conforms.
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED


def _checked(collector: Collector) -> bool:
    counts = collector.verdict.counts()
    return counts["passed"] + counts["failed"] > 0


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Add the results by area to pytest's own report."""
    from output_contract import report_text

    collector = _plugin(config, Collector)
    if collector is not None and not _checked(collector):
        terminalreporter.section("the contract of the Output API")
        terminalreporter.write_line(f"nothing was checked about {collector.verdict.url}")
    elif collector is not None:
        terminalreporter.section("the contract of the Output API")
        for line in report_text.table(collector.verdict):
            terminalreporter.write_line(line)
