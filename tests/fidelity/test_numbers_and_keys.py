"""Numbers and keys look as JavaScript writes them wherever a client meets them."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from output_mock import Context, OutputMock, Script
from output_mock.scripts.loading import load_file
from output_mock.traces import in_folder
from tests.control.served import served, worlds_of

# What a client sends, and what the real server (0.11.0) returns.
SENT = (
    '{"b":3.099350534467731e+16,"10":12345678901234567890,"9":[1e21,1e20,1e-7,0.00001,-0,-0.0,1e999],'
    '"01":9007199254740993,"b":3.099350534467731e+16,"__proto__":{"2":2,"1":1},"4294967295":0,"4294967294":0}'
)
SEEN = (
    '{"9":[1e+21,100000000000000000000,1e-7,0.00001,0,0,null],"10":12345678901234567000,"4294967294":0,'
    '"b":30993505344677310,"01":9007199254740992,"__proto__":{"1":1,"2":2},"4294967295":0}'
)
JSON = {"Content-Type": "application/json"}


async def echo(ctx: Context, input: Any) -> Any:
    ctx.on_query("last", lambda payload: payload)
    ctx.on_update("change", lambda payload: payload)
    await ctx.wait_for_signal("go")
    return await ctx.step("reflect", input, returns=lambda given: given)


@pytest.fixture
def mock(tmp_path: Path) -> OutputMock:
    mock = OutputMock(seed=7, traces=in_folder(tmp_path))
    mock.workflow("echo")(echo)
    return mock


def test_numbers_and_keys_look_the_same_in_every_response(mock: OutputMock, tmp_path: Path) -> None:
    client = mock.app.test_client()

    def post(path: str, body: str) -> str:
        answer = client.post(path, data=body, headers=JSON)
        assert answer.status_code == 200, answer.text
        return answer.text

    post("/workflow/start", f'{{"workflowName":"echo","workflowId":"x","input":{SENT}}}')
    assert post("/workflow/x/query/last", f'{{"payload":{{"v":{SENT}}}}}') == f'{{"v":{SEEN}}}'
    assert post("/workflow/x/update/change", f'{{"payload":{{"v":{SENT}}}}}') == f'{{"v":{SEEN}}}'
    post("/workflow/x/signal/go", f'{{"payload":{{"v":{SENT}}}}}')
    mock.clock.run_due()
    assert f'"input":{SEEN},"output":{SEEN},' in client.get("/workflow/x/result").text
    assert f'"input":{SEEN}}}' in client.get("/workflow/x/input").text
    for path in ("history?includePayloads=true&pageSize=50", "history/stream?includePayloads=true"):
        history = client.get(f"/workflow/x/{path}").text
        # The input and result of the run and of its step.
        assert history.count(f"[{SEEN}]") == 4, path
        # The payloads of the signal and the update, and the result of the update, are in base 64.
        payload = base64.b64encode(f'{{"v":{SEEN}}}'.encode()).decode()
        assert history.count(payload) == 3, path
    (file,) = tmp_path.rglob("*.json")
    assert file.read_text().count(f'"input":{SEEN}') == 2
    assert file.read_text().count(f'"output":{SEEN}') == 2


def test_a_python_script_formats_numbers_and_keys_as_javascript(mock: OutputMock) -> None:
    value = {"b": 2**60, 10: 1e16, "9": float("nan"), "x": [5.0, 1e-7]}
    mock.workflow("says").returns(value)
    answer = mock.app.test_client().post("/workflow/run", json={"workflowName": "says"})
    assert '"output":{"9":null,"10":10000000000000000,"b":1152921504606847000,"x":[5,1e-7]},' in answer.text


def test_a_run_can_be_started_from_python_with_any_number(mock: OutputMock) -> None:
    run = mock.world.start("echo", {"b": 2**60, "1": 3.099350534467731e16}, workflow_id="x")
    answer = mock.app.test_client().get(f"/workflow/{run.workflow_id}/input")
    assert '"input":{"1":30993505344677310,"b":1152921504606847000}' in answer.text


def test_a_yaml_script_formats_numbers_and_keys_as_javascript(tmp_path: Path) -> None:
    file = tmp_path / "numbers.yaml"
    file.write_text(
        "workflows:\n"
        "  - name: numbers\n"
        "    returns:\n"
        "      b: 12345678901234567890\n"
        "      '1': 1.0e+20\n"
        '      sum: "{{ input.n + 1 }}"\n'
        '      half: "{{ 6 / 2 }}"\n'
        '      text: "{{ input.n }} {{ 6 / 2 }} {{ 1 / 10000000 }}"\n'
        '      json: "{{ input.o | json }}"\n'
    )
    mock = OutputMock(seed=7, scripts=[one for one in load_file(file) if isinstance(one, Script)])
    body = '{"workflowName":"numbers","input":{"n":3.099350534467731e+16,"o":{"b":1e-7,"1":1}}}'
    answer = mock.app.test_client().post("/workflow/run", data=body, headers=JSON)
    assert json.loads(answer.text)["output"] == {
        "1": 100000000000000000000,
        "b": 12345678901234567000,
        "sum": 30993505344677310,
        "half": 3,
        "text": "30993505344677310 3 1e-7",
        "json": '{"1":1,"b":1e-7}',
    }
    assert '"output":{"1":100000000000000000000,"b":12345678901234567000,' in answer.text


def test_a_number_in_another_notation_is_the_same_number(mock: OutputMock) -> None:
    mock.workflow("large").when({"n": 3.099350534467731e16}).returns("found")
    mock.workflow("large").when({"n": 2**60}).returns("found")
    client = mock.app.test_client()
    for text in ("30993505344677312", "3.099350534467731e16", "1152921504606846976"):
        body = f'{{"workflowName":"large","input":{{"n":{text}}}}}'
        assert '"output":"found"' in client.post("/workflow/run", data=body, headers=JSON).text


def test_the_control_plane_shows_numbers_and_keys_as_the_api_does() -> None:
    with served(worlds_of()) as client:
        client.post("/workflow/start", data=f'{{"workflowName":"echo","input":{SENT}}}', headers=JSON)
        assert f'"body":{{"workflowName":"echo","input":{SEEN}}}' in client.control("GET", "/calls").text


def test_an_infinite_timeout_is_a_number(mock: OutputMock) -> None:
    body = '{"workflowName":"echo","timeout":1e999}'
    answer = mock.app.test_client().post("/workflow/run", data=body, headers=JSON)
    assert answer.json == {
        "error": "ValidationError",
        "message": "Invalid Payload",
        "issues": [
            {
                "expected": "number",
                "code": "invalid_type",
                "received": "Infinity",
                "path": ["timeout"],
                "message": "Invalid input: expected number, received number",
            }
        ],
    }
