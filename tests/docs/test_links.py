"""Every link in the documentation works, and every page can be reached."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
import yaml

from tests.docs.pages import PAGES, ROOT

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def links(path: str) -> Iterator[str]:
    """The links of a page, except those in its examples."""
    text = re.sub(r"^```.*?^```", "", PAGES[path], flags=re.DOTALL | re.MULTILINE)
    return (found[1] for found in LINK.finditer(re.sub(r"`[^`\n]*`", lambda code: "x" * len(code[0]), text)))


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page."""
    headings = re.findall(
        r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE), re.M
    )
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES)
def test_every_link_points_to_an_existing_file_and_heading(path: str) -> None:
    for link in links(path):
        if link.startswith(("https://", "http://")):
            continue
        file, _, anchor = link.partition("#")
        target = (ROOT / path).parent.joinpath(file).resolve() if file else ROOT / path
        assert target.is_file() or target.is_dir(), f"{path}: {link}"
        assert target.is_relative_to(ROOT), f"{path}: {link} leads out of the project"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{path}: {link}: no such heading"


def test_every_page_is_in_the_sites_navigation() -> None:
    def paths(entries: object) -> Iterator[str]:
        if isinstance(entries, str):
            yield entries
        elif isinstance(entries, dict):
            for entry in entries.values():
                yield from paths(entry)
        elif isinstance(entries, list):
            for entry in entries:
                yield from paths(entry)

    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    told = set(paths(site["nav"]))
    written = {str(PurePosixPath(path).relative_to("docs")) for path in PAGES if path.startswith("docs/")}
    assert told == written
