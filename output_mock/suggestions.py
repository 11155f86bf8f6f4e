"""The known name that is most similar to a wrong one: "did you mean …?"."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

# How many names a message lists.
_LISTED = 8


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
