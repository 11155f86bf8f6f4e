"""Sessions for nox: `nox -l` lists them, `nox -s tests-3.13 -- tests/api` runs some tests on one Python.

Each makes an environment of its own. Without nox, docs/contribute/setup.md has the same commands.
"""

from __future__ import annotations

import nox

nox.options.sessions = ["lint", "docs"]
nox.options.reuse_venv = "yes"


@nox.session(python=["3.10", "3.11", "3.12", "3.13", "3.14"])
def tests(session: nox.Session) -> None:
    """The tests, or those that are named after `--`."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Format, lint, types and the layers of imports."""
    session.install("-e", ".[dev]")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")


@nox.session
def docs(session: nox.Session) -> None:
    """The site of the documentation, strictly, with the tables of the reference as the code has them."""
    session.install("-e", ".[dev,docs]")
    session.run("python", "-m", "tests.docs.reference")
    session.run("mkdocs", "build", "--strict", env={"NO_MKDOCS_2_WARNING": "1"})


@nox.session
def package(session: nox.Session) -> None:
    """The sdist and the wheel, checked and tried."""
    session.run("bash", ".ci/package", *session.posargs, external=True)


@nox.session
def everything(session: nox.Session) -> None:
    """All that a pull request has to pass."""
    session.run("bash", ".ci/run", external=True)
