"""`output-mock trace` draws a trace as a tree."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from output_mock import Context, OutputMock
from output_mock.cli import command
from output_mock.traces import http, in_bucket, in_folder, llm
from output_mock.traces.drawing import drawn, sums
from output_mock.traces.s3 import Bucket, moto_server
from tests.cli.commands import one_line, run
from tests.cli.test_cli import Serve, serve  # noqa: F401  (a fixture)
from tests.client import Client


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    mock = OutputMock()

    @mock.workflow("summarise")
    async def summarise(ctx: Context, input: Any) -> Any:
        await ctx.step("fetch", takes="2s", trace=[http("GET", "https://news.example/?q=bees", cost=0.002)])
        call = llm(model="m-1", usage={"input": 1200, "output": 300}, price={"input": 3, "output": 15})
        await ctx.step("write", takes="5s", fails=["rate limited", None], trace=[call])
        return await ctx.child("publish")

    @mock.workflow("publish")
    async def publish(ctx: Context, input: Any) -> Any:
        return await ctx.step(
            "post", takes="1s", fails="no such blog", options={"retry": {"maximumAttempts": 1}}
        )

    Client(mock).run("summarise", workflowId="w")
    found = mock.runs["w"].trace
    assert found is not None
    return found


def lines(tree: dict[str, Any], **options: Any) -> list[str]:
    return [click.unstyle(line) for line in drawn(tree, **{"width": 100, **options})]


def test_the_tree_shows_steps_times_attempts_and_costs(tree: dict[str, Any]) -> None:
    shown = lines(tree)
    text = "\n".join(shown)
    assert re.search(r"^workflow summarise +█+ 23\.0 s$", shown[0])
    assert re.search(r"├─ step fetch +█", text)
    assert re.search(r"│  └─ http GET https://news\.example/\?q=bees .*2\.0 s  \$0\.0020  200", text)
    assert re.search(r"├─ step write ×2 ", text)
    assert re.search(r"├─ llm generateText m-1 .* 5\.0 s\n", text)
    assert "✗ Error: rate limited" in text
    assert re.search(r"└─ llm generateText m-1 .*1,500 tokens  \$0\.0081", text)
    assert re.search(r"└─ workflow publish", text)
    assert "✗ Error: no such blog" in text
    assert shown[-1] == "3 calls, 1,500 tokens, $0.0101"
    # A step of the child and its error are shown once, in the child.
    assert text.count("step post") == 1
    assert text.count("no such blog") == 1
    assert "getTraceDestinations" not in text


def test_the_sdks_own_steps_are_shown_on_request() -> None:
    mock = OutputMock()
    mock.workflow("w").returns(1)
    Client(mock).run("w", workflowId="w")
    found = mock.runs["w"].trace
    assert found is not None
    assert any("internal_step getTraceDestinations" in line for line in lines(found, internal=True))


def test_bars_show_when_things_happened(tree: dict[str, Any]) -> None:
    def bar(line: str) -> tuple[int, int]:
        found = re.search(r"[█-▐]+(?=[ █-▐]* \d)", line)
        assert found, line
        return found.span()

    shown = lines(tree)
    whole = bar(shown[0])
    fetch = bar(next(line for line in shown if "step fetch" in line))
    post = bar(next(line for line in shown if "step post" in line))
    assert whole[0] == fetch[0]
    assert fetch[1] < post[0]
    assert abs(post[1] - whole[1]) <= 1
    assert (fetch[1] - fetch[0]) < (whole[1] - whole[0]) / 5


def test_an_ascii_terminal_gets_only_ascii(tree: dict[str, Any]) -> None:
    for line in lines(tree, plain=True):
        assert line.isascii()
    assert "`- step post" in "\n".join(lines(tree, plain=True))


def test_no_line_exceeds_the_width(tree: dict[str, Any]) -> None:
    for width in (72, 80, 200):
        assert max(len(line) for line in lines(tree, width=width)) <= width


@pytest.mark.parametrize("version", ["0.11", "0.13"])
def test_tokens_costs_and_models_are_read_from_both_llm_node_formats(version: Any) -> None:
    mock = OutputMock()
    usage = {"input": 1000, "output": 200}
    price = {"input": 3, "output": 15}

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        priced = llm(model="claude-4", usage=usage, price=price, version=version)
        free = llm(model="unknown-1", usage={"input": 50}, version=version)
        await ctx.step("draft", trace=[priced, free], takes="2s")

    mock.app.test_client().post("/workflow/run", json={"workflowName": "w", "workflowId": "w"})
    shown = "\n".join(lines(mock.runs["w"].trace))
    assert "llm generateText claude-4" in shown
    assert "llm generateText unknown-1" in shown
    assert "1,200 tokens  $0.0060" in shown
    assert "2 calls, 1,250 tokens, $0.0060 (1 without a price)" in shown


NODES = st.recursive(
    st.fixed_dictionaries(
        {
            "id": st.text(max_size=3),
            "kind": st.sampled_from(["step", "llm", "http", "workflow", "other\x1b[31m"]),
            "name": st.text(max_size=12),
            "startedAt": st.integers(0, 10**13),
            "endedAt": st.one_of(st.none(), st.integers(0, 10**13)),
        },
        optional={
            "input": st.one_of(st.none(), st.just({"loadedPrompt": 1}), st.just({"url": "x\ny"})),
            "output": st.one_of(
                st.none(),
                st.sampled_from(
                    [{"usage": {"totalTokens": 5}}, {"usage": {"totalTokens": "x"}}, {"status": 200}]
                ),
            ),
            "error": st.one_of(st.text(), st.just({"name": "E", "message": "m"}), st.just({"status": 5})),
            "attributes": st.one_of(
                st.none(),
                st.just({"llm:usage": 1, "llm:generation:cost": 2, "llm:generation:usage": []}),
                st.just({"llm:usage": {"total": 1}, "llm:generation:cost": {"total": "x"}}),
            ),
        },
    ),
    lambda inner: st.tuples(inner, st.lists(inner, max_size=3)).map(
        lambda pair: {**pair[0], "children": pair[1]}
    ),
    max_leaves=10,
)


@settings(max_examples=100)
@given(NODES, st.booleans())
def test_any_trace_is_drawn_without_control_characters(tree: dict[str, Any], plain: bool) -> None:
    for line in lines(tree, plain=plain, internal=True):
        assert line.isprintable()
    assert sums(tree).calls >= 0


# --- the command -----------------------------------------------------------------------------------------


def asked(*arguments: str) -> Result:
    return CliRunner().invoke(command, ["trace", *arguments])


def test_a_file_is_drawn_or_printed(tmp_path: Path, tree: dict[str, Any]) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(tree))
    assert "workflow summarise" in asked(str(path)).output
    assert json.loads(asked(str(path), "--json").output) == tree
    assert max(map(len, asked(str(path), "--width", "72").output.splitlines())) <= 72


@pytest.mark.parametrize("kept", ["folder", "bucket"])
def test_a_workflow_id_or_url_is_read_from_the_server(tmp_path: Path, kept: str) -> None:
    traces, stop = in_folder(tmp_path), lambda: None
    if kept == "bucket":
        url, stop = moto_server()
        traces = in_bucket("traces", endpoint=url, upload_delay=0)
        assert isinstance(traces.source, Bucket)
        traces.source.create()
    mock = OutputMock(traces=traces, auth_token="secret")
    mock.workflow("w").returns(1)
    with mock.serve() as url:
        mock.world.start("w", None, workflow_id="an id/é")
        mock.clock.run_due()
        run_id = mock.runs["an id/é"].run_id
        for arguments in (
            ("an id/é", "--url", url),
            ("an id/é", "--url", f"{url}/", "--run", run_id),
            (f"{url}/workflow/an%20id%2F%C3%A9/trace-log",),
        ):
            result = asked(*arguments, "--token", "secret")
            assert result.output.startswith("workflow w"), result.output
        refused = asked("an id/é", "--url", url)
        assert "answered 401" in str(refused.output)
        assert "give --token" in str(refused.output)
    if kept == "bucket":
        assert isinstance(traces.source, Bucket)
        traces.source.settle()
    stop()


def test_the_trace_of_a_run_can_be_shown_from_any_storage_and_before_it_ends(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("workflows: [{name: w, steps: [{step: s, returns: 1}, {wait_for_signal: go}]}]")
    fake = serve("a.yaml")
    fake.start("w", "w")
    fake.get("/workflow/w/status")
    url = f"http://127.0.0.1:{fake.port}"
    assert "├─ step s" in asked("w", "--url", url).output or "└─ step s" in asked("w", "--url", url).output
    fake.ask("POST", "/workflow/w/terminate")
    assert asked("w", "--url", url).output.startswith("workflow w")


def test_the_token_of_one_server_is_not_sent_to_another(monkeypatch: pytest.MonkeyPatch) -> None:
    mock = OutputMock()
    mock.workflow("w").returns(1)
    monkeypatch.setenv("OUTPUT_API_AUTH_TOKEN", "secret")
    with mock.serve() as url:
        monkeypatch.setenv("OUTPUT_API_URL", "https://elsewhere.example")
        asked(f"{url}/workflow/w/trace-log")
        monkeypatch.setenv("OUTPUT_API_URL", url)
        asked(f"{url}/workflow/w/trace-log")
        monkeypatch.setenv("OUTPUT_API_URL", "https://elsewhere.example")
        asked(f"{url}/workflow/w/trace-log", "--token", "given")
    sent = [call.headers.get("Authorization") for call in mock.calls]
    assert sent == [None, "Basic secret", "Basic given"]


def test_a_saved_trace_log_response_can_be_drawn(tmp_path: Path, tree: dict[str, Any]) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps({"source": "remote", "runId": "r", "data": tree}), encoding="utf-8-sig")
    assert asked(str(path)).output.startswith("workflow summarise")


def test_a_trace_that_cannot_be_drawn_is_reported_in_one_line(tmp_path: Path) -> None:
    def told(*arguments: str) -> str:
        ended = run("trace", *arguments, environment={"OUTPUT_API_URL": "http://127.0.0.1:9"})
        assert ended.returncode == 1
        line = one_line(ended)
        assert line.startswith("output-mock trace: ")
        return line

    (tmp_path / "bad.json").write_text('{"a": 1}')
    assert "needs 'id' as text; is this a trace?" in told(str(tmp_path / "bad.json"))
    assert "there is no such file" in told("no/such.json")
    assert "no server answers there (Connection refused); is it running?" in told("some-id")
    mock = OutputMock()
    mock.workflow("w").returns(1)
    with mock.serve() as url:
        assert "WorkflowNotFoundError: workflow not found for ID: nobody" in told("nobody", "--url", url)
        Client(mock).run("w", workflowId="w")
        # This server has no control plane that could return the trace.
        assert "A fake writes traces with --trace-dir" in told("w", "--url", url)
        assert "this is not JSON" in told(f"{url}/health")
