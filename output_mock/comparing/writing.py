"""Writes the differences as recordings of the first server, from which the second one differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from output_mock.comparing.kinds import Kind
from output_mock.comparing.pair import Sides
from output_mock.recording.files import write
from output_mock.recording.recorder import recorded_as
from output_mock.recording.scenario import Scenario


class Writer:
    """Writes recordings into a folder: of the API's version there, if it is known, or else scenarios."""

    def __init__(self, folder: Path, api: str | None, token: str | None) -> None:
        self._folder = folder
        self._api = api
        self._token = token

    def found_before(self, kind: Kind) -> Path | None:
        """The file of a kind that is in the folder already."""
        path = self._folder / f"{kind.name}.json"
        return path if path.exists() else None

    def write(self, kind: Kind, scenario: Scenario, plays: Sequence[Sides]) -> Path:
        """Write the scenario of a kind, with what the first server answered. Raises `OSError`."""
        named = replace(scenario, name=kind.name, about=f"first / second server: {kind}"[:500])
        if self._api is not None:
            firsts = [list(sides.first.values()) for sides in plays]
            named = recorded_as(named, firsts, {"api": self._api, "sdk": None}, self._token)
        return write(named, self._folder)
