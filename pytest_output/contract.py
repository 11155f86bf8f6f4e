"""Loads the contract suite into a session whose command line asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from output_mock.contract_suite import NAME, SuiteError, folder
from output_mock.contract_suite import load as load_suite


def load(config: pytest.Config, args: list[str]) -> None:
    """Load the suite's plugin, so that its options are known, if one of the arguments is the suite.

    Raises `pytest.UsageError` when something else bears its name and cannot be told apart.
    """
    by_name = config.known_args_namespace.pyargs
    if not any((by_name and _is_name(arg)) or _is_path(arg) for arg in args):
        return
    try:
        load_suite()
    except SuiteError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.import_plugin(f"{NAME}.plugin")


def _is_name(arg: str) -> bool:
    return arg.partition("::")[0].partition("[")[0].split(".")[0] == NAME


def _is_path(arg: str) -> bool:
    path = Path(arg.partition("::")[0])
    try:
        return folder() in (resolved := path.resolve(), *resolved.parents)
    except (OSError, SuiteError):
        return False
