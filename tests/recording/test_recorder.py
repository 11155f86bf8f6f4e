"""A recording has the responses, their times, and marks of unstable values."""

from __future__ import annotations

from typing import Any

import pytest

from output_contract.pack import script as pack
from output_mock import OutputMock
from output_mock.javascript_json import to_bytes
from output_mock.recording import versions
from output_mock.recording.answers import Answer
from output_mock.recording.player import Player
from output_mock.recording.recorder import record
from output_mock.recording.replaying import between, replay
from output_mock.recording.scenario import Scenario
from output_mock.recording.transport import InProcessTransport, Reply
from tests.conftest import no_hang
from tests.fidelity.played_clock import PlayedClock
from tests.fidelity.recorded import FOLDER, RECORDINGS, PlayedPace, recordings
from tests.recording.answering import JSON, Answering, CountedPace, Sent, json_reply, reply, scenario
from tests.recording.samples import UUID

GET = {"request": "GET /x"}
V11 = {"api": "0.11.0", "sdk": "0.11.0"}


def event(kind: str, number: int = 1) -> dict[str, Any]:
    return {"eventId": str(number), "eventTypeName": kind}


def recorded(*answers: Any, times: int, **step: Any) -> Scenario:
    """The recording of one request that gets these bodies in order."""
    transport = Answering(*(lambda sent, body=body: json_reply(body) for body in answers))
    player = Player(transport, pace=CountedPace())
    return record(scenario({**GET, **step}), player, V11, times=times).recording


def test_the_responses_of_the_first_pass_are_kept() -> None:
    recording = recorded({"a": 1}, {"a": 2}, times=2)
    assert recording.recorded == V11
    assert recording.steps[0].answer is not None
    assert recording.steps[0].answer["json"] == {"a": 1}


def test_values_that_differ_in_the_second_pass_are_marked_as_unstable() -> None:
    recording = recorded({"a": 1, "b": [1, {"c": 1}]}, {"a": 1, "b": [1, {"c": 2}]}, times=2)
    assert recording.steps[0].unstable == ("/body/b/1/c",)


def test_values_that_differ_only_in_the_third_pass_are_marked_too() -> None:
    recording = recorded({"a": 1, "b": 1}, {"a": 1, "b": 2}, {"a": 2, "b": 3}, times=3)
    assert recording.steps[0].unstable == ("/body/a", "/body/b")


def test_a_history_of_another_length_is_marked_as_a_whole() -> None:
    first = [event("A"), {**event("B", 2), "x": 1}]
    second = [event("A"), event("C", 2), {**event("B", 3), "x": 2}]
    recording = recorded({"events": first}, {"events": second}, times=2)
    assert recording.steps[0].unstable == ("/body/events",)


def test_events_in_another_order_are_marked_as_unordered() -> None:
    first, second = [event("A"), event("B", 2)], [event("B"), event("A", 2)]
    recording = recorded({"events": first}, {"events": second}, times=2)
    assert recording.steps[0].written == {**GET, "compare": "unordered"}


def test_stable_values_are_not_marked() -> None:
    assert recorded({"a": 1}, times=3).steps[0].written == GET


def test_recording_several_times_replaces_earlier_marks() -> None:
    assert recorded({"a": 1}, times=2, unstable=["/body/a"]).steps[0].unstable == ()
    assert recorded({"a": 1}, times=1, unstable=["/body/a"]).steps[0].unstable == ("/body/a",)


def test_replay_ignores_only_unstable_values() -> None:
    recording = recorded({"a": 1, "b": 1}, {"a": 2, "b": 1}, times=2)
    for body, differing in [({"a": 9, "b": 1}, []), ({"a": 1, "b": 2}, ["/body/b"])]:
        transport = Answering(lambda sent, body=body: json_reply(body))
        (compared,) = replay(recording, Player(transport, pace=CountedPace()))
        assert [one.pointer for one in compared.differences] == differing


def test_a_scenario_that_was_not_recorded_cannot_be_replayed() -> None:
    with pytest.raises(ValueError, match="not a recording"):
        list(replay(scenario(GET), Player(Answering(ConnectionRefusedError()))))


def test_two_recordings_of_one_scenario_are_compared_without_a_server() -> None:
    one, other = recorded({"a": 1, "b": 1}, {"a": 1, "b": 2}, times=2), recorded({"a": 2, "b": 3}, times=1)
    (compared,) = between(one, other)
    assert [str(difference) for difference in compared.differences] == ["body.a: recorded 1, got 2"]
    with pytest.raises(ValueError, match="the same requests"):
        list(between(one, record(scenario({"request": "GET /y"}), player_of({}), V11).recording))


