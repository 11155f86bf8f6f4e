"""Generated clients can read every recorded response and call a fake.

Needs the generators, npm and Java, and Go for one of them; only `pytest -m generators` runs it. The tests
use the oldest and the newest version, because each change between versions shows in one of them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from output_contract.conformity import document_for
from output_mock.contract.versions import NEWEST_VERSION
from tests.docs.pages import page
from tests.generators.answers import Answer, answers, of_each_form

pytestmark = pytest.mark.generators

HERE = Path(__file__).parent
# Packages and compiled Go code stay here for the next session.
KEPT = HERE.parents[1] / "build" / "generators"
PATIENCE = 500.0
GUIDE = page("docs/guides/serve.md").partition("## Generate a client")[2]


def run(*words: str | Path, cwd: Path, **variables: str) -> str:
    """The output of a program, which must succeed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [*map(str, words)],
        cwd=cwd,
        env={**os.environ, "PATH": path, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


class Described(NamedTuple):
    """A version, and a folder with its document and its recorded responses in files."""

    version: str
    root: Path
    recorded: list[Answer]

    @property
    def document(self) -> Path:
        return self.root / "openapi.json"

    @property
    def answers(self) -> Path:
        return self.root / "answers.json"

    def generate(self, generator: str, programs: Path | None = None) -> str:
        """Run the command line of the guide, and return its output."""
        (line,) = re.findall(rf"^{generator} .*$|^openapi-generator-cli .* -g {generator} .*$", GUIDE, re.M)
        program, *words = shlex.split(line)
        return run(programs / program if programs else program, *words, cwd=self.root)


@pytest.fixture(scope="module", params=[NEWEST_VERSION, "0.8.0"], ids="v{}".format)
def described(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Described:
    document = document_for(request.param, request.param)
    recorded = answers(request.param.rpartition(".")[0], document)
    made = Described(request.param, tmp_path_factory.mktemp("described"), recorded)
    made.document.write_text(json.dumps(document.value))
    made.answers.write_text(json.dumps(recorded))
    assert len({one.schema for one in recorded}) > 10
    return made


@pytest.fixture
def url(described: Described) -> Iterator[str]:
    """The URL of a fake of the version."""
    words = ["serve", str(HERE / "project" / "workflows.yaml"), "--port", "0", "--clock", "auto"]
    command = [sys.executable, "-m", "output_mock", *words, "--api-version", described.version]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as served:
        try:
            assert served.stdout
            said = next((line for line in served.stdout if " on http:" in line), "")
            yield re.findall(r"http://[\d.:]+", said)[0]
        finally:
            served.terminate()


@pytest.fixture(scope="module")
def node() -> Path:
    """The folder with the packages for TypeScript."""
    wanted = (HERE / "package.json").read_text()
    done = KEPT / "installed.json"
    if not done.is_file() or done.read_text() != wanted:
        KEPT.mkdir(parents=True, exist_ok=True)
        (KEPT / "package.json").write_text(wanted)
        options = ["--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
        run("npm", "install", *options, cwd=KEPT)
        done.write_text(wanted)
    return KEPT


def test_openapi_python_client(described: Described, url: str) -> None:
    assert "WARNING" not in described.generate("openapi-python-client")
    program = HERE / "project" / "read_back.py"
    assert run(sys.executable, program, "attrs", described.answers, url, cwd=described.root) == ""


def test_datamodel_code_generator(described: Described, url: str) -> None:
    described.generate("datamodel-codegen")
    program = HERE / "project" / "read_back.py"
    assert run(sys.executable, program, "pydantic", described.answers, url, cwd=described.root) == ""


def test_openapi_generator_for_python(described: Described, url: str) -> None:
    described.generate("python")
    program = HERE / "project" / "read_back.py"
    assert (
        run(sys.executable, program, "openapi", described.answers, url, cwd=described.root / "python") == ""
    )


def test_orval_openapi_typescript_and_openapi_generator_for_typescript(
    described: Described, url: str, node: Path
) -> None:
    root = described.root
    (root / "node_modules").symlink_to(node / "node_modules")
    programs = node / "node_modules" / ".bin"
    described.generate("openapi-typescript", programs)
    described.generate("orval", programs)
    described.generate("typescript-fetch")

    # The compiler reports missing and extra keys where a value has a named type.
    lines = ['import type { components } from "./types";', 'import type * as orval from "./orval";']
    for number, (schema, value, _) in enumerate(of_each_form(described.recorded)):
        text = json.dumps(value)
        lines.append(f'export const a{number}: components["schemas"]["{schema}"] = {text};')
        lines.append(f"export const b{number}: orval.{schema} = {text};")
    (root / "answers.ts").write_text("\n".join(lines))
    shutil.copy(HERE / "project" / "check.ts", root)
    options = ["--strict", "--noEmit", "--target", "es2022", "--module", "esnext"]
    options += ["--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable"]
    run(programs / "tsc", *options, "check.ts", "answers.ts", cwd=root)

    bundle = ["--bundle", "--platform=node", "--format=cjs", "--outfile=check.js", "--log-level=warning"]
    run(programs / "esbuild", "check.ts", *bundle, cwd=root)
    assert run("node", "check.js", described.answers, url, cwd=root) == ""


def test_openapi_generator_for_go(described: Described, url: str) -> None:
    described.generate("go")
    root = described.root / "go"
    shutil.rmtree(root / "test")
    # What a user gets with `go mod tidy`. Where no proxy is reached, Debian's package does.
    module = root / "validator"
    packaged = Path("/usr/share/gocode/src/gopkg.in/validator.v2")
    lines = ["module example.com/client", "go 1.23", "require gopkg.in/validator.v2 v2.0.1"]
    if packaged.is_dir():
        shutil.copytree(packaged, module, ignore=shutil.ignore_patterns("*_test.go"))
        (module / "go.mod").write_text("module gopkg.in/validator.v2\n")
        lines.append("replace gopkg.in/validator.v2 => ./validator")
    (root / "go.mod").write_text("\n".join(lines))
    (root / "check").mkdir()
    shutil.copy(HERE / "project" / "main.go", root / "check")
    variables = {"GOFLAGS": "-mod=mod", "GOCACHE": str(KEPT / "go"), "GOTOOLCHAIN": "local"}
    run("go", "build", "./...", cwd=root, **variables)
    assert run("go", "run", "./check", described.answers, url, cwd=root, **variables) == ""
