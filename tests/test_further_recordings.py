"""What was measured on a real deployment beyond the first recordings comes out the same as well.

Those recordings are of workflows made to ask one question each: what a stop leaves of a running step, what
a parent hears of its child, what a reset takes along. `further_pack.py` has the same workflows as scripts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from contract_tests.pack import script as pack
from output_mock import OutputMock
from tests.conftest import connected
from tests.further_pack import script
from tests.replay import replay
from tests.test_recordings import sender

RECORDINGS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parent / "recordings" / "further").glob("*.json"))
}
Results = list[tuple[str, list[str]]]


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, Future[Results]]]:
    """All of them at once on one fake: most of their time is spent waiting."""
    mock = OutputMock("real", scripts=[pack, script])
    with connected(mock, "in_process") as client, ThreadPoolExecutor(16) as pool:

        def play(recording: dict[str, Any]) -> Results:
            return list(replay(sender(client), recording))

        yield {name: pool.submit(play, recording) for name, recording in RECORDINGS.items()}


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_measured_exchanges_come_out_the_same(name: str, played: dict[str, Future[Results]]) -> None:
    results = played[name].result(timeout=120)
    different = [f"{label}\n    {line}" for label, found in results for line in found[:5]]
    assert not different, "\n".join(different)
    assert len(results) == sum("request" in exchange for exchange in RECORDINGS[name]["exchanges"])
