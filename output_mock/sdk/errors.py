"""Errors for mistakes in scripts."""

from __future__ import annotations

from output_mock.contract.errors import OutputError


class ScriptError(OutputError):
    """The script has a bug: it raised an error, blocked, or awaited something from outside the fake. The
    message says where.

    The real server never answers this. It tells the author of the script what to fix.
    """

    name = "ScriptError"

    def __init__(self, message: str, *, workflow_id: str | None = None) -> None:
        super().__init__(message, workflow_id=workflow_id)
        self.unmatched_reason: str | None = message