def test_an_old_recording_is_compared_with_current_masks() -> None:
    older = {"status": 200, "headers": {}, "json": {"runId": UUID, "startedAt": 2}}
    recording = scenario({**GET, "answer": older}, recorded=V11)
    got = {"runId": UUID.replace("01a2", "5e0b"), "startedAt": 1}
    (compared,) = replay(recording, Player(Answering(lambda sent: reply(200, JSON, to_bytes(got)))))
    assert [one.pointer for one in compared.differences] == ["/headers/content-type"]
    (compared,) = between(recording, recording)
    assert compared.is_same


def player_of(body: Any) -> Player:
    return Player(Answering(lambda sent: json_reply(body)), pace=CountedPace())


def test_unexpected_events_are_reported() -> None:
    steps = (
        {**GET, "save": {"id": "workflowId", "unused": "runId"}},
        {"request": "GET /{{id}}"},
        {**GET, "until": {"status": ["completed", "failed"]}},
        {**GET, "until": {"status": "running", "stage": "review"}},
    )
    made = record(scenario(*steps), player_of({"status": "running"}), V11)
    assert made.warnings == (
        "step 1, GET /x: the answer, 200, has no value for {{id}}",
        "step 2, GET /{{id}}: not sent, as {{id}} has no value",
        "step 3, GET /x: waited in vain for status to be completed or failed, "
        "and the last answer has \"running\"; correct 'until', or allow more time with 'within'",
        "step 4, GET /x: waited in vain for stage to be review, and the last answer has none; "
        "correct 'until', or allow more time with 'within'",
    )


# --- time ------------------------------------------------------------------------------------------------


def test_a_recording_has_the_time_of_requests_when_responses_have_it() -> None:
    clock = PlayedClock()
    mock = OutputMock(clock, scripts=[pack])
    clock.let_pass(10)
    player = Player(InProcessTransport(mock.app), pace=PlayedPace(clock))
    again = record(RECORDINGS["approval"], player, V11).recording
    mock.close()

    def times(recording: Scenario) -> dict[str | None, int]:
        answered = [step for step in recording.steps if step.answer is not None and "at" in step.answer]
        return {step.request: step.answer["at"] for step in answered if step.answer is not None}

    moments = times(again)
    assert moments.keys() == times(RECORDINGS["approval"]).keys()
    assert moments["POST /workflow/start"] == 0
    assert list(moments.values()) == sorted(moments.values())
    assert len(moments) > 3


@pytest.mark.parametrize("clock", ["auto", "real"])
@pytest.mark.parametrize("name", ["start_and_poll", "stream_completed", "reset", "continue_as_new"])
def test_replaying_a_recording_of_the_fake_in_process_finds_no_differences(clock: Any, name: str) -> None:
    mock = OutputMock(clock, scripts=[pack])
    player = Player(InProcessTransport(mock.app))
    recording = record(RECORDINGS[name], player, V11).recording
    results = list(replay(recording, player))
    mock.close()
    assert len(results) == recording.exchanges > 0
    assert [result.differences for result in results if not result.is_same] == []


# --- versions --------------------------------------------------------------------------------------------


def server_of(*, polls: bool, has_input: bool, streams: bool) -> Answering:
    """A server that responds like the real one of version 0.8.0, 0.9.2, 0.10.0 or 0.11.0."""

    def answer(sent: Sent) -> Reply:
        path, _, query = sent.target.partition("?")
        if path == "/health":
            return reply(200, [("Content-Type", "text/plain; charset=utf-8")], b"OK")
        known = {"input": has_input, "stream": streams}.get(path.rpartition("/")[2], True)
        if not known:
            return reply(404, [("Content-Type", "text/plain; charset=utf-8")], b"Not Found")
        if query and polls:
            return json_reply({"error": "ValidationError", "message": "x"}, 400)
        return json_reply({"error": "WorkflowNotFoundError", "message": "x"}, 404)

    return Answering(answer)


@pytest.mark.parametrize(
    ("server", "version"),
    [
        (server_of(polls=True, has_input=True, streams=True), "0.11"),
        (server_of(polls=False, has_input=True, streams=True), "0.10"),
        (server_of(polls=False, has_input=False, streams=True), "0.9"),
        (server_of(polls=False, has_input=False, streams=False), "0.8"),
    ],
)
def test_the_version_of_a_server_is_detected_from_its_responses(server: Answering, version: str) -> None:
    assert versions.of_api(server) == version
    assert {sent.method for sent in server.sent} == {"GET"}


