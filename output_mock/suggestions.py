"""The known name that is most similar to a wrong one: "did you mean …?"."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

# How many names a message lists.
_LISTED = 8
# How many names are compared for the mistakes of one file.
_COMPARED = 50_000


def closest(name: str, known: Sequence[str]) -> str | None:
    """The known name that is most similar to `name`; None if none is similar."""
    return next(iter(difflib.get_close_matches(name, known, n=1, cutoff=0.6)), None)


def nearest(name: str, known: Sequence[str]) -> str:
    """`"; did you mean 'x'?"` for the known name that is most similar to `name`, or an empty text."""
    meant = closest(name, known)
    return "" if meant is None else f"; did you mean {meant!r}?"


def listed(before: str, name: str, known: Collection[str]) -> str:
    """The end of a message about an unknown `name`: the most similar known name, or some of the
    known ones.
    """
    names = sorted(known)
    more = ", …" if len(names) > _LISTED else ""
    return nearest(name, names) or f"{before} {', '.join(names[:_LISTED]) or 'nothing'}{more}"


class Suggestions:
    """Suggestions for the wrong names of one file.

    Each is compared with all names that are known. After some thousand comparisons there are no more
    suggestions, so that the time for a file with many mistakes grows with its length, not with the square of
    it.
    """

    def __init__(self) -> None:
        self._left = _COMPARED

    def nearest(self, name: str, known: Collection[str]) -> str:
        """Like the function `nearest`; an empty text once enough names have been compared."""
        return nearest(name, list(known)) if self._may_compare(known) else ""

    def listed(self, before: str, name: str, known: Collection[str]) -> str:
        """Like the function `listed`; an empty text if nothing is known, or once enough names have been
        compared.
        """
        return listed(before, name, known) if known and self._may_compare(known) else ""

    def _may_compare(self, known: Collection[str]) -> bool:
        self._left -= len(known)
        return self._left >= 0
