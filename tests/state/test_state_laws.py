"""Properties of state and snapshot files: a client that continues from one gets the same responses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from output_mock.control.saver import Saver, begun
from output_mock.control.worlds import WorldEntry, Worlds
from output_mock.state.snapshot import Snapshot
from output_mock.state.worlds import read_snapshot, snapshot_json
from tests.engine.test_properties import Answer, Session, programs, requests

CLOCKS = st.sampled_from(["auto", "manual"])


class Persistent(Session):
    """A fake whose state can be saved to a file."""

    def __init__(self, clock: Any, programs: Any) -> None:
        super().__init__(clock, programs)
        self.worlds = Worlds(self.mock)
        self.told: list[str] = []

    def heard_of(self, requests: list[tuple[Any, ...]]) -> list[Answer]:
        """The responses to these requests, and the histories of all runs at the end."""
        self.heard, self.closed = [], {}
        for request in requests:
            self.do(request)
        self.mock.clock.advance("3d")
        return [*self.heard, [self.history(run) for run in self.runs()]]  # type: ignore[list-item]

    @contextmanager
    def kept_in(self, path: Path) -> Iterator[Saver]:
        """Continues from the file, and is saved to it."""
        saver = begun(path, self.worlds, self.told.append)
        try:
            yield saver
        finally:
            saver.close(10)


@settings(max_examples=40)
@given(
    programs=programs, parts=st.lists(requests, min_size=2, max_size=3), clock=CLOCKS, every=st.integers(1, 4)
)
def test_continuing_from_a_state_file_gives_the_same_responses(
    programs: Any, parts: list[Any], clock: str, every: int
) -> None:
    *before, after = parts
    undisturbed = Persistent(clock, programs)
    for part in before:
        for request in part:
            undisturbed.do(request)
    expected = undisturbed.heard_of(after)
    undisturbed.mock.close()
    with TemporaryDirectory() as folder:
        path = Path(folder, "state")
        for part in before:
            session = Persistent(clock, programs)
            with session.kept_in(path) as saver:
                for number, request in enumerate(part):
                    session.do(request)
                    if number % every == 0:
                        saver.save()
            session.mock.close()
        session = Persistent(clock, programs)
        with session.kept_in(path):
            assert session.heard_of(after) == expected
        assert not any("waits for its script" in line for line in session.told)
        session.mock.close()


@settings(max_examples=20)
@given(programs=programs, before=requests, between=requests, after=requests, clock=CLOCKS)
def test_continuing_from_a_snapshot_file_gives_the_same_responses(
    programs: Any, before: Any, between: Any, after: Any, clock: str
) -> None:
    first = Persistent(clock, programs)
    for request in before:
        first.do(request)
    file = json.dumps(snapshot_json(Snapshot.of(first.worlds.default.app)))
    expected = first.heard_of(after)
    first.mock.close()
    other = Persistent(clock, programs)
    other.heard_of(between)
    held: WorldEntry = other.worlds.default
    read_snapshot(json.loads(file), held.world).restore(held.mock)
    assert other.heard_of(after) == expected
    again = snapshot_json(read_snapshot(json.loads(file), held.world))
    assert json.loads(json.dumps(again)) == json.loads(file)
    other.mock.close()
