"""Mistakes in a script file."""

from __future__ import annotations

from collections.abc import Sequence

from output_mock.places import Mistake
from output_mock.scripts.script import Mentions


class ScriptFileError(Exception):
    """A file that cannot be loaded; the message names the file, the line and what to do.

    `mistakes` lists everything that is wrong with it; `mentions` has the workflows that the file mentions,
    if they could be read.
    """

    def __init__(self, message: str, mistakes: Sequence[Mistake], mentions: Mentions | None = None) -> None:
        super().__init__(message)
        self.mistakes: tuple[Mistake, ...] = tuple(mistakes)
        self.mentions = mentions

    @classmethod
    def of(cls, mistakes: Sequence[Mistake], mentions: Mentions | None = None) -> ScriptFileError:
        """An error with the mistakes in its message, one on each line."""
        return cls("\n".join(map(str, mistakes)), mistakes, mentions)
