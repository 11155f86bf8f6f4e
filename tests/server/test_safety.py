"""The server survives any request: limits of the API and the control plane, and documented responses."""

from __future__ import annotations

import gc
import json
import os
import socket
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests as requests_
from hypothesis import given, settings
from hypothesis import strategies as st

from output_contract.conformity import check_response
from output_mock import Context, OutputMock, openapi
from output_mock.contract.operations import ROUTES
from output_mock.control.operations import OPERATIONS
from output_mock.control.workflows import MOST_CATALOGS
from output_mock.http.journal import Call, Journal
from tests.client import Client
from tests.control.control_document import problems
from tests.control.served import served, worlds_of


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with served(worlds_of(most=5)) as client:
        yield client


# Fuzzing: documented responses, without delay

NASTY = st.sampled_from(
    [
        *(
            "",
            "a",
            "x",
            "..",
            "../../etc/passwd",
            "a/b",
            "a\0b",
            "é",
            "😀",
            "\ud800",
            "%",
            "'",
            '"',
            "$catalog",
        ),
        *("main", "true", "-1", "1e999", "9" * 30, "x" * 2000, "1h", "echo", "approval", "slow"),
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    NASTY,
    st.text(max_size=10),
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NASTY, inner, max_size=3)),
    max_leaves=8,
)


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Values that mostly match a schema, and some that do not."""
    return st.one_of(fitting(schema), fitting(schema), fitting(schema), JSON)


def fitting(schema: Any) -> st.SearchStrategy[Any]:
    if "anyOf" in schema:
        return st.one_of(*(fitting(one) for one in schema["anyOf"]))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "integer":
        return st.integers(schema.get("minimum", -10), min(schema.get("maximum", 1000), 1000))
    if kind == "number":
        return st.floats(max(0.001, schema.get("minimum", 0)), min(schema.get("maximum", 10.0), 10.0))
    if kind == "boolean":
        return st.booleans()
    if kind == "array":
        return st.lists(values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3)
    if kind == "object" and "properties" in schema:
        required = set(schema.get("required", ()))
        return st.fixed_dictionaries(
            {name: values(one) for name, one in schema["properties"].items() if name in required},
            optional={
                name: values(one) for name, one in schema["properties"].items() if name not in required
            },
        )
    if kind == "object":
        return st.dictionaries(NASTY, SCALARS, max_size=2)
    if kind == "string" and "ms|s|m|h|d|w" in schema.get("pattern", ""):
        return st.sampled_from(["0s", "10ms", "5s", "1h", "30d"])
    return NASTY if kind == "string" else JSON


WORKFLOWS = st.sampled_from(
    [
        {"workflows": [{"name": "made", "returns": "{{ input }}"}]},
        {"workflows": [{"name": "made", "steps": [{"step": "x", "takes": "1h", "fails": "no"}]}]},
        {"workflows": [{"name": "echo", "steps": [{"wait_for_signal": "go"}], "returns": 1}]},
        {"workflows": []},
    ]
)
# Building a strategy costs more than drawing from it.
QUERIES = {
    operation.name: {name: values(schema) for name, schema in operation.query.items()}
    for operation in OPERATIONS
}
BODIES = {operation.name: values(operation.body) for operation in OPERATIONS if operation.body is not None}
IDS = st.sampled_from(["a", "b", "main", "default", "s", "1", "made", "echo", "flaky"])


@st.composite
def controls(draw: Any) -> tuple[str, str, Any]:
    """A request for the control plane."""
    operation = draw(st.sampled_from(OPERATIONS))
    path = operation.path
    while "{" in path:
        begin, _, rest = path.partition("{")
        name = draw(st.one_of(IDS, IDS, NASTY))
        path = f"{begin}{quote(name.encode('utf-8', 'surrogatepass'), safe='')}{rest.partition('}')[2]}"
    query = {}
    for name, strategy in QUERIES[operation.name].items():
        if draw(st.integers(0, 3)) == 0:
            value = draw(strategy)
            query[name] = str(value).lower() if isinstance(value, bool) else str(value)
    query.setdefault("timeout", "0s") if operation.name == "waitForCalls" else None
    if query:
        path += "?" + "&".join(
            f"{name}={quote(value.encode('utf-8', 'surrogatepass'), safe='')}"
            for name, value in query.items()
        )
    body = None
    if operation.body is not None:
        strategy = BODIES[operation.name]
        if operation.name in ("addWorkflows", "replaceWorkflows"):
            strategy = st.one_of(WORKFLOWS, strategy)
        body = draw(strategy)
        if operation.name == "addFault" and isinstance(body, dict):
            # Leave out faults that would hide the responses to later requests of this test.
            body = {**body, "workflow": "nobody's"}
            for name in ("delay", "dribble"):
                body.pop(name, None)
    return operation.method, f"/__mock__{path}", body


KNOWN_BODY = st.fixed_dictionaries(
    {},
    optional={
        "workflowName": st.one_of(IDS, NASTY),
        "workflowId": st.one_of(IDS, NASTY),
        "input": JSON,
        "timeout": st.one_of(st.integers(250, 1000), SCALARS),
        "catalog": st.one_of(st.just("main"), NASTY),
        "payload": JSON,
        "stepName": NASTY,
        "reason": NASTY,
    },
)
START_BODY = fitting(openapi.document()["components"]["schemas"]["StartRequest"])
API_BODIES = st.one_of(KNOWN_BODY, KNOWN_BODY, START_BODY, JSON)


@st.composite
def requests(draw: Any) -> tuple[str, str, Any]:
    """A request for the API."""
    method, path, _ = draw(st.sampled_from([route for route in ROUTES if route[2] != "history_stream"]))
    while "{" in path:
        begin, _, rest = path.partition("{")
        name = draw(st.one_of(IDS, NASTY)) or "a"
        path = f"{begin}{quote(name.encode('utf-8', 'surrogatepass'), safe='')}{rest.partition('}')[2]}"
    body = draw(API_BODIES)
    return method, path, body if method in ("POST", "PATCH") else None


@settings(max_examples=40)
@given(sent=st.lists(st.one_of(controls(), requests()), min_size=1, max_size=12))
def test_every_request_gets_a_documented_response(client: Client, sent: list[tuple[str, str, Any]]) -> None:
    for method, path, body in sent:
        answer = client.unchecked(method, path, *([] if body is None else [body]))
        if path.startswith("/__mock__"):
            assert answer.status != 500, (method, path, body, answer.text)
            assert problems(method, path, answer.status, answer.headers, answer.body) == []
        elif answer.status != 304:
            error = (
                answer.json.get("error") if answer.status >= 500 and answer.body.startswith(b"{") else None
            )
            if error not in ("ScriptError", "StalledError"):
                check_response(method, path, answer.status, answer.headers, answer.body)
    client.control("POST", "/world/wipe", expect=200)
    assert client.run("echo", 1)["output"] == 1


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET " + b"/x" * 200_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(40_000)) + b"\r\n",
        b"POST /__mock__/clock/advance HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n",
        b"POST /workflow/run HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /w/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        b"GET http://evil.example/__mock__/clock HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /__mock__/runs/%00%ff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\0" * 1000 + b"\r\n\r\n",
    ],
    ids=range(10),
)
def test_bytes_that_are_not_http_do_no_harm(client: Client, raw: bytes) -> None:
    host, _, port = client.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        connection.settimeout(0.5)
        try:
            connection.sendall(raw)
            connection.recv(65536)
        except OSError:
            pass
    assert client.run("echo", 1)["output"] == 1


# Limits


def test_no_request_can_create_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with served(worlds_of()) as client:
        for name in ("../up", "/abs", "..", "a\0b", "C:\\x", "~/x"):
            client.unchecked("POST", "/workflow/run", {"workflowName": "echo", "workflowId": name})
            client.unchecked("POST", "/__mock__/worlds", {"name": name})
            client.unchecked("POST", "/__mock__/snapshots", {"name": name})
            client.unchecked("PUT", f"/__mock__/catalogs/{quote(name, safe='')}", {})
            client.unchecked("PUT", f"/__mock__/workflows/{quote(name, safe='')}", {"returns": 1})
    assert os.listdir(tmp_path) == []
    assert os.listdir(tmp_path.parent) == [tmp_path.name] or "up" not in os.listdir(tmp_path.parent)


def test_the_numbers_of_catalogs_and_workflows_are_limited(client: Client) -> None:
    many = {"workflows": [{"name": f"w{n}", "returns": 1} for n in range(2001)]}
    client.control("POST", "/workflows", many, expect=409)
    names = [f"c{n}" for n in range(MOST_CATALOGS)]
    client.control("PUT", "/workflows/w", {"returns": 1, "catalogs": names}, expect=409)
    deep: Any = 1
    for _ in range(100):
        deep = [deep]
    client.control("PUT", "/workflows/w", {"returns": deep}, expect=400)


def test_the_clock_cannot_be_advanced_beyond_the_last_date(client: Client) -> None:
    client.control("POST", "/worlds", {"name": "far"})
    far = client.of("far")
    for _ in range(15):
        last = far.control("POST", "/clock/advance", {"by": 3_155_760_000}).status
    assert last == 400
    far.control("POST", "/faults", {"delay": "36500d", "times": "always", "route": "runs"})
    assert far.get("/workflow/runs").status == 200
    assert far.run("echo", 1)["output"] == 1
    client.control("DELETE", "/worlds/far")


def test_an_endless_run_in_one_world_does_not_stop_another(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from output_mock.control import clock

    monkeypatch.setattr(clock, "PATIENCE", 0.3)
    client.control("POST", "/worlds", {"name": "busy"})
    busy = client.of("busy")
    busy.control("PUT", "/workflows/loop", {"takes": "1s", "steps": [{"continue_as_new": None}]}, expect=201)
    busy.start("loop", workflowId="a")
    refused = busy.control("POST", "/clock/advance", {"by": "36500d"}, expect=409).json
    assert "advance it further" in refused["message"]
    assert client.run("echo", 1)["output"] == 1
    client.control("DELETE", "/worlds/busy", expect=204)


def test_a_script_that_blocks_is_interrupted_and_other_worlds_continue(client: Client) -> None:
    client.control("POST", "/worlds", {"name": "stuck"})
    big = "{{ " + " + ".join(["'x' * 100000"] * 50) + " }}"
    stuck = client.of("stuck")
    answer = stuck.control("PUT", "/workflows/w", {"returns": big})
    if answer.status == 201:
        stuck.unchecked("POST", "/workflow/run", {"workflowName": "w"})
    assert client.run("echo", 1)["output"] == 1
    client.control("DELETE", "/worlds/stuck", expect=204)


def a_call(number: int, answer: bytes = b"", reason: str | None = None) -> Call:
    return Call(number, 0, "GET", "/", {}, None, None, None, None, None, {}, 200, answer, False, reason)


def test_a_journal_is_limited_in_calls_and_bytes() -> None:
    journal = Journal(5, most_bytes=10_000)
    for number in range(10):
        journal.add(a_call(number))
    assert [call.number for call in journal] == [5, 6, 7, 8, 9]
    journal.add(a_call(10, b"x" * 5_000))
    journal.add(a_call(11, b"x" * 5_000))
    assert [call.number for call in journal] == [11]
    # A call larger than the limit is kept without its response.
    journal.add(a_call(12, b"x" * 20_000))
    assert [(call.number, call.answer is None) for call in journal] == [(11, False), (12, True)]
    journal.clear()
    assert len(journal) == 0


def test_a_journal_keeps_the_calls_that_no_script_matches_but_not_without_limit() -> None:
    journal = Journal(5)
    for number in range(10):
        journal.add(a_call(number, reason=None if number % 2 else "no such workflow"))
    assert [call.number for call in journal] == [5, 6, 7, 8, 9]
    assert [call.number for call in journal.unmatched()] == [0, 2, 4, 6, 8]
    for number in range(10, 100):
        journal.add(a_call(number, b"x" * 100_000, reason="no such workflow"))
    assert len(journal.unmatched()) < 30
    journal.clear()
    assert journal.unmatched() == []


# What a client can send that takes more memory than its bytes: many small values, long headers and queries.
LARGE_CALLS: dict[str, Callable[[], dict[str, Any]]] = {
    "headers": lambda: {"headers": {"X-Long": "h" * 50_000}},
    "many headers": lambda: {"headers": {f"X-{n}": "h" for n in range(125)}},
    "empty lists": lambda: {"json": {"payload": {"a": [[] for _ in range(1_250)]}}},
    "objects": lambda: {"json": {"payload": {"a": [{f"key-{n}": {}} for n in range(250)]}}},
    "numbers": lambda: {"json": {"payload": {"a": [n + 0.5 for n in range(1_250)]}}},
    "text beyond Latin": lambda: {"json": {"payload": {"a": "\N{SNOWMAN}" * 12_500}}},
    "a query": lambda: {"query_string": "&".join(f"a{n}=b" for n in range(225))},
    "a path": lambda: {"path": "/workflow/" + "p" * 25_000 + "/signal/x"},
}


@pytest.mark.parametrize("kind", LARGE_CALLS)
def test_a_journal_counts_the_memory_that_its_calls_hold(kind: str) -> None:
    mock = OutputMock()
    most = 2**18
    client = mock.app.test_client()

    def ask(times: int) -> int:
        """Make that many calls, and return how much memory is allocated since the beginning."""
        for _ in range(times):
            client.post(**{"path": "/workflow/none/signal/x", "json": {}, **LARGE_CALLS[kind]()})
            # As in a test that looks for a header.
            next(reversed(list(mock.app.calls))).headers.get("x-none")
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    ask(1)
    mock.app.calls = Journal(10_000, most_bytes=most)
    tracemalloc.start()
    try:
        times = 2 * int(most / (ask(2) / 2)) + 2
        held = ask(times)
    finally:
        tracemalloc.stop()
    assert 1 < len(mock.app.calls) < times, "the limit was not reached"
    assert most / 4 < held < most * 1.2


def test_a_call_is_not_built_when_the_journal_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from output_mock import OutputMock
    from output_mock.http import journal_entry

    def never(*_: Any) -> None:
        raise AssertionError("a call was built")

    monkeypatch.setattr(journal_entry, "Call", never)
    mock = OutputMock()
    mock.app.calls.most = 0
    assert mock.app.test_client().get("/health").status_code == 200


def test_the_largest_responses_are_valid_json(client: Client) -> None:
    text = "x" * 1_500_000
    assert client.run("echo", text)["output"] == text
    calls = client.control("GET", "/calls", limit=1).json["calls"]
    assert json.dumps(calls[0]["answer"]["output"]) == json.dumps(text)


class LastStraw(BaseException):
    """An exception that no script should raise."""


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit(3), LastStraw])
@pytest.mark.parametrize("where", ["script", "step", "query", "signal"])
def test_any_exception_in_a_script_is_reported_and_the_server_continues(
    error: BaseException | type[BaseException], where: str
) -> None:
    def fail(given: Any = None) -> Any:
        raise error

    mock = OutputMock()
    mock.workflow("fine").returns(1)

    @mock.workflow("raises")
    async def raises(ctx: Context, given: Any) -> Any:
        ctx.on_query("ask", fail)
        ctx.on_signal("tell", fail)
        if where == "script":
            fail()
        if where == "step":
            await ctx.step("fails", returns=fail)
        await ctx.wait_for_signal("go")

    with mock.serve() as url:
        base = f"{url}/workflow"
        body = {"workflowName": "raises", "workflowId": "wf"}
        answers = [requests_.post(f"{base}/start", json=body, timeout=30)]
        if where == "query":
            answers.append(requests_.post(f"{base}/wf/query/ask", json={}, timeout=30))
        else:
            answers.append(requests_.post(f"{base}/wf/signal/tell", json={}, timeout=30))
            answers.append(requests_.get(f"{base}/wf/status", timeout=30))
            answers.append(requests_.get(f"{base}/wf/result", timeout=30))
        assert answers[-1].status_code == 500, [answer.text for answer in answers]
        assert "raised " + (error if isinstance(error, type) else type(error)).__name__ in answers[-1].text
        fine = requests_.post(f"{base}/run", json={"workflowName": "fine"}, timeout=30)
        assert fine.json()["output"] == 1
