"""The client of the control plane in TypeScript, with fixtures for vitest and Playwright.

Types and methods are made of the control plane's own OpenAPI document, and the types of scripts of the JSON
Schema of YAML scripts. So the client of an installed output-mock has all that its server has.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import resources

from output_mock.typescript.control_plane import module
from output_mock.version import NAME, version

# What is only written for those who use this test tool.
FIXTURES: dict[str, tuple[str, ...]] = {
    "vitest": ("vitest.ts", "vitest-server.ts"),
    "playwright": ("playwright.ts",),
}
_ALWAYS = ("connection.ts", "output-mock.ts")
_HEAD = f"""\
// Written by `{NAME} client typescript` of {NAME} {version()}. Do not edit it, but write it again after an
// upgrade.
/* eslint-disable */

"""


def files(tools: Collection[str]) -> dict[str, str]:
    """The files of the client by their names, with the fixtures for these test tools (keys of `FIXTURES`)."""
    names = [*_ALWAYS, *(name for tool in FIXTURES if tool in tools for name in FIXTURES[tool])]
    sources = resources.files(__package__ or __name__) / "sources"
    found = {"control-plane.ts": module()}
    found |= {name: (sources / name).read_text(encoding="utf-8") for name in names}
    return {name: _HEAD + text for name, text in found.items()}
