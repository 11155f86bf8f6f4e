"""Where something is written, and what is wrong there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Place(NamedTuple):
    """A place in a file; lines and columns count from 1. In JSON, `file` is a pointer, and the line is 0."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}, line {self.line}, column {self.column}"


@dataclass(frozen=True)
class Mistake:
    """Something that is wrong in a file: as text, `file:line:column: message`, as editors know it."""

    file: str
    message: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"
