"""Plays recordings to fakes that stand in for the recorded servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from output_contract.conformity import Document, document_for
from output_mock import Fault, OutputMock, Script
from output_mock.contract.versions.deployment import deployment
from output_mock.engine.trace_places import object_key
from output_mock.recording.files import read
from output_mock.recording.player import Played, Player
from output_mock.recording.replaying import replay
from output_mock.recording.scenario import Scenario
from output_mock.recording.transport import Headers, InProcessTransport, Reply, SocketTransport, Transport
from output_mock.traces import Bucket, in_bucket
from tests.fidelity.played_clock import PlayedClock

FOLDER = Path(__file__).parents[1] / "recordings"


# Many tests ask for the same recordings, in other groups and by other names.
_read = cache(read)


class Recordings(Mapping[str, Scenario]):
    """Recordings by name. Each is read on first use, since few tests need all of them."""

    def __init__(self, paths: Mapping[str, Path]) -> None:
        self._paths = dict(paths)

    def __getitem__(self, name: str) -> Scenario:
        return _read(self._paths[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def __or__(self, other: Recordings) -> Recordings:
        return Recordings(self._paths | other._paths)


def recordings(*folders: Path, called: str = "{path.stem}") -> Recordings:
    """The recordings in folders, by names such as `called`."""
    paths = (path for folder in folders for path in sorted(folder.glob("*.json")))
    return Recordings({called.format(path=path): path for path in paths})


RECORDINGS = recordings(FOLDER / "0.11")
# Workflows for single questions: what a stop does to a running step, what a parent sees of its child, what a
# reset carries over. `further_pack.py` has the same workflows as scripts.
FURTHER = recordings(FOLDER / "0.11" / "further")
# Workflows that send requests to an application. `calls_pack.py` has both.
CALLS = recordings(
    *(FOLDER / version / "calls" for version in ("0.8", "0.9", "0.10")),
    called="{path.parent.parent.name}/{path.stem}",
) | recordings(FOLDER / "0.11" / "calls")
TOKEN = "s3cret-token"
# The kinds of servers that scenarios were recorded on.
SERVERS: dict[str | None, dict[str, Any]] = {
    None: {},
    "production": {"catalog": "remote", "auth_token": TOKEN},
    "execution_timeout_2s": {"execution_timeout": "2s"},
    "remote_worker": {},
    "worker_down": {},
}


class Versions(NamedTuple):
    """The versions of a server and of its workers; None is the newest."""

    api: str | None = None
    sdk: str | None = None


def versions_of(recording: Scenario) -> Versions:
    """The versions that the folder of a recording is named for: `0.10`, or `0.10+sdk0.11` for a pair."""
    name = Path(recording.file).relative_to(FOLDER).parts[0]
    api, _, sdk = name.partition("+sdk")
    return Versions(api, sdk or api)


# The same for older servers, and for pairs with different versions of server and workers.
OLDER = recordings(
    *(folder for folder in sorted(FOLDER.glob("0.*")) if folder.name != "0.11"),
    called="{path.parent.name}/{path.stem}",
)


# The scenarios in `more`, for each version, whose workflows can be scripts (`more_pack.py`).
_MORE = (
    "body_sizes",
    "child_asked_itself",
    "child_bare",
    "child_options",
    "child_step_error",
    "child_step_fatal",
    "child_value",
    "deprecations",
    "documents",
    "history_stream_asked",
    "input_asked",
    "long_poll_running",
    "long_poll_values",
    "messages_in_history",
    "nothing_false",
    "nothing_given",
    "nothing_none",
    "nothing_null",
    "nothing_score",
    "nothing_text",
    "nothing_zero",
    "run_answers_timed_out",
    "step_tries_bad_input",
    "step_tries_busy",
    "step_tries_error",
    "step_tries_fatal",
    "step_tries_validation",
    "stopped_at_once",
    "token_asked",
    "unknown_ids",
    "unknown_workflow_names",
    "workflow_throws_fatal",
    "workflow_throws_fatal_cause",
    "workflow_throws_validation",
)
MORE = Recordings(
    {
        f"{path.parent.parent.name}/{path.stem}": path
        for path in sorted(FOLDER.glob("0.*/more/*.json"))
        if path.stem in _MORE
    }
)

# Intended differences, see `docs/reference/differences.md`: a workflow that would hang is refused when it is
# defined, and the inherited properties of a JavaScript object are not workflows.
NOT_AS_RECORDED = {"options_backwards", "names_of_javascript"}
# Recordings of further cases with the newest version (`beside_pack.py`).
BESIDE = Recordings(
    {
        path.stem: path
        for path in sorted((FOLDER / "0.11" / "beside").glob("*.json"))
        if path.stem not in NOT_AS_RECORDED
    }
)


class Recorded:
    """A fake that stands in for the server that a scenario was recorded on.

    Takes the scripts of the workflows that ran there, the URL of the S3 for traces (None: moto in this
    process), and the versions of server and workers (None: the newest).
    """

    def __init__(
        self,
        recording: Scenario,
        *scripts: Script | Path,
        s3: str | None = None,
        versions: Versions | None = None,
    ) -> None:
        self.recording = recording
        self.clock: PlayedClock = PlayedClock()
        version = versions or Versions()
        # The first server had been used for long. On the others nothing had run before the list of runs was
        # asked for; with some workers nothing runs at all.
        is_fresh = versions not in (None, Versions("0.11", "0.11"))
        is_first = is_fresh and (recording.name == "runs" or deployment(*version).finds_no_workflow)
        options = dict(SERVERS[recording.server])
        catalog = options.get("catalog", "main")
        if is_fresh:
            # Their own catalog is the last one.
            options.pop("catalog", None)
        self.mock: OutputMock = OutputMock(
            self.clock,
            scripts=() if is_first else scripts,
            api_version=version.api,
            sdk_version=version.sdk,
            **options,
        )
        self.mock.world.default_catalog = catalog
        if is_first:
            for script in scripts:
                assert isinstance(script, Script)
                script.offer_in(self.mock.world)
        played = self.mock.world.deployment
        self._document: Document = document_for(played.api, played.sdk)
        self._bucket: Bucket | None = None
        if recording.name.startswith("remote_trace") or recording.name == "call_traces":
            traces = in_bucket("traces-bucket", endpoint=s3, upload_delay="1s")
            assert isinstance(traces.source, Bucket)
            self._bucket = traces.source
            self._bucket.create()
            self.mock.world.traces = replace(traces, keys=recording.server == "production")
        if recording.server == "worker_down":
            self.mock.add_catalog("remote", worker=False)
        # The initial runs of the pack had ended long before the recordings were made.
        self.clock.let_pass(10)
        assert all(run.status == "completed" for run in self.mock.runs.values())

    def play(self, transport: str = "in_process", *, documented: bool = False) -> list[str]:
        """Play the recording, and return the differences.

        With `documented`, also check every response against the OpenAPI document.
        """
        try:
            if transport == "in_process":
                return self._play(InProcessTransport(self.mock.app), documented)
            with self.mock.serve() as url:
                return self._play(SocketTransport(url), documented)
        finally:
            self.mock.close()

    def _play(self, transport: Transport, documented: bool) -> list[str]:
        player = Remembering(
            Documented(transport, self._document) if documented else transport,
            token=TOKEN if self.recording.server == "production" else None,
            pace=PlayedPace(self.clock),
            by_hand=self._by_hand,
        )
        results = list(replay(self.recording, player))
        assert len(results) == self.recording.exchanges
        return [
            f"{compared.step.request}\n    {difference}"
            for compared in results
            for difference in compared.differences[:5]
        ] + [
            f"{played.step.request}\n    {difference}"
            for played in player.answers
            if self.recording.mode(played.step) == "exact"
            for difference in islice(out_of_order(played.step.answer or {}, played.answer), 5)
        ]

    def _by_hand(self, words: str, variables: Mapping[str, Any]) -> None:
        """Do the manual step that was done to the real server."""
        if words == "Temporal is stopped":
            self.mock.faults.add(Fault(temporal_away=True, times="always"))
            return
        assert words == 'the object is overwritten with the bytes "not json"'
        assert self._bucket is not None
        run = self.mock.world.find(variables["id"])
        key = object_key(run.info.workflow_type, run.workflow_id, run.info.start)
        assert key in self._bucket.keys()  # noqa: SIM118
        self._bucket.put(key, b"not json")


class Remembering(Player):
    """A player that keeps what it has played."""

    answers: list[Played]

    def play(self, scenario: Scenario) -> Iterator[Played]:
        self.answers = []
        for played in super().play(scenario):
            self.answers.append(played)
            yield played


# Maps of the workers, whose order is chance, and values of a workflow, whose order is the script's.
_ANY_ORDER = {"headers", "fields", "input", "output", "result", "error", "<payload>"}


def out_of_order(recorded: Any, got: Any, place: str = "") -> Iterator[str]:
    """Where the keys of two answers come in different orders, which a person sees who prints them."""
    if isinstance(recorded, Mapping) and isinstance(got, Mapping):
        common = [key for key in recorded if key in got]
        order = [key for key in got if key in recorded]
        if common != order:
            yield f"{place or 'the answer'}: recorded in the order {common}, got {order}"
        for key in common:
            if isinstance(recorded[key], (dict, list)) and key not in _ANY_ORDER:
                yield from out_of_order(recorded[key], got[key], f"{place}.{key}".lstrip("."))
    elif isinstance(recorded, list) and isinstance(got, list):
        for number, (one, other) in enumerate(zip(recorded, got, strict=False)):
            yield from out_of_order(one, other, f"{place}[{number}]")


class PlayedPace:
    """Lets the same time pass on a played clock between two requests as in the recording."""

    def __init__(self, clock: PlayedClock) -> None:
        self._clock = clock
        # How far the clock is ahead of the recorded server's.
        self._later: int | None = None

    def now(self) -> float:
        return self._clock.monotonic()

    def wait(self, seconds: float) -> None:
        self._clock.let_pass(seconds)

    def reach(self, moment: int) -> None:
        when = moment * 1_000_000
        if self._later is not None:
            self._clock.reach(when + self._later)
        self._later = self._clock.nanoseconds() - when


class Documented:
    """A transport that checks every response against the OpenAPI document."""

    def __init__(self, transport: Transport, document: Document) -> None:
        self.url = transport.url
        self._transport = transport
        self._document = document

    def send(
        self,
        method: str,
        path: str,
        headers: Headers,
        body: bytes | None,
        timeout: float,
        idle: float | None = None,
    ) -> Reply:
        reply = self._transport.send(method, path, headers, body, timeout, idle)
        answer = b"".join(reply.pieces)
        # The document does not describe a 304.
        if reply.status != 304:
            given = {name.lower(): value for name, value in reply.headers}
            problems = self._document.response_problems(method, path, reply.status, given, answer)
            assert not problems, f"{method} {path} answered {reply.status}: {problems}"
        return reply._replace(pieces=iter([answer]))
