"""What was measured on a real deployment beyond the first recordings comes out the same as well.

Those recordings are of workflows made to ask one question each: what a stop leaves of a running step, what
a parent hears of its child, what a reset takes along. `further_pack.py` has the same workflows as scripts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

import pytest

from output_contract.pack import script as pack
from output_mock import OutputMock
from tests.conftest import connected
from tests.fidelity.further_pack import script
from tests.fidelity.recorded import Reached, played

RECORDINGS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[1] / "recordings" / "further").glob("*.json"))
}
Result = tuple[int, list[str]]


class Results(NamedTuple):
    """What has come out, and what one that differs is played to again."""

    futures: dict[str, Future[Result]]
    reached: Reached

    def of(self, name: str) -> Result:
        """The result of a recording. Where the machine was busy with all the others, it gets another chance
        by itself: what was recorded a moment after something else may have come a moment later.
        """
        number, different = self.futures[name].result(timeout=120)
        if different:
            wait(self.futures.values(), timeout=120)
            number, different = played(self.reached, RECORDINGS[name])
        return number, different


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    """All of them at once on one fake: most of their time is spent waiting."""
    mock = OutputMock("real", scripts=[pack, script])
    with connected(mock, "in_process") as client, ThreadPoolExecutor(16) as pool:
        reached = Reached(mock, client)
        futures = {name: pool.submit(played, reached, recording) for name, recording in RECORDINGS.items()}
        yield Results(futures, reached)


@pytest.mark.parametrize("name", RECORDINGS)
def test_the_measured_exchanges_come_out_the_same(name: str, results: Results) -> None:
    number, different = results.of(name)
    assert not different, "\n".join(different)
    assert number == sum("request" in exchange for exchange in RECORDINGS[name]["exchanges"])
