"""The client in TypeScript, with the real compiler, vitest, Playwright and a browser.

The project is that of the guide, with additional tests. Needs npm and a package registry, and
Chromium; only `pytest -m node` runs it.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.docs.pages import page

pytestmark = pytest.mark.node

HERE = Path(__file__).parent
# Installed packages stay here for the next session.
INSTALLED = HERE.parents[1] / "build" / "typescript"
PATIENCE = 300.0
# Long enough for a busy machine.
PATIENT = ("--test-timeout", "100000", "--hook-timeout", "100000")

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def packages() -> Path:
    wanted = (HERE / "package.json").read_text()
    done = INSTALLED / "installed.json"
    if not done.is_file() or done.read_text() != wanted:
        INSTALLED.mkdir(parents=True, exist_ok=True)
        (INSTALLED / "package.json").write_text(wanted)
        options = ["--no-audit", "--no-fund", "--no-package-lock"]
        subprocess.run([program("npm"), "install", *options], cwd=INSTALLED, check=True, timeout=PATIENCE)
        done.write_text(wanted)
    return INSTALLED


def program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, f"{name} is not installed"
    return found


@pytest.fixture(scope="module")
def project(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guide's project. Its servers have free ports."""
    root = tmp_path_factory.mktemp("project")
    shutil.copytree(HERE / "project", root, dirs_exist_ok=True)
    shutil.copy(packages / "package.json", root)
    (root / "node_modules").symlink_to(packages / "node_modules")
    told = re.findall(r"^`([\w./-]+)`:\n\n```\w+\n(.*?)^```$", page("docs/guides/typescript.md"), re.S | re.M)
    assert len(told) >= 8
    for name, text in told:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    ports = free_ports(2)
    for file in [*root.glob("*.*"), *root.glob("e2e/*")]:
        file.write_text(file.read_text().replace("3001", ports[0]).replace("5173", ports[1]))
    written = [sys.executable, "-m", "output_mock", "client", "typescript", "tests/output-mock"]
    subprocess.run(written, cwd=root, check=True, timeout=PATIENCE)
    return root


def free_ports(number: int) -> list[str]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [str(one.getsockname()[1]) for one in sockets]


@pytest.fixture
def command(project: Path) -> Command:
    """Run a program of the project's packages, without colours."""

    def run(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("OUTPUT_", "NODE_ENV"))
        }
        path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
        environment = {**kept, "PATH": path, "NO_COLOR": "1", **variables}
        environment.pop("FORCE_COLOR", None)
        programs = project / "node_modules" / ".bin"
        return subprocess.run(
            [str(programs / words[0]), *words[1:]],
            cwd=project,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )

    return run


@pytest.mark.parametrize("options", [(), ("--module", "esnext", "--moduleResolution", "bundler")])
def test_the_compiler_accepts_everything_in_its_strictest_mode(
    command: Command, options: tuple[str, ...]
) -> None:
    done = command("tsc", "--project", ".", *options)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_tests_of_the_guide_and_of_the_client_pass_in_vitest(command: Command) -> None:
    done = command("vitest", "run", "--exclude", "**/failing.test.ts", *PATIENT)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Tests +\d+ passed", done.stdout), done.stdout


def test_a_failed_test_of_vitest_shows_calls_runs_and_timelines(command: Command) -> None:
    done = command("vitest", "run", "failing.test.ts", *PATIENT)
    assert done.returncode == 1
    assert re.search(r"Tests +2 failed \| 1 passed", done.stdout), done.stdout
    told = done.stdout
    assert "output-mock: calls\n#1 POST /workflow/run -> 200" in told
    assert "(report): completed" in told
    assert re.search(r"output-mock: timeline of \S+\nworkflow report .*\n└─ step draft ", told), told
    assert 'workflow is "report"' in told
    # The error is shown in the test, not inside the client.
    assert re.search(r"❯ tests/failing\.test\.ts:\d+:\d+", told)
    assert "outputTest({ strict: false })" in told
    assert "no script foresaw this:\n  #1 POST /workflow/run: " in told


def test_a_server_that_cannot_be_started_is_reported_with_what_to_do(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "node").symlink_to(program("node"))
    done = command("vitest", "run", "failing.test.ts", PATH=str(tmp_path))
    assert done.returncode == 1
    assert "`output-mock serve` cannot be started" in done.stdout
    assert "Put it on the PATH" in done.stdout


def test_the_tests_of_the_guide_and_of_the_fixtures_pass_in_playwright(command: Command) -> None:
    done = command("playwright", "test", "-c", "playwright.here.config.ts", CHROMIUM=program("chromium"))
    assert re.search(r"^  2 failed$", done.stdout, re.MULTILINE), done.stdout
    assert re.search(r"^  6 passed \(", done.stdout, re.MULTILINE), done.stdout
    assert (
        "/stop is refused, as a browser does it: the server's CORS headers allow the methods GET, POST"
        in done.stdout
    )
    seen, missed = done.stdout.partition("\n  1) ")[2].split("\n  2) ")
    assert "attachment #1: output-mock: calls (text/plain)" in seen
    assert "POST /workflow/start -> 200" in seen
    assert "(report): " in seen
    assert "Error: no script foresaw this:\n      #1 POST /workflow/run: " in missed
    assert "test.use({ outputStrict: false })" in missed
