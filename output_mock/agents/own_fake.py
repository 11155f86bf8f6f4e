"""A fake that is started for an agent, on a loopback address."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from output_mock.control.front import Front
from output_mock.control.worlds import Worlds
from output_mock.mock import OutputMock
from output_mock.server import running

if TYPE_CHECKING:
    from output_mock.engine.clock import Mode
    from output_mock.scripts.script import Scripted

# So many closed runs are kept, the last ones.
_MOST_RUNS = 10_000


@contextmanager
def own_fake(scripts: Sequence[Scripted], *, port: int, clock: Mode, seed: int) -> Iterator[str]:
    """Serve a fake with these scripts while the block runs, and yield its URL.

    It listens on 127.0.0.1 only; port 0 takes a free one. Raises `OSError` if the port is in use.
    """

    def make(options: Mapping[str, Any]) -> OutputMock:
        mock = OutputMock(options.get("clock", clock), options.get("seed", seed), keep_runs=_MOST_RUNS)
        for script in scripts if options.get("scripts") != "none" else ():
            mock.load(script)
        return mock

    worlds = Worlds(make({}), make)
    try:
        with running(Front(worlds), "127.0.0.1", port) as url:
            yield url
    finally:
        for entry in worlds:
            entry.mock.close()
        worlds.close()
