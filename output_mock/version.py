"""What this is called, and which version of it is installed."""

from __future__ import annotations

NAME = "output-mock"


def version() -> str:
    """The version that is installed, or `(not installed)`."""
    from importlib import metadata

    try:
        return metadata.version(NAME)
    except metadata.PackageNotFoundError:
        return "(not installed)"
