"""Which errors SDKs before 0.11.0 did not try again: those whose names are listed, and no others."""

from __future__ import annotations

from collections.abc import Sequence

_FATAL = "FatalError"
# Their list where a workflow says nothing.
NEVER_RETRIED = ("ValidationError", _FATAL)


def never_retried(types: Sequence[str]) -> list[str]:
    """The list that they had where the newest SDK has `types`.

    That adds its own class to what a workflow says; they had a default instead.
    """
    said = list(types[:-1]) if types and types[-1] == _FATAL else list(types)
    return said or list(NEVER_RETRIED)
