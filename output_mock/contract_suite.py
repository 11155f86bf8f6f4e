"""Finds the conformance suite that was installed with this package."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

NAME = "output_contract"


# What the checks import, and what installs it.
_NEEDED = {
    "pytest": "pytest",
    "hypothesis": "hypothesis",
    "referencing": "referencing",
    "xdist": "pytest-xdist",
}


class SuiteError(RuntimeError):
    """The suite cannot be loaded; the message says why, and what to do."""


def folder() -> Path:
    """Where the suite lies: beside this package, or in the checkout that this package is in.

    Raises `SuiteError` when it is in neither place.
    """
    beside = Path(__file__).resolve().parents[1]
    for found in (beside / NAME, beside / "contract_tests" / NAME):
        if (found / "verification.py").is_file():
            return found
    raise SuiteError(f"there is no {NAME} next to {beside / 'output_mock'}; install output-mock again")


def load() -> None:
    """Have `import output_contract` mean the suite, also where a folder or module of that name comes first on
    `sys.path`.

    Raises `SuiteError` when another module of that name has been imported already.
    """
    suite = folder()
    known = sys.modules.get(NAME)
    if known is not None:
        if Path(known.__file__ or "").resolve().parent != suite:
            raise SuiteError(
                f"{known.__file__ or known} has the name of the contract suite, {NAME}, and is imported "
                f"already; rename it, or run the suite from another folder"
            )
        return
    spec = importlib.util.spec_from_file_location(
        NAME, suite / "__init__.py", submodule_search_locations=[str(suite)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[NAME] = module
    spec.loader.exec_module(module)


def load_checks(*, in_parallel: bool = False) -> None:
    """As `load`, for whoever wants the checks, and not only the workflows that they run.

    Raises `SuiteError` also when a package is missing that they need, or need in order to run in parallel.
    """
    lacking = [
        package
        for module, package in _NEEDED.items()
        if (in_parallel or module != "xdist") and importlib.util.find_spec(module) is None
    ]
    if lacking:
        raise SuiteError(f"it needs {', '.join(lacking)}; run: pip install 'output-mock[contract]'")
    load()
