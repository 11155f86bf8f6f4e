"""What is wrong with a file of scripts."""

from __future__ import annotations

from collections.abc import Sequence

from output_mock.places import Mistake
from output_mock.scripts.script import Mentions


class ScriptFileError(Exception):
    """A file that cannot be loaded; the message names the file, the line and what to do.

    `mistakes` has everything that is wrong with it, one by one; `mentions`, where they can be read all the
    same, the workflows that the file speaks of.
    """

    def __init__(self, message: str, mistakes: Sequence[Mistake], mentions: Mentions | None = None) -> None:
        super().__init__(message)
        self.mistakes: tuple[Mistake, ...] = tuple(mistakes)
        self.mentions = mentions

    @classmethod
    def of(cls, mistakes: Sequence[Mistake], mentions: Mentions | None = None) -> ScriptFileError:
        """The error whose message is the mistakes, one a line."""
        return cls("\n".join(map(str, mistakes)), mistakes, mentions)
