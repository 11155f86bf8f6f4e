"""Two users of one server, each with their own token, never see each other's data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client as WSGIClient

from output_mock.control.front import Front
from output_mock.control.operations import OPERATIONS
from output_mock.control.worlds import Worlds
from tests.control.served import worlds_of

# A text of each user that is in everything that the user sends.
MARKS = {"ann": "MARK_OF_ANN", "bob": "MARK_OF_BOB"}
OTHER = {"ann": "bob", "bob": "ann"}


class User:
    """Sends requests with a token, and remembers every response."""

    def __init__(self, name: str, front: Front) -> None:
        self.name = name
        self.mark = MARKS[name]
        self._http = WSGIClient(front)
        self.seen: list[tuple[str, bytes]] = []

    def send(self, method: str, path: str, body: Any = None) -> int:
        answer = self._http.open(
            path,
            method=method,
            base_url="http://localhost",
            headers={"Authorization": f"Bearer token-of-{self.name}"},
            data=None if body is None else json.dumps(body),
            content_type=None if body is None else "application/json",
        )
        told = f"{answer.status} {dict(answer.headers)}".encode() + answer.get_data()
        self.seen.append((f"{method} {path}", told))
        return answer.status_code

    def marked(self, what: str) -> str:
        return f"{what}-{self.mark}"

    def id(self, number: int) -> str:
        # Both use the same ids in addition to their own.
        return f"shared-{number}" if number < 2 else self.marked(f"id{number}")


@contextmanager
def two_users() -> Iterator[dict[str, User]]:
    worlds: Worlds = worlds_of()
    front = Front(worlds)
    try:
        for name in MARKS:
            worlds.make(name, {"seed": 3}, [f"token-of-{name}"])
        yield {name: User(name, front) for name in MARKS}
    finally:
        for held in worlds:
            held.mock.close()
        worlds.close()


def check(users: dict[str, User]) -> None:
    """Raise if a user has seen the mark of the other user."""
    for name, user in users.items():
        foreign = MARKS[OTHER[name]].encode()
        for request, told in user.seen:
            assert foreign not in told, f"{name} asked {request} and was told {told!r}"


# An action of a user: a name, and two numbers that select the run, signal or snapshot.

ACTIONS: dict[str, Any] = {
    "start": lambda u, n, m: u.send(
        "POST",
        "/workflow/start",
        {
            "workflowName": ["echo", "slow", "approval", u.marked("none"), "own", "wrong"][m],
            "workflowId": u.id(n),
            "input": {"text": u.mark},
        },
    ),
    "run": lambda u, n, m: u.send(
        "POST",
        "/workflow/run",
        {
            "workflowName": ["echo", "slow", "own", "wrong", "echo", "own"][m],
            "workflowId": u.id(n),
            "input": u.mark,
        },
    ),
    "signal": lambda u, n, m: u.send(
        "POST",
        f"/workflow/{u.id(n)}/signal/{u.marked('approve') if m else 'approve'}",
        {"payload": {"by": u.mark}},
    ),
    "query": lambda u, n, m: u.send(
        "POST", f"/workflow/{u.id(n)}/query/{u.marked('q') if m else 'stage'}", {"payload": {"text": u.mark}}
    ),
    "update": lambda u, n, m: u.send(
        "POST", f"/workflow/{u.id(n)}/update/{u.marked('u')}", {"payload": {"text": u.mark}}
    ),
    "end": lambda u, n, m: u.send(
        *[
            ("PATCH", f"/workflow/{u.id(n)}/stop"),
            ("POST", f"/workflow/{u.id(n)}/terminate", {"reason": u.mark}),
        ][m % 2]
    ),
    "look": lambda u, n, m: u.send(
        "GET",
        f"/workflow/{u.id(n)}/"
        + [
            "status",
            "result",
            "input",
            "history?includePayloads=true",
            "history/stream?includePayloads=true",
            "trace-log",
        ][m],
    ),
    "list": lambda u, n, m: u.send("GET", "/workflow/runs" if m % 2 else "/workflow/catalog"),
    "nowhere": lambda u, n, m: u.send("GET", f"/{u.marked('nowhere')}"),
    "define": lambda u, n, m: u.send(
        "POST",
        "/__mock__/workflows",
        {
            "workflows": [
                {"name": "own", "returns": {"mark": u.mark}},
                {"name": f"named_{u.mark}", "returns": u.mark},
                {
                    "name": "wrong",
                    "returns": "{{ nothing }}" if m % 2 else "{{ input." + "missing_" + u.mark + ".x }}",
                },
            ]
        },
    ),
    "fault": lambda u, n, m: u.send(
        "POST", "/__mock__/faults", {"status": 503, "body": {"mark": u.mark}, "workflow": f"named_{u.mark}"}
    ),
    "snapshot": lambda u, n, m: u.send("POST", "/__mock__/snapshots", {"name": f"{u.mark}.{n}"}),
    "restore": lambda u, n, m: u.send("POST", f"/__mock__/snapshots/{u.mark}.{n}/restore"),
    "by-name": lambda u, n, m: u.send("GET", f"/__mock__/worlds/{u.name}"),
    "of-the-other": lambda u, n, m: u.send(
        *[
            ("GET", f"/__mock__/worlds/{OTHER[u.name]}"),
            ("POST", f"/__mock__/worlds/{OTHER[u.name]}/wipe"),
            ("DELETE", f"/__mock__/worlds/{OTHER[u.name]}"),
        ][m % 3]
    ),
    "complete": lambda u, n, m: u.send("POST", f"/__mock__/runs/{u.id(n)}/complete", {"output": u.mark}),
    "advance": lambda u, n, m: u.send("POST", "/__mock__/clock/advance", {"by": "1h"}),
    "wipe": lambda u, n, m: u.send("POST", "/__mock__/world/wipe"),
}


def look_at_everything(user: User) -> None:
    """Read everything that the control plane and the API show."""
    for operation in OPERATIONS:
        if operation.method != "GET":
            continue
        path, ids = operation.path, [user.id(n) for n in range(4)]
        query = "?timeout=0s" if path.endswith("/wait") else ""
        for id in ids if "{workflowId}" in path else ["x"]:
            filled = path.replace("{workflowId}", quote(id)).replace("{name}", "own")
            assert "{" not in filled, filled
            user.send("GET", f"/__mock__{filled}{query}")
        if "{workflowId}" in path and "history" in operation.query:
            for id in ids:
                user.send("GET", f"/__mock__{path.replace('{workflowId}', quote(id))}?history=true")
    for path in ("/workflow/runs", "/workflow/catalog", "/health", "/nowhere"):
        user.send("GET", path)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(sorted(MARKS)), st.sampled_from(sorted(ACTIONS)), st.integers(0, 3), st.integers(0, 5)
    ),
    max_size=25,
)
MISTAKE = [("ann", "define", 0, 0), ("ann", "start", 2, 5), ("ann", "look", 2, 1)]


@settings(max_examples=30)
@example(MISTAKE)
@example([("ann", "snapshot", 0, 0), ("bob", "of-the-other", 0, 0)])
@example([("bob", "start", 0, 2), ("ann", "of-the-other", 0, 1), ("ann", "start", 0, 1)])
@given(STEPS)
def test_a_client_never_sees_the_runs_of_another_token(
    steps: list[tuple[str, str, int, int]],
) -> None:
    with two_users() as users:
        for name, action, number, other in steps:
            ACTIONS[action](users[name], number, other)
        for user in users.values():
            look_at_everything(user)
        check(users)


# The status of each action while run 2 of user Ann is running.
ANSWERS = {
    "define": 409,
    "nowhere": 404,
    "of-the-other": 404,
    "start": 500,
    "update": 500,
    "run": 500,
    "end": 200,
}


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_each_action_of_the_test_changes_the_server(action: str) -> None:
    # Otherwise the property could hold only because every request is refused.
    with two_users() as users:
        user = users["ann"]
        for before in ("define", "snapshot", "start"):
            ACTIONS[before](user, 2, 2 if before == "start" else 0)
            if before == action == "define":
                # Only once.
                assert user.seen[-1][1].startswith(b"201"), user.seen[-1]
        status = ACTIONS[action](user, 2, 0)
        assert status == ANSWERS.get(action, status)
        assert status in (200, 201, 204) or action in ANSWERS, user.seen[-1]
