"""Runs the suite against a server from a program, and returns the verdict."""

from __future__ import annotations

import json
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import pytest

from output_contract import report_html, report_junit
from output_contract.bounds import MOST_REQUESTS, MOST_SECONDS, Bounds, Ledger, left_open, requests_made
from output_contract.client import end
from output_contract.collector import Collector
from output_contract.detection import detect
from output_contract.server import GONE, PATIENCE, MapError, Server, read_map
from output_contract.target import Target
from output_contract.verdict import Verdict
from output_contract.versions import NEWEST, Judged, known
from output_mock.recording.transport import InProcessTransport, SocketTransport
from output_mock.version import version

# The names of the targets in reports.
IN_PROCESS = "a fake in process"
# Environment variables that change what pytest does.
_SAY_WHAT_TO_DO = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS")
# Characters that a page must not contain.
_NOT_A_PAGE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass
class Wanted:
    """What to check, and how. Without `url` and `target`, it checks a fake in this process."""

    url: str | None = None
    token: str | None = None
    target: Target | None = None
    catalog: str | None = None
    read_only: bool = False
    only: Sequence[str] = ()
    map: Path | None = None
    # The number of processes; None: only this one.
    workers: str | None = None
    examples: int = 25
    # How many seconds a run may take if it does not wait for anything.
    patience: float = PATIENCE
    max_requests: int = MOST_REQUESTS
    # How many of them have been made before.
    made: int = 0
    max_seconds: float = MOST_SECONDS
    strict: bool = False
    # The versions to judge it as; None: detect them.
    api_version: str | None = None
    sdk_version: str | None = None


def verify(
    wanted: Wanted, progress: Callable[[int, int, int, str], object] | None = None, *extra: str
) -> Verdict:
    """Check a server and return the verdict. Calls `progress(done, all, failed, id)` for each test.

    It always ends the runs that it started, even if you press Ctrl-C. The verdict then says that it is
    incomplete.
    """
    began = time.monotonic()
    prefix = f"verify-{secrets.token_hex(4)}"
    collector = Collector(wanted.url or IN_PROCESS, progress)
    verdict = collector.verdict
    verdict.strict, verdict.version, verdict.only = wanted.strict, version(), list(wanted.only)
    verdict.date = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with tempfile.TemporaryDirectory(prefix="output-mock-") as folder:
        plugins = [collector, *([] if wanted.target is None else [wanted.target])]
        try:
            judged = _judged(wanted, prefix, Path(folder))
            arguments = [*_arguments(wanted, judged, prefix, Path(folder)), *extra]
            with _undisturbed():
                status = pytest.main(arguments, plugins)
                # The checking processes received the versions, but not how they were detected.
                verdict.judged = judged
        except KeyboardInterrupt:
            status = pytest.ExitCode.INTERRUPTED
        finally:
            verdict.left_running = _end_what_is_left(wanted, Path(folder))
    if status == pytest.ExitCode.INTERRUPTED:
        verdict.problems.append("it was interrupted; the lines above show what was checked before")
    elif status == pytest.ExitCode.USAGE_ERROR and not verdict.problems:
        verdict.problems.append("the suite could not start, see the lines above")
    elif status == pytest.ExitCode.INTERNAL_ERROR and not verdict.problems:
        verdict.problems.append("the suite itself has failed, see the lines above")
    if any(reason == GONE for reason, _ in verdict.reasons()):
        verdict.problems.append("the server stopped answering while it was checked")
    if any("--max-" in reason for reason, _ in verdict.reasons()):
        verdict.problems.append(
            "the allowed requests or seconds were not enough (--max-requests, --max-seconds)"
        )
    verdict.seconds = time.monotonic() - began
    return verdict


