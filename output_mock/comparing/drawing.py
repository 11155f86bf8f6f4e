"""Draws values of Hypothesis strategies, the same ones for the same seed."""

from __future__ import annotations

from random import Random
from typing import Any, TypeVar

from hypothesis import Phase, Verbosity, find, settings
from hypothesis.errors import NoSuchExample, Unsatisfiable
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")


def drawn(strategy: SearchStrategy[T], seed: int, most: int) -> list[T]:
    """Up to `most` different values, the simplest first."""
    found: dict[str, T] = {}

    def keep(value: T) -> bool:
        found.setdefault(repr(value), value)
        return False

    how: Any = settings(
        max_examples=most, phases=[Phase.generate], database=None, deadline=None, verbosity=Verbosity.quiet
    )
    try:
        find(strategy, keep, settings=how, random=Random(seed))
    except (NoSuchExample, Unsatisfiable):
        pass
    return list(found.values())
