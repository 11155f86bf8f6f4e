"""Fakes in the place of the servers that were recorded, and recordings that are played to them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from output_mock import OutputMock, Script
from output_mock.engine.trace_storage import object_key
from output_mock.traces import Bucket, in_bucket
from tests.client import Answer, connected
from tests.fidelity.played_clock import PlayedClock
from tests.fidelity.replay import Send, Sent, replay


def recordings(folder: Path) -> dict[str, Any]:
    """The recordings of a folder, by name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


_FOLDER = Path(__file__).parents[1] / "recordings"
RECORDINGS = recordings(_FOLDER)
# Of workflows made to ask one question each: what a stop leaves of a running step, what a parent hears of its
# child, what a reset takes along. `further_pack.py` has the same workflows as scripts.
FURTHER = recordings(_FOLDER / "further")


def exchanges(recording: dict[str, Any]) -> int:
    """How many requests and answers a recording has."""
    return sum("request" in exchange for exchange in recording["exchanges"])


# Which server a scenario was recorded on; all others on a plain one.
SERVERS: dict[str, dict[str, Any]] = {
    "production_auth": {"catalog": "remote", "auth_token": "s3cret-token"},
    "timed_out": {"execution_timeout": "2s"},
    "remote_trace": {"catalog": "remote", "auth_token": "s3cret-token"},
    "remote_trace_corrupt": {"catalog": "remote", "auth_token": "s3cret-token"},
    "remote_trace_not_uploaded_yet": {"catalog": "remote", "auth_token": "s3cret-token"},
    "remote_trace_terminated": {"catalog": "remote", "auth_token": "s3cret-token"},
}


class Recorded:
    """A fake that stands in for the server that a scenario was recorded on.

    Takes the scripts of the workflows that ran there, and the URL of the S3 that traces go to (None: moto in
    this process).
    """

    def __init__(self, scenario: str, *scripts: Script | Path, s3: str | None = None) -> None:
        self.clock: PlayedClock = PlayedClock()
        self.mock: OutputMock = OutputMock(self.clock, scripts=scripts, **SERVERS.get(scenario, {}))
        self._bucket: Bucket | None = None
        if scenario.startswith("remote_trace"):
            traces = in_bucket("traces-bucket", endpoint=s3, upload_delay="1s")
            assert isinstance(traces.source, Bucket)
            self._bucket = traces.source
            self._bucket.create()
            self.mock.world.traces = replace(traces, keys=scenario != "remote_trace_no_credentials")
        if scenario == "worker_down":
            self.mock.add_catalog("remote", worker=False)
        # What the pack begins with had long ended when the recordings were made.
        self.clock.let_pass(10)
        assert all(run.status == "completed" for run in self.mock.runs.values())

    def play(
        self, recording: dict[str, Any], transport: str = "in_process", *, documented: bool = False
    ) -> list[str]:
        """Play a recording, and return what came out differently.

        `documented` holds every answer against the OpenAPI document, too.
        """
        with connected(self.mock, transport) as client:
            send = sender(client.request if documented else client.unchecked)
            results = list(replay(send, self.clock, recording, self._by_hand))
        assert len(results) == exchanges(recording)
        return [f"{label}\n    {line}" for label, found in results for line in found[:5]]

    def _by_hand(self, words: str, played: dict[str, Any]) -> None:
        """Do to its bucket what was done to the real one."""
        assert words == 'the object is overwritten with the bytes "not json"'
        assert self._bucket is not None
        run = self.mock.world.find(played["id"])
        key = object_key(run.info.workflow_type, run.workflow_id, run.info.start)
        assert key in self._bucket.keys()  # noqa: SIM118
        self._bucket.put(key, b"not json")


def sender(request: Callable[..., Answer]) -> Send:
    """What `replay` sends its requests with, by way of a client's method."""

    def send(method: str, path: str, headers: dict[str, str], body: bytes | None) -> Sent:
        answer = request(method, path, data=body, headers=headers)
        sent: Sent = {"status": answer.status, "headers": answer.headers, "text": answer.text}
        if "application/json" in answer.headers.get("content-type", ""):
            sent["json"] = json.loads(answer.text) if answer.text else None
            if answer.text:
                del sent["text"]
        return sent

    return send
