"""What is wrong with a script itself."""

from __future__ import annotations

from output_mock.contract.errors import OutputError


class ScriptError(OutputError):
    """The script itself is wrong: it raised an error of its own, blocked, or awaited something foreign.

    Never an answer of the real server: it tells the author of a script what to mend, and where.
    """

    name = "ScriptError"

    def __init__(self, message: str, *, workflow_id: str | None = None) -> None:
        super().__init__(message, workflow_id=workflow_id)
        self.unmatched_reason: str | None = message
