"""The pages of the documentation, and the examples on them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The documentation of the project, by path from its root.
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
}
EVERYTHING = "\n".join(PAGES.values())


def page(path: str) -> str:
    """A page's text."""
    return PAGES[path]


def blocks(path: str, language: str) -> list[str]:
    """The code blocks of a page in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```", PAGES[path], re.DOTALL | re.MULTILINE)


def everywhere(language: str) -> list[tuple[str, int, str]]:
    """The code blocks of all pages in this language: page, number, code."""
    return [(path, number, code) for path in PAGES for number, code in enumerate(blocks(path, language))]