def test_the_fake_is_detected_as_the_newest_version() -> None:
    mock = OutputMock(auth_token="t0ken", catalog="main")
    assert versions.of_api(InProcessTransport(mock.app), "t0ken") == "0.11"
    with pytest.raises(versions.NoServer, match="--token"):
        versions.of_api(InProcessTransport(mock.app), "wrong")
    mock.close()


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "no server answers there"),
        (lambda sent: reply(200, [], b"<html>"), "answers 200, and not 200 OK as an Output API does"),
        (lambda sent: reply(404, [], b"Not Found"), "answers 404"),
    ],
)
def test_a_server_that_is_not_an_output_api_is_reported(answer: Any, words: str) -> None:
    with pytest.raises(versions.NoServer, match=words):
        versions.of_api(Answering(answer))


LOCAL: dict[str, Any] = {"local": "/app/x.json"}
BEFORE = {"status": "completed", "errorDetails": None}


@pytest.mark.parametrize(
    ("body", "possible"),
    [
        ({"v": "2", "status": "completed", "output": 1, "trace": LOCAL}, ("0.11",)),
        (
            {"status": "completed", "trace": {"destinations": LOCAL}, "errorDetails": None},
            ("0.8", "0.9", "0.10"),
        ),
        (
            {
                "status": "completed",
                "trace": {"destinations": {**LOCAL, "remote": None}},
                "errorDetails": None,
            },
            ("0.8", "0.9"),
        ),
        # Workers of 0.11 behind an API of 0.10, which finds neither output nor trace.
        (BEFORE, ()),
        ({"events": [{"eventTypeName": "WORKFLOW_PROPERTIES_MODIFIED"}]}, ("0.11",)),
        ({"events": [{"eventTypeName": "WORKFLOW_EXECUTION_STARTED"}]}, ()),
        ({"status": "running"}, ()),
        (["v"], ()),
    ],
)
def test_possible_sdk_versions_are_detected_from_responses(body: Any, possible: Any) -> None:
    answer = Answer(200, (("content-type", "application/json"),), to_bytes(body))
    assert versions.of_sdk([answer]) == possible
    assert versions.of_sdk([]) == ()


@pytest.mark.parametrize("folder", ["0.8", "0.9", "0.10", "0.11", "0.10+sdk0.11", "0.11+sdk0.10"])
def test_detected_sdk_versions_match_those_of_the_real_recordings(folder: str) -> None:
    for recording in recordings(FOLDER / folder).values():
        assert recording.recorded is not None
        answers = [
            Answer(200, (("content-type", "application/json"),), to_bytes(step.answer["json"]))
            for step in recording.steps
            if step.answer is not None and "json" in step.answer
        ]
        said, possible = recording.recorded["sdk"], versions.of_sdk(answers)
        assert not possible or said.rpartition(".")[0] in possible, recording.name


@pytest.mark.parametrize("name", [{"a": []}, ["x"], 1, None])
def test_a_history_of_wrong_types_is_recorded_unchanged(name: Any) -> None:
    when = {"eventTime": "2026-01-01T00:00:00.000Z"}
    update = {"acceptedRequest": {"input": {"name": name}}}
    events = [
        {
            **when,
            "eventTypeName": "WORKFLOW_EXECUTION_SIGNALED",
            "workflowExecutionSignaledEventAttributes": {"signalName": name},
        },
        {
            **when,
            "eventTypeName": "WORKFLOW_EXECUTION_UPDATE_ACCEPTED",
            "workflowExecutionUpdateAcceptedEventAttributes": update,
        },
    ]
    made = recorded({"events": events}, times=1)
    answer = made.steps[0].answer
    assert answer is not None
    assert [each["eventTypeName"] for each in answer["json"]["events"]] == [
        each["eventTypeName"] for each in events
    ]
    assert "at" not in answer


def test_a_large_changed_response_is_marked_and_compared_quickly() -> None:
    fields = 30_000
    with no_hang():
        made = recorded(*({f"f{n}": each for n in range(fields)} for each in (1, 2)), times=2)
        again = Player(Answering(lambda sent: json_reply({f"f{n}": 3 for n in range(fields)})))
        assert len(made.steps[0].unstable) == fields
        assert [each.is_same for each in replay(made, again)] == [True]
