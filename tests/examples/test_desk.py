"""Posts are published when the desk approves them, even if requests are lost, late or duplicated."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from output_mock import Context, Failure, OutputMock

if TYPE_CHECKING:
    from fastapi.testclient import TestClient

DRAFTS = "https://desk.example/drafts"


@pytest.fixture
def people(output_mock: OutputMock) -> Iterator[TestClient]:
    """The desk, as people use it, and the workflow that calls it."""
    # Only when a test needs it: FastAPI takes a while to import.
    from fastapi.testclient import TestClient
    from publishing.desk import desk

    @output_mock.workflow("publish")
    async def publish(ctx: Context, input: Any) -> Any:
        answer = await ctx.send_post_request_and_await_webhook(DRAFTS, payload=input, timeout="20h")
        if answer["decision"] != "approved":
            raise Failure("refused", name="RefusedError")
        return {"published": input["text"]}

    app = desk()
    output_mock.application("https://desk.example", app)
    with TestClient(app) as client:
        yield client


def write(people: TestClient, fake: OutputMock, text: str = "All about bees.") -> str:
    """Write a post, and wait until it is on the desk."""
    post: str = people.post("/posts", json={"text": text}).json()["id"]
    fake.callbacks.assert_called_back(DRAFTS, {"text": text}, workflow_id=post)
    return post


def decide(people: TestClient, post: str, decision: str) -> int:
    return people.post(f"/drafts/{post}", data={"decision": decision}).status_code


def test_an_approved_post_is_published(output_mock: OutputMock, people: TestClient) -> None:
    post = write(people, output_mock)
    assert "All about bees." in people.get(f"/drafts/{post}").text
    assert decide(people, post, "approved") == 200
    assert output_mock.runs[post].output == {"published": "All about bees."}


def test_a_refused_post_is_not_published(output_mock: OutputMock, people: TestClient) -> None:
    post = write(people, output_mock)
    assert decide(people, post, "refused") == 200
    assert output_mock.runs[post].error == {"name": "RefusedError", "message": "refused"}


def test_a_typo_is_approved_from_inside_the_request(output_mock: OutputMock, people: TestClient) -> None:
    post = write(people, output_mock, "Typo: beess")
    assert output_mock.runs[post].output == {"published": "Typo: beess"}


def test_a_decision_that_comes_too_late_is_refused(output_mock: OutputMock, people: TestClient) -> None:
    post = write(people, output_mock)
    output_mock.clock.advance("21h")
    assert output_mock.runs[post].status == "failed"
    assert decide(people, post, "approved") == 410
    assert people.get(f"/drafts/{post}").status_code == 404


def test_a_draft_that_arrives_twice_is_on_the_desk_once(output_mock: OutputMock, people: TestClient) -> None:
    output_mock.callbacks.duplicate_next()
    post = write(people, output_mock)
    assert len(output_mock.callbacks(DRAFTS)) == 2
    assert decide(people, post, "approved") == 200
    assert decide(people, post, "refused") == 409
    assert output_mock.runs[post].status == "completed"


def test_a_typo_that_arrives_twice_is_approved_once(output_mock: OutputMock, people: TestClient) -> None:
    output_mock.callbacks.duplicate_next()
    post = write(people, output_mock, "Typo: beess")
    assert output_mock.runs[post].status == "completed"
    assert [call.route for call in output_mock.calls].count("feedback") == 1


def test_a_lost_draft_fails_the_run(output_mock: OutputMock, people: TestClient) -> None:
    output_mock.callbacks.drop_next()
    post = people.post("/posts", json={"text": "All about bees."}).json()["id"]
    output_mock.callbacks.one()
    error = output_mock.runs[post].error
    assert error is not None
    assert error["message"] == f"POST {DRAFTS} SocketError: other side closed"
    assert people.get(f"/drafts/{post}").status_code == 404


def test_a_post_without_a_decision_fails(output_mock: OutputMock, people: TestClient) -> None:
    post = write(people, output_mock)
    output_mock.clock.advance("19h")
    assert output_mock.runs[post].progress.startswith("waiting for signal 'resume' since 19h")
    output_mock.clock.advance("1h")
    assert output_mock.runs[post].status == "failed"
