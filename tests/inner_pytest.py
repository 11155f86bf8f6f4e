"""Pytests inside of tests. To load all plugins that are installed takes most of the time of such a pytest."""

from __future__ import annotations

from collections.abc import Mapping


def only_plugins(*modules: str) -> Mapping[str, str]:
    """Environment variables for a pytest that loads the plugins in these modules and no others."""
    return {
        "PYTEST_ADDOPTS": "",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTEST_PLUGINS": ",".join(["pytest_output.plugin", *modules]),
    }
