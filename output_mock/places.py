"""Places in files, and mistakes in them."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from opcode import opmap
from pathlib import Path
from types import FrameType
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


# The folder of this package.
_PACKAGE = f"{Path(__file__).parent}{os.sep}"


def place_outside() -> str:
    """File and line of the innermost caller that is not part of output-mock, for messages."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    assert frame is not None
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"


def was_raised(error: BaseException) -> bool:
    """Whether a `raise` statement raised an error, rather than the interpreter itself."""
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return (
        traceback is not None
        and traceback.tb_frame.f_code.co_code[traceback.tb_lasti] == opmap["RAISE_VARARGS"]
    )


@dataclass(frozen=True)
class Mistake:
    """Something that is wrong in a file. As text: `file:line:column: message`, which editors understand."""

    file: str
    message: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}"
