"""zod's response to an invalid value: issue objects, the error that carries them, and their text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from output_mock.javascript_json import stringify

Issue = dict[str, Any]
"""A JSON object. Its keys have the same order as in zod."""


class Fatal(Issue):
    """An issue after which zod stops checking the value, such as a wrong type.

    After other issues (too short, wrong format), later checks still run. Clients never see the difference,
    so it is not a key.
    """


class ZodError(ValueError):
    """A value does not fit its schema. `issues` says where and why."""

    def __init__(self, issues: list[Issue]) -> None:
        super().__init__(prettify(issues))
        self.issues = issues


def is_fatal(issues: Iterable[Issue]) -> bool:
    """Whether one of the issues ends the parsing of its value."""
    return any(isinstance(issue, Fatal) for issue in issues)


def move_under(issues: list[Issue], start: int, key: str | int) -> None:
    """Put `key` before the paths of the issues from `start` on, which a child has reported."""
    for issue in issues[start:]:
        issue["path"].insert(0, key)


def prettify(issues: Iterable[Issue]) -> str:
    """The text of `z.prettifyError`: the issues nearest the root first."""
    lines = []
    for issue in sorted(issues, key=lambda issue: len(issue["path"])):
        lines.append(f"✖ {issue['message']}")
        if issue["path"]:
            lines.append(f"  → at {_dotted(issue['path'])}")
    return "\n".join(lines)


_NEEDS_BRACKETS = re.compile(r"[^\w$]", re.ASCII)


def _dotted(path: Sequence[str | int]) -> str:
    text = ""
    for depth, key in enumerate(path):
        if isinstance(key, int):
            text += f"[{key}]"
        elif _NEEDS_BRACKETS.search(key):
            text += f"[{stringify(key)}]"
        else:
            text += f".{key}" if depth else key
    return text
