"""Every recorded request gets the response of the real server.

The player moves the clock (`played_clock`) by the recorded times, so the speed of the machine does not
matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from moto import mock_aws

from output_contract.pack import script as pack
from output_mock.traces.s3 import moto_server
from tests.docs.pages import EVERYTHING
from tests.fidelity.beside_pack import script as beside_pack
from tests.fidelity.calls_pack import CalledApplication
from tests.fidelity.calls_pack import script as calls_pack
from tests.fidelity.further_pack import script as further_pack
from tests.fidelity.more_pack import script as more_pack
from tests.fidelity.recorded import BESIDE, CALLS, FURTHER, MORE, OLDER, RECORDINGS, Recorded, versions_of

# What may differ over a socket: raw bodies and paths, headers, streams, waiting requests.
OVER_A_SOCKET = [
    "body_validation",
    "bytes_after_gzip",
    "half_characters",
    "health",
    "heartbeat_headers",
    "history_long_poll",
    "history_paging",
    "production_auth",
    "raw_bodies",
    "remote_trace",
    "routing",
    "run_times_out_waiting",
    "stream_chain",
    "stream_completed",
    "stream_failed",
    "stream_live",
    "too_big_query",
    "token_of_another_run",
    "two_tokens",
    "workflow_id",
    *(name for name in FURTHER if name.startswith("fact_http_")),
]


@pytest.fixture(scope="module", autouse=True)
def s3() -> Iterator[None]:
    """Moto in this process."""
    with mock_aws():
        yield


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    """The URL of moto's server."""
    url, stop = moto_server()
    yield url
    stop()


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_exchanges_are_reproduced(name: str) -> None:
    different = Recorded(RECORDINGS[name], pack).play(documented=True)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", FURTHER)
def test_further_recorded_exchanges_are_reproduced(name: str) -> None:
    different = Recorded(FURTHER[name], pack, further_pack).play(documented=True)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", OLDER)
def test_recorded_exchanges_of_older_versions_are_reproduced(name: str) -> None:
    recording = OLDER[name]
    versions = versions_of(recording)
    different = Recorded(recording, pack, versions=versions).play(documented=True)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", MORE)
def test_recorded_differences_between_versions_are_reproduced(name: str) -> None:
    recording = MORE[name]
    different = Recorded(recording, pack, more_pack, versions=versions_of(recording)).play(documented=True)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", BESIDE)
def test_recordings_of_the_beside_pack_are_reproduced(name: str) -> None:
    different = Recorded(BESIDE[name], pack, beside_pack).play(documented=True)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", CALLS)
def test_recorded_requests_of_workflows_are_reproduced(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_WORD", "open-sesame")
    monkeypatch.delenv("NO_SUCH_NAME", raising=False)
    versions = versions_of(CALLS[name]) if "/" in name else None
    recorded = Recorded(CALLS[name], pack, calls_pack, versions=versions)
    written = Path(CALLS[name].file).read_text(encoding="utf-8")
    date = re.search(r'"date": "(\w+, [^"]+ GMT)"', written)
    CalledApplication(recorded.mock, recorded.clock, date[1] if date else "")
    different = recorded.play(documented=True)
    assert not different, "\n".join(different)


@pytest.mark.parametrize("name", OVER_A_SOCKET)
def test_recordings_that_depend_on_the_transport_are_reproduced_over_a_socket(
    name: str, s3_server: str
) -> None:
    also = {**dict.fromkeys(FURTHER, further_pack), **dict.fromkeys(BESIDE, beside_pack)}
    scripts = [pack, also[name]] if name in also else [pack]
    recording = (RECORDINGS | FURTHER | BESIDE)[name]
    different = Recorded(recording, *scripts, s3=s3_server).play("socket")
    assert not different, "\n".join(different)


def test_the_same_time_passes_between_two_requests_as_in_the_recording() -> None:
    """The requests between the two signals of `approval` add nothing to the history."""
    recorded = Recorded(RECORDINGS["approval"], pack)
    assert recorded.play() == []
    (run,) = (run for run in recorded.mock.runs.values() if run.workflow == "conf_approval")
    first, second = (
        datetime.fromisoformat(event["eventTime"].replace("Z", "+00:00"))
        for event in run.history
        if event["eventTypeName"] == "WORKFLOW_EXECUTION_SIGNALED"
    )
    assert second - first == timedelta(milliseconds=33)


def test_the_documented_number_of_recorded_exchanges_is_correct() -> None:
    told = " ".join(EVERYTHING.split())
    first, further = (
        sum(recording.exchanges for recording in group.values()) for group in (RECORDINGS, FURTHER)
    )
    for said in (
        f"`tests/recordings/0.11/` has {first} exchanges",
        f"`tests/recordings/0.11/further/` has {further:,} more",
        f"of the {first} recorded exchanges",
        f"of the {further:,} further ones",
    ):
        assert said in told
