"""The name and the installed version of this project."""

from __future__ import annotations

import functools

NAME = "output-mock"


@functools.cache
def version() -> str:
    """The version that is installed, or `(not installed)`."""
    from importlib import metadata

    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "(not installed)"
