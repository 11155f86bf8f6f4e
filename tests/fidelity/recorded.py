"""Fakes in the place of the servers that were recorded, and recordings that are played to them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from moto import mock_aws

from output_contract.pack import script
from output_mock import OutputMock, Script
from output_mock.engine.traces import object_key
from output_mock.traces import Bucket, in_bucket
from output_mock.traces.s3 import moto_server
from tests.conftest import Client, connected, eventually
from tests.fidelity.replay import Sent, replay

RECORDINGS = {
    path.stem: json.loads(path.read_text())
    for path in sorted((Path(__file__).parents[1] / "recordings").glob("*.json"))
}

# Which server a scenario was recorded on; all others on a plain one.
SERVERS: dict[str, dict[str, Any]] = {
    "production_auth": {"catalog": "remote", "auth_token": "s3cret-token"},
    "timed_out": {"execution_timeout": "2s"},
    "worker_down": {},
    "remote_trace_no_credentials": {},
    "remote_trace": {"catalog": "remote", "auth_token": "s3cret-token"},
    "remote_trace_corrupt": {"catalog": "remote", "auth_token": "s3cret-token"},
    "remote_trace_not_uploaded_yet": {"catalog": "remote", "auth_token": "s3cret-token"},
    "remote_trace_terminated": {"catalog": "remote", "auth_token": "s3cret-token"},
}
Reach = Callable[[str, str], "Reached"]


def fake(server: str, pack: Script | Path, s3: str | None) -> OutputMock:
    """The fake that stands in for a server that was recorded, with the recorded workflows.

    Traces go to the S3 at that URL, or else to moto in this process.
    """
    mock = OutputMock("real", scripts=[pack], **SERVERS.get(server, {}))
    if server.startswith("remote_trace"):
        traces = in_bucket("traces-bucket", endpoint=s3, upload_delay="1s")
        assert isinstance(traces.source, Bucket)
        traces.source.create()
        mock.world.traces = replace(traces, keys=server != "remote_trace_no_credentials")
    if server == "worker_down":
        mock.add_catalog("remote", worker=False)
    # What the pack begins with had long ended when the recordings were made.
    eventually(lambda: all(run.status == "completed" for run in mock.runs.values()))
    return mock


class Reached(NamedTuple):
    """A fake and a client of it."""

    mock: OutputMock
    client: Client

    def by_hand(self, words: str, played: dict[str, Any]) -> None:
        """Do to its bucket what was done to the real one."""
        assert words == 'the object is overwritten with the bytes "not json"'
        bucket, run = self.mock.world.traces.source, self.mock.world.find(played["id"])
        assert isinstance(bucket, Bucket)
        key = object_key(run.info.workflow_type, run.workflow_id, run.info.start)
        assert key in bucket.keys()  # noqa: SIM118
        bucket.put(key, b"not json")


@contextmanager
def reaching(pack: Script | Path = script) -> Iterator[Reach]:
    """Fakes that scenarios need, and clients; one fake serves all that were recorded on its like.

    In process they have moto there, too; over a socket, moto's server.
    """
    reached: dict[tuple[str, str], Reached] = {}
    with ExitStack() as stack:
        stack.enter_context(mock_aws())
        url, stop = moto_server()
        stack.callback(stop)

        def client(scenario: str, transport: str) -> Reached:
            server = scenario if scenario in SERVERS else "plain"
            if (server, transport) not in reached:
                mock = fake(server, pack, s3=url if transport == "socket" else None)
                reached[server, transport] = Reached(mock, stack.enter_context(connected(mock, transport)))
            return reached[server, transport]

        yield client


def sender(client: Client) -> Callable[[str, str, dict[str, str], bytes | None], Sent]:
    """What `replay` sends its requests with."""

    def send(method: str, path: str, headers: dict[str, str], body: bytes | None) -> Sent:
        answer = client.request(method, path, data=body, headers=headers)
        sent: Sent = {"status": answer.status, "headers": answer.headers, "text": answer.text}
        if "application/json" in answer.headers.get("content-type", ""):
            sent["json"] = json.loads(answer.text) if answer.text else None
            if answer.text:
                del sent["text"]
        return sent

    return send


def played(reached: Reached, recording: dict[str, Any]) -> tuple[int, list[str]]:
    """How many exchanges were played, and what came out differently.

    A recording that differs is played once more: on the clock of the wall a busy machine may bring two things
    to one workflow task that were recorded a moment apart, as it might on the real server. A difference of
    the fake's own stays.
    """
    different: list[str] = []
    for _ in range(2):
        results = list(replay(sender(reached.client), recording, reached.by_hand))
        different = [f"{label}\n    {line}" for label, found in results for line in found[:5]]
        if not different:
            break
    return len(results), different
