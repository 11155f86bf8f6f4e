"""How the package's metadata are made of the project's files (a hook of hatchling)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\[([^\]]*)\]\((?!https?://|#)([^)\s]+)\)")


class ReadmeHook(MetadataHookInterface):
    """Has the README of the package lead to the repository: a package index has none of its files.

    Where GitHub builds it, it says which repository that is. Elsewhere links to files become their words.
    """

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the README, and the addresses of the project."""
        text = (Path(self.root) / "README.md").read_text("utf-8")
        repository = repository_of(os.environ)
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": with_absolute_links(text, None if repository is None else f"{repository}/blob/{_ref()}"),
        }
        metadata["urls"] = {} if repository is None else _urls(repository)


def _urls(repository: str) -> dict[str, str]:
    return {
        "Repository": repository,
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Documentation": f"{repository}/blob/main/docs/index.md",
        "Issues": f"{repository}/issues",
    }


def repository_of(environment: Mapping[str, str]) -> str | None:
    """The address of the repository that GitHub builds; None elsewhere."""
    server, name = environment.get("GITHUB_SERVER_URL"), environment.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else None


def with_absolute_links(text: str, base: str | None) -> str:
    """A text in which links to files lead to below `base`, or are their words alone."""
    return _LINK.sub(r"\1" if base is None else rf"[\1]({base}/\2)", text)


def _ref() -> str:
    return os.environ.get("GITHUB_SHA", "main")