def _judged(wanted: Wanted, prefix: str, ledger: Path) -> Judged:
    """The versions to judge it as. A fake in this process has the newest versions."""
    if wanted.url is None and wanted.target is None:
        api, sdk = wanted.api_version, wanted.sdk_version
        return Judged(
            known(api or NEWEST), known(sdk or NEWEST), *("said" if one else "found" for one in (api, sdk))
        )
    server = _server(wanted)
    server.prefix = f"{prefix}-versions"
    server.catalog, server.read_only, server.patience = wanted.catalog, wanted.read_only, wanted.patience
    with suppress(MapError):
        # The suite reports problems of the file when it starts.
        server.roles = {} if wanted.map is None else read_map(wanted.map)
    server.bounds = Bounds(
        wanted.max_requests - wanted.made, time.time() + wanted.max_seconds, ledger, "versions"
    )
    server.ledger = Ledger(ledger, "versions")
    return detect(server, wanted.api_version, wanted.sdk_version)


def _arguments(wanted: Wanted, judged: Judged, prefix: str, ledger: Path) -> list[str]:
    folder = Path(__file__).parent
    # Each area has its own file. Reading the other files takes longer than checking one area.
    files = {folder / f"test_{one.partition('.')[0]}.py" for one in wanted.only} or {folder}
    arguments = [
        *map(str, sorted(files)),
        f"--rootdir={folder}",
        # Files in the current folder have no effect.
        f"--confcutdir={folder}",
        "-c",
        os.devnull,
        "--import-mode=importlib",
        "--strict-markers",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:terminal",
        "-p",
        "no:unraisableexception",
        "-p",
        "pytest_output.plugin",
        f"--output-prefix={prefix}",
        f"--output-ledger={ledger}",
        f"--output-examples={wanted.examples}",
        f"--output-patience={wanted.patience}",
        f"--output-max-requests={wanted.max_requests - wanted.made - requests_made(ledger)}",
        f"--output-until={time.time() + wanted.max_seconds}",
        f"--output-api-version={judged.api}",
        f"--output-sdk-version={judged.sdk}",
        *(f"--output-only={area}" for area in wanted.only),
    ]
    if wanted.url is not None:
        arguments.append(f"--output-url={wanted.url}")
        if wanted.token is not None:
            arguments.append(f"--output-token={wanted.token}")
    elif wanted.target is None:
        arguments.append("--output-fake")
    if wanted.catalog is not None:
        arguments.append(f"--output-catalog={wanted.catalog}")
    if wanted.read_only:
        arguments.append("--output-read-only")
    if wanted.map is not None:
        arguments.append(f"--output-map={wanted.map.absolute()}")
    if wanted.workers is not None:
        arguments += ["-p", "xdist.plugin", "-n", wanted.workers, "--dist", "worksteal"]
    return arguments


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Keep other installed plugins and environment options from changing the checks."""
    kept = {name: os.environ.get(name) for name in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", *_SAY_WHAT_TO_DO)}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in _SAY_WHAT_TO_DO:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _end_what_is_left(wanted: Wanted, ledger: Path) -> list[str]:
    """End the runs that the checking processes left open. Returns those that could not be ended."""
    if wanted.url is None and wanted.target is None:
        # The fakes ended with their processes.
        return []
    server = _server(wanted)
    server.bounds.requests = wanted.max_requests - wanted.made - requests_made(ledger)
    return end(server, left_open(ledger))


def _server(wanted: Wanted) -> Server:
    if wanted.url is not None:
        return Server(SocketTransport(wanted.url), wanted.token)
    assert wanted.target is not None
    return Server(InProcessTransport(wanted.target.app), wanted.target.token)


def write_reports(verdict: Verdict, folder: Path) -> list[Path]:
    """Write `verdict.json`, `junit.xml` and `report.html` into a folder. Creates the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    written = {
        "report.html": _NOT_A_PAGE.sub("�", report_html.document(verdict)).encode(),
        "verdict.json": f"{json.dumps(verdict.as_json(), indent=2)}\n".encode(),
        "junit.xml": report_junit.document(verdict),
    }
    for name, content in written.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in written]
