"""The trace of a run: its steps, times, attempts, inputs, outputs and costs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_mock import Context, Failure, OutputMock, StepFailure
from output_mock.contract.errors import InvalidTraceFileUrl
from output_mock.engine.steps import complete
from output_mock.engine.trace_places import object_place, safe_name
from output_mock.traces import event, http, in_folder, llm
from tests.client import Client

Node = dict[str, Any]


def walk(tree: Node) -> Iterator[Node]:
    yield tree
    for child in tree["children"]:
        yield from walk(child)


def trace_of(mock: OutputMock, workflow: str, input: Any = None, **fields: Any) -> Node:
    result = Client(mock).run(workflow, input, **fields)
    tree = mock.runs[result["workflowId"]].trace
    assert tree is not None
    return tree


def steps(tree: Node) -> list[Node]:
    return [node for node in tree["children"] if node["kind"] != "internal_step"]


def stepping(mock: OutputMock, **step: Any) -> None:
    """A workflow `w` with one step."""

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> Any:
        return await ctx.step("s", input, **step)


# --- what is in it ---------------------------------------------------------------------------------------


def test_times_come_from_the_fakes_clock() -> None:
    mock = OutputMock()

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> Any:
        await ctx.step("first", takes="10s")
        await ctx.sleep("1m")
        await ctx.step("second", takes="5s")

    tree = trace_of(mock, "w")
    begin = tree["startedAt"]
    assert tree["endedAt"] - begin == 75_000
    assert [(node["startedAt"] - begin, node["endedAt"] - begin) for node in steps(tree)] == [
        (0, 10_000),
        (70_000, 75_000),
    ]


def test_missing_values_are_left_out() -> None:
    mock = OutputMock()

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        await ctx.step("s")

    client = Client(mock)
    client.post("/workflow/run", {"workflowName": "w", "workflowId": "w"})
    tree = mock.runs["w"].trace
    assert tree is not None
    assert "input" not in tree
    assert tree["output"] is None
    (step,) = steps(tree)
    assert "input" not in step
    assert "output" not in step
    assert "error" not in step


def test_parallel_steps_are_ordered_by_their_start() -> None:
    mock = OutputMock()

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        await asyncio.gather(
            ctx.step("slow", takes="9s"), ctx.step("quick", takes="1s", trace=[llm(model="m")])
        )

    assert [node["name"] for node in steps(trace_of(mock, "w"))] == ["w#slow", "w#quick"]


def test_a_run_that_continues_as_new_has_a_trace_without_an_end() -> None:
    mock = OutputMock(clock="manual")

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        await ctx.step("done")
        await ctx.step("under_way", takes="1h")

    Client(mock).start("w", workflowId="w")
    mock.clock.advance("1s")
    tree = mock.runs["w"].trace
    assert tree is not None
    assert tree["endedAt"] is None
    assert "did not finish yet" in tree["output"]
    done, under_way = steps(tree)
    assert done["endedAt"]
    assert under_way["name"] == "w#under_way"
    assert under_way["endedAt"] is None
    mock.close()


def test_a_step_that_outlives_its_run_has_no_end() -> None:
    mock = OutputMock()

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        once = {"retry": {"maximumAttempts": 1}}
        await asyncio.gather(
            ctx.step("slow", takes="1m"), ctx.step("bad", takes="1s", fails="no", options=once)
        )

    slow, bad = steps(trace_of(mock, "w"))
    assert (slow["name"], slow["endedAt"]) == ("w#slow", None)
    assert bad["endedAt"]


def test_a_step_that_is_ended_manually_between_attempts_has_no_further_attempt() -> None:
    mock = OutputMock(clock="manual")
    stepping(mock, takes="5s", fails=["no", None], trace=[llm(model="m")])
    Client(mock).start("w", workflowId="w")
    mock.clock.advance("6s")
    run = mock.world.find("w")
    (step,) = run.open_steps()
    with mock.clock.lock:
        complete(run, step, "by hand")
        mock.clock.run_due()
    tree = mock.runs["w"].trace
    assert tree is not None
    first, *_ = steps(tree)
    assert first["output"] == "by hand"
    assert [node["kind"] for node in first["children"]] == ["llm"]
    mock.close()


def test_a_run_that_has_not_begun_or_is_untraced_has_no_trace() -> None:
    mock = OutputMock(clock="manual")
    mock.workflow("untraced", traced=False).returns(1)
    mock.workflow("w").returns(1)
    client = Client(mock)
    mock.world.start("w", None, workflow_id="new")
    assert mock.runs["new"].trace is None
    client.run("untraced", workflowId="u")
    assert mock.runs["u"].trace is None
    mock.close()


def test_a_child_is_below_its_parent_with_its_own_subtree() -> None:
    mock = OutputMock()
    mock.workflow("child").takes("3s").returns({"a": 1})

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> Any:
        return await ctx.child("child", {"b": 2})

    tree = trace_of(mock, "w", workflowId="w")
    (child,) = [node for node in tree["children"] if node["kind"] == "workflow"]
    assert (child["name"], child["input"], child["output"]) == ("child", {"b": 2}, {"a": 1})
    (child_id,) = [workflow_id for workflow_id in mock.runs if workflow_id != "w"]
    assert mock.runs[child_id].trace == child


def test_continue_as_new_ends_a_trace_and_starts_another() -> None:
    mock = OutputMock()

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> Any:
        if input["n"] < 2:
            ctx.continue_as_new({"n": input["n"] + 1})
        return "done"

    client = Client(mock)
    first = client.run("w", {"n": 1}, workflowId="w")
    trees = [mock.world.find("w", first["runId"]), mock.world.find("w")]
    from output_mock.traces.tree import trace_tree

    before, after = map(trace_tree, trees)
    assert (before["output"], after["output"]) == ("<<continued_as_new>>", "done")
    assert before["id"] != after["id"]


def test_a_stopped_run_is_marked_and_a_terminated_one_has_no_end() -> None:
    mock = OutputMock()

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        await ctx.wait_for_signal("never")

    client = Client(mock)
    for workflow_id in ("stopped", "terminated"):
        client.start("w", workflowId=workflow_id)
        client.get(f"/workflow/{workflow_id}/status")
    client.patch("/workflow/stopped/stop")
    client.post("/workflow/terminated/terminate")
    stopped, terminated = (mock.runs[name].trace for name in ("stopped", "terminated"))
    assert stopped is not None
    assert terminated is not None
    assert stopped["error"]["name"] == "CancelledFailure"
    assert "stack" not in stopped["error"]
    assert terminated["endedAt"] is None


@pytest.mark.parametrize(
    ("raised", "shown"),
    [
        (Failure("no", name="FatalError"), {"message": "no", "name": "FatalError"}),
        (
            Failure("no", name="QuotaError", cause=Failure("why", name="TypeError"), limit=3),
            {
                "message": "no",
                "cause": {"message": "why", "name": "TypeError"},
                "name": "QuotaError",
                "limit": 3,
            },
        ),
    ],
)
def test_an_error_is_complete_with_its_stack_traces(raised: Failure, shown: Node) -> None:
    def without_stacks(error: Any) -> Any:
        if not isinstance(error, dict):
            return error
        assert "stack" in error
        return {key: without_stacks(value) for key, value in error.items() if key != "stack"}

    mock = OutputMock()
    mock.workflow("own").fails(raised)
    assert without_stacks(trace_of(mock, "own")["error"]) == shown
    stepping(mock, fails=raised, options={"retry": {"maximumAttempts": 1}})
    tree = trace_of(mock, "w")
    (step,) = steps(tree)
    assert without_stacks(step["error"]) == shown
    assert tree["error"]["name"] == "ActivityFailure"
    assert tree["error"]["activityType"] == "w#s"
    assert tree["error"]["cause"]["type"] == raised.name


def test_a_thrown_value_that_is_no_error_is_traced_as_it_is() -> None:
    mock = OutputMock()
    stepping(mock, fails=Failure.value("just text"), options={"retry": {"maximumAttempts": 1}})
    (step,) = steps(trace_of(mock, "w"))
    assert step["error"] == "just text"


def test_a_failed_child_has_the_error_message_of_temporal_in_its_parent() -> None:
    mock = OutputMock()
    mock.workflow("child").fails("no")

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> Any:
        return await ctx.child("child")

    error = trace_of(mock, "w")["error"]
    assert (error["name"], error["workflowType"], error["retryState"]) == (
        "ChildWorkflowFailure",
        "child",
        "RETRY_POLICY_NOT_SET",
    )
    assert error["cause"]["message"] == "no"


def test_all_attempts_of_a_step_are_in_one_node() -> None:
    mock = OutputMock()
    stepping(mock, returns=1, fails=["a", "b", None])
    first, second, third = steps(trace_of(mock, "w"))
    assert first == second == third
    assert first["output"] == 1
    assert first["error"]["message"] == "b"


def test_an_attempt_that_times_out_has_no_end() -> None:
    mock = OutputMock()
    stepping(mock, takes="1h", options={"startToCloseTimeout": "1m", "retry": {"maximumAttempts": 1}})
    (step,) = steps(trace_of(mock, "w"))
    assert step["endedAt"] is None


def test_the_last_call_of_a_timed_out_attempt_has_no_end() -> None:
    mock = OutputMock()
    nodes = [
        http("GET", "https://a.example", takes="1s"),
        llm(model="m", usage={"input": 1}, price={"input": 1}),
    ]
    once = {"startToCloseTimeout": "1m", "retry": {"maximumAttempts": 1}}
    stepping(mock, takes="1h", trace=nodes, options=once)
    request, call = inside(mock)
    assert request["endedAt"] - request["startedAt"] == 1000
    assert call["endedAt"] is None
    assert call["attributes"] == {}
    assert "error" not in call


def test_the_trace_of_a_reset_run_has_only_steps_after_the_reset() -> None:
    """Measured with SDK 0.11.0: the root is the first node without a parent."""
    mock = OutputMock()

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> Any:
        await ctx.child("below")
        await ctx.step("first", fails=["once", None], returns=1, trace=[llm(model="m")])
        await ctx.sleep("1m")
        return await ctx.step("second", 5, returns=2)

    mock.workflow("below").returns("child")
    client = Client(mock)
    base = client.run("w", workflowId="w")["runId"]
    path = client.get("/workflow/w/result").json["trace"]
    client.post("/workflow/w/reset", {"stepName": "second"})
    client.until_closed("w")
    run = mock.runs["w"]
    tree = run.trace
    assert tree is not None
    assert tree == {
        "id": run.run_id,
        "kind": "",
        "name": "",
        "startedAt": 0,
        "endedAt": tree["endedAt"],
        "output": 2,
        "children": [],
        "attributes": {},
    }
    assert run.run_id != base
    assert client.get("/workflow/w/result").json["trace"] == path

    client.post("/workflow/w/reset", {"stepName": "first"})
    client.until_closed("w")
    tree = mock.runs["w"].trace
    assert tree is not None
    assert (tree["kind"], tree["name"], tree["input"], tree["output"]) == ("step", "w#second", 5, 2)
    assert tree["children"] == []


def inside(mock: OutputMock) -> list[Node]:
    (step,) = {node["id"]: node for node in steps(trace_of(mock, "w"))}.values()
    return list(step["children"])


def test_an_llm_call_has_prompt_result_usage_and_cost() -> None:
    mock = OutputMock()
    call = llm(
        "generateText",
        model="claude-sonnet-4",
        prompt="sum@v1",
        variables={"n": 1},
        result="short",
        usage={"input": 1000, "cached_input": 400, "output": 200, "reasoning": 50},
        price={"input": 3, "output": 15},
    )
    stepping(mock, trace=[call])
    (node,) = inside(mock)
    assert (node["kind"], node["name"]) == ("llm", "generateText")
    assert node["input"]["loadedPrompt"] == {
        "name": "sum@v1",
        "config": {"provider": "anthropic", "model": "claude-sonnet-4"},
    }
    assert node["output"] == {
        "result": "short",
        "usage": {
            "inputTokens": 1000,
            "cachedInputTokens": 400,
            "outputTokens": 200,
            "reasoningTokens": 50,
            "totalTokens": 1200,
        },
    }
    # Cached tokens are part of the input, and cost nothing where they have no price; reasoning without a
    # price is part of the output.
    assert node["attributes"]["llm:usage"] == {
        "type": "llm:usage",
        "modelId": "claude-sonnet-4",
        "usage": [
            {"type": "input", "ppm": 3, "amount": 600, "total": 0.0018},
            {"type": "input_cached", "ppm": 0, "amount": 400, "total": 0},
            {"type": "output", "ppm": 15, "amount": 200, "total": 0.003},
        ],
        "total": 0.0048,
        "tokensUsed": 1200,
    }


def test_without_a_price_a_call_has_no_cost() -> None:
    mock = OutputMock()
    stepping(mock, trace=[llm(model="m", usage={"inputTokens": 5, "totalTokens": 5})])
    (node,) = inside(mock)
    assert node["attributes"] == {}
    assert node["output"]["usage"] == {"inputTokens": 5, "totalTokens": 5}


# What package 0.13.0 computes in Node from the same usage and prices.
COSTS_OF_0_13 = {
    "all prices": (
        {"input": 1000, "cached_input": 400, "output": 200, "reasoning": 50},
        {"input": 3, "output": 15, "cached_input": 0.3, "reasoning": 20},
        ("precise", 0.00192, 0.00325, 0.00517),
        [("no_cache", "ok"), ("cache_read", "ok"), ("text", "ok"), ("reasoning", "ok")],
        [("input", 0.0018), ("input_cached", 0.00012), ("output", 0.00225), ("reasoning", 0.001)],
    ),
    "parts without a price of their own": (
        {"input": 1000, "cached_input": 400, "output": 200, "reasoning": 50},
        {"input": 3, "output": 15},
        ("imprecise", 0.003, 0.003, 0.006),
        [("no_cache", "ok"), ("cache_read", "fallback"), ("text", "ok"), ("reasoning", "fallback")],
        [("input", 0.0018), ("input_cached", 0.0), ("output", 0.00225), ("reasoning", 0.00075)],
    ),
    "no price for the input": (
        {"input": 1000, "output": 200},
        {"output": 15},
        ("incomplete", None, 0.003, 0.003),
        [(None, "missing"), (None, "ok")],
        [("output", 0.003)],
    ),
    "no price": (
        {"input": 1000, "output": 200},
        None,
        ("incomplete", None, None, None),
        [(None, "missing"), (None, "missing")],
        None,
    ),
}


@pytest.mark.parametrize("case", COSTS_OF_0_13)
def test_usage_and_cost_are_separate_nodes_from_llm_package_0_13_on(case: str) -> None:
    usage, price, cost, items, old = COSTS_OF_0_13[case]
    mock = OutputMock()
    stepping(mock, trace=[llm(model="m", variables={"n": 1}, usage=usage, price=price, version="0.13")])
    (node,) = inside(mock)
    assert node["input"] == {
        "prompt": {
            "name": "prompt@v1",
            "config": {"provider": "anthropic", "model": "m"},
            "variables": {"n": 1},
        }
    }
    assert list(node["output"]) == ["result", "usage", "providerMetadata", "sources"]
    assert node["output"]["usage"]["totalTokens"] == 1200
    told = node["attributes"]
    assert (told["llm:generation:usage"]["status"], told["llm:generation:usage"]["total"]) == (
        "complete",
        1200,
    )
    found = told["llm:generation:cost"]
    assert (found["status"], found["input"], found["output"], found["total"]) == cost
    assert [(item["label"], item["status"]) for item in found["items"]] == items
    lines = None if old is None else [(one["type"], one["total"]) for one in told["llm:usage"]["usage"]]
    assert lines == old


def test_an_unknown_version_of_the_llm_package_is_refused() -> None:
    with pytest.raises(ValueError, match=r"version must be one of 0\.11, 0\.13, not '0\.12'"):
        llm(model="m", version="0.12")  # type: ignore[arg-type]


def test_an_http_request_shares_its_id_with_its_response_and_cost() -> None:
    mock = OutputMock()
    stepping(
        mock, trace=[http("get", "https://a.example/b", cost=0.25), http("POST", "https://a.example", 503)]
    )
    good, bad = inside(mock)
    assert good["input"] == {"method": "GET", "url": "https://a.example/b"}
    assert good["output"] == {"status": 200, "statusText": "OK"}
    assert good["attributes"]["http:request:cost"] == {
        "type": "http:request:cost",
        "url": "https://a.example/b",
        "total": 0.25,
        "requestId": good["id"],
    }
    assert bad["error"] == {"status": 503, "statusText": "Service Unavailable"}
    assert "output" not in bad
    assert list(bad["attributes"]) == ["http:request:count"]


def test_calls_inside_a_step_share_its_duration() -> None:
    mock = OutputMock()
    stepping(mock, takes="10s", trace=[llm(model="a", takes="4s"), llm(model="b"), event("db", "query")])
    begin, *rest = (node["startedAt"] for node in inside(mock))
    assert [time - begin for time in rest] == [4000, 7000]
    assert [node["endedAt"] - node["startedAt"] for node in inside(mock)] == [4000, 3000, 3000]


def test_a_traced_call_that_takes_longer_than_its_step_ends_with_it() -> None:
    mock = OutputMock()
    stepping(mock, takes="1s", trace=[llm(model="a", takes="1h"), llm(model="b")])
    tree = trace_of(mock, "w")
    assert max(node["endedAt"] for node in walk(tree)) == tree["endedAt"]


def test_two_calls_in_one_millisecond_are_separate_nodes() -> None:
    mock = OutputMock()
    stepping(mock, trace=[llm(model="a"), llm(model="b")])
    one, other = inside(mock)
    assert one["id"] != other["id"]
    assert [node["input"]["loadedPrompt"]["config"]["model"] for node in (one, other)] == ["a", "b"]


def test_the_last_call_of_a_failed_attempt_has_the_error() -> None:
    mock = OutputMock()
    stepping(mock, fails=["rate limited", None], trace=[http("GET", "https://a.example"), llm(model="m")])
    request, failed, _, worked = inside(mock)
    assert "error" not in request
    assert failed["error"]["message"] == "rate limited"
    assert "output" not in failed
    assert "error" not in worked


def test_the_trace_of_a_step_can_depend_on_its_input() -> None:
    mock = OutputMock()
    stepping(mock, trace=lambda given: [event("page", f"page {n}") for n in range(given["pages"])])
    tree = trace_of(mock, "w", {"pages": 3})
    assert [node["name"] for node in walk(tree) if node["kind"] == "page"] == ["page 0", "page 1", "page 2"]


def test_an_evaluator_can_have_child_nodes_too() -> None:
    mock = OutputMock()

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> Any:
        return await ctx.evaluate("quality", value=True, trace=[llm(model="judge")])

    (evaluator,) = steps(trace_of(mock, "w"))
    assert evaluator["kind"] == "evaluator"
    assert evaluator["children"][0]["kind"] == "llm"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: llm(model="m", usage={"inputs": 1}), "usage has 'inputs'; it is input, cached_input"),
        (lambda: llm(model="m", usage={"input": -1}), "usage of input must be a number of tokens, not -1"),
        (lambda: llm(model="m", usage={"input": 1, "cached_input": 2}), "cached_input is part of input"),
        (lambda: llm(model="m", usage=[1]), "usage must be an object, not"),  # type: ignore[arg-type]
        (lambda: llm(model="m", price={"in": 1}), "price has 'in'"),
        (lambda: llm(model="m", price={"input": "3"}), "the price of input must be a number of dollars"),  # type: ignore[dict-item]
        (lambda: http("GET", "https://a.example", 1000), "1000 is not an HTTP status"),
        (lambda: http("GET", "https://a.example", cost="1"), "cost must be a number of dollars"),  # type: ignore[arg-type]
        (lambda: event("k", "n", attributes={"a": 1}), "attribute 'a' must be an object"),  # type: ignore[dict-item]
        (
            lambda: llm(model="m", price={"input": float("nan")}),
            "the price of input must be a number of dollars",
        ),
        (lambda: llm(model="m", fails=["a"]), "fails must be a Failure or text"),  # type: ignore[arg-type]
        (lambda: http("GET", "https://a.example", cost=-1), "cost must be a number of dollars"),
        (lambda: http(5, "https://a.example"), "takes a method and a URL"),  # type: ignore[arg-type]
        (lambda: event("k", "n", output={1, 2}), "the output of trace node 'n'"),
    ],
)
def test_an_invalid_trace_node_is_refused(make: Any, words: str) -> None:
    with pytest.raises((ValueError, TypeError), match=words.replace("(", r"\(")):
        make()


def test_an_agent_node_has_only_its_prompt() -> None:
    mock = OutputMock()
    stepping(mock, trace=[llm("Agent.generate", model="m", prompt="writer@v1")])
    (node,) = inside(mock)
    assert node["input"] == {"prompt": "writer@v1"}


@pytest.mark.parametrize("trace", [llm(model="m"), ["text"], "text", lambda given: "text"])
def test_a_trace_that_is_not_a_list_of_nodes_fails_the_run_with_its_place(trace: Any) -> None:
    mock = OutputMock()
    stepping(mock, trace=trace)
    answer = Client(mock).post("/workflow/run", {"workflowName": "w"})
    assert answer.json["error"] == "ScriptError"
    assert "step 's': trace" in answer.json["message"]


# --- laws ------------------------------------------------------------------------------------------------

PLANS = st.lists(
    st.one_of(
        st.tuples(st.just("step"), st.integers(0, 5000), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("child"), st.integers(0, 5000), st.just(0), st.just(0)),
        st.tuples(st.just("sleep"), st.integers(1, 5000), st.just(0), st.just(0)),
    ),
    max_size=6,
)


@settings(max_examples=60)
@given(PLANS, st.booleans())
def test_every_node_lies_within_the_time_of_its_parent(
    plan: list[tuple[str, int, int, int]], together: bool
) -> None:
    mock = OutputMock()

    @mock.workflow("child")
    async def child(ctx: Context, input: Any) -> Any:
        return await ctx.step("inner", takes=input / 1000, returns=input)

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> Any:
        def one(number: int, kind: str, length: int, fails: int, calls: int) -> Any:
            if kind == "sleep":
                return ctx.sleep(length / 1000)
            if kind == "child":
                return ctx.child("child", length)
            failures = ["no"] * fails + [None]
            nodes = [llm(model="m")] * calls
            return ctx.step(f"s{number}", number, takes=length / 1000, fails=failures, returns=1, trace=nodes)

        doing = [one(number, *said) for number, said in enumerate(plan)]
        if together:
            await asyncio.gather(*doing)
        else:
            for each in doing:
                await each

    tree = trace_of(mock, "w")
    assert json.loads(json.dumps(tree)) == tree
    for node in walk(tree):
        assert node["startedAt"] <= node["endedAt"]
        assert tree["startedAt"] <= node["startedAt"]
        assert node["endedAt"] <= tree["endedAt"]
    calls = {node["id"] for node in walk(tree) if node["kind"] == "llm"}
    assert len(calls) == sum((fails + 1) * calls for kind, _, fails, calls in plan if kind == "step")
    children = [node for node in walk(tree) if node["kind"] == "workflow"]
    assert len(children) == 1 + sum(kind == "child" for kind, *_ in plan)


# --- files -----------------------------------------------------------------------------------------------


def written(folder: Path) -> dict[str, Node]:
    return {path.name: json.loads(path.read_text()) for path in folder.rglob("*.json")}


def test_a_trace_is_written_to_the_path_that_the_result_reports(tmp_path: Path) -> None:
    mock = OutputMock(traces=in_folder(tmp_path))
    stepping(mock, returns=1)
    client = Client(mock)
    result = client.run("w", {"a": "é"}, workflowId="id/with odd?chars é")
    path = Path(result["trace"]["local"])
    assert path.parent == tmp_path / "runs" / "w"
    assert json.loads(path.read_text("utf-8")) == mock.runs["id/with odd?chars é"].trace
    log = client.get(f"/workflow/{'id%2Fwith%20odd%3Fchars%20%C3%A9'}/trace-log").json
    assert log == {"source": "local", "runId": result["runId"], "localPath": str(path)}
    # It is one line, like real traces.
    assert "\n" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    "workflow_id",
    ["../../../out", "..", ".", "a\x00b", "x" * 900, "a/b", "é" * 300, "CON", "a\\..\\b"],
)
def test_no_workflow_id_leads_out_of_the_folder(tmp_path: Path, workflow_id: str) -> None:
    folder = tmp_path / "in" / "here"
    mock = OutputMock(traces=in_folder(folder))
    mock.workflow("w").returns(1)
    result = Client(mock).run("w", workflowId=workflow_id)
    (path,) = tmp_path.rglob("*.json")
    assert path.parent == folder / "runs" / "w"
    assert str(path) == result["trace"]["local"]
    assert not list(tmp_path.rglob("*.tmp"))


@given(st.text(min_size=1))
def test_a_file_name_is_never_a_path_and_never_too_long(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    safe = safe_name(name)
    assert "/" not in safe
    assert "\\" not in safe
    assert safe.strip(".")
    assert len(safe.encode()) <= 255


def test_a_trace_file_appears_after_the_first_failure_and_is_complete_at_the_end(tmp_path: Path) -> None:
    mock = OutputMock(clock="manual", traces=in_folder(tmp_path))
    stepping(mock, returns=1, fails=["no", None])
    client = Client(mock)
    client.start("w", workflowId="w")
    mock.clock.advance("1s")
    (early,) = written(tmp_path).values()
    assert "did not finish yet" in early["output"]
    mock.clock.advance("1m")
    (late,) = written(tmp_path).values()
    assert late["output"] == 1
    mock.close()


def test_many_failures_cause_few_writes_and_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from output_mock.traces import folder

    writes: list[Path] = []
    replace = folder._replace
    monkeypatch.setattr(
        folder, "_replace", lambda path, content: (writes.append(path), replace(path, content))
    )
    monkeypatch.setattr(folder, "_PAUSE", 3600.0)
    mock = OutputMock(traces=in_folder(tmp_path))

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        for _ in range(50):
            try:
                await ctx.step("s", fails="no", options={"retry": {"maximumAttempts": 1}})
            except StepFailure:
                pass
        await ctx.wait_for_signal("never")

    client = Client(mock)
    client.start("w", workflowId="w")
    client.get("/workflow/w/status")
    client.post("/workflow/w/terminate")
    assert len(writes) == 2
    (tree,) = written(tmp_path).values()
    assert len(steps(tree)) == 50


def test_terminated_and_untraced_runs_leave_no_trace_file(tmp_path: Path) -> None:
    mock = OutputMock(traces=in_folder(tmp_path))
    mock.workflow("untraced", traced=False).returns(1)

    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        await ctx.wait_for_signal("never")

    client = Client(mock)
    client.start("w", workflowId="w")
    client.get("/workflow/w/status")
    client.post("/workflow/w/terminate")
    client.run("untraced")
    mock.clock.advance("1h")
    assert written(tmp_path) == {}


def test_an_unwritable_trace_folder_does_not_stop_runs(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "runs").write_text("a file in the way")
    mock = OutputMock(traces=in_folder(tmp_path))
    mock.workflow("w").returns(1)
    assert Client(mock).run("w")["status"] == "completed"
    assert "cannot be written" in caplog.text


# --- the URLs of objects ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://b-1.s3.amazonaws.com/a/b.json", ("b-1", "a/b.json", None)),
        ("https://my.bucket.s3.eu-west-1.amazonaws.com/k", ("my.bucket", "k", "eu-west-1")),
        ("https://b2.s3.amazonaws.com/a%20b/%C3%A9.json", ("b2", "a b/é.json", None)),
        ("https://b2.s3.amazonaws.com/a b?c é.json", ("b2", "a b?c é.json", None)),
    ],
)
def test_urls_with_and_without_a_region_are_accepted(url: str, place: tuple[str, str, str | None]) -> None:
    assert object_place(url) == place


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://b2.s3.amazonaws.com/k", "Url is not a valid S3 url"),
        ("https://Bucket.s3.amazonaws.com/k", "Url is not a valid S3 url"),
        ("https://b2.s3.amazonaws.com/", "Url is not a valid S3 url"),
        ("https://b2.s3.amazonaws.com.evil.example/k", "Url is not a valid S3 url"),
        ("https://b2.s3.amazonaws.com/100%", "Error decoding the S3 key"),
        ("https://b2.s3.amazonaws.com/%FF", "Error decoding the S3 key"),
    ],
)
def test_other_urls_are_refused_with_the_message_of_the_real_server(url: str, words: str) -> None:
    with pytest.raises(InvalidTraceFileUrl, match=words):
        object_place(url)
