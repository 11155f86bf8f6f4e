"""The progress of a run in words, and scheduled signals."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from output_mock import Context, Failure, OutputMock
from output_mock.contract.errors import WorkflowNotFoundError
from output_mock.durations import format_duration, nanoseconds
from tests.client import Client

Script = Callable[[Context, Any], Any]


async def waits_for_a_step(ctx: Context, input: Any) -> None:
    await ctx.step("research", takes="10m")


async def waits_for_a_retry(ctx: Context, input: Any) -> None:
    await ctx.step("research", fails="busy")


async def waits_for_a_signal(ctx: Context, input: Any) -> None:
    await ctx.wait_for_signal("approve")


async def waits_at_most_so_long(ctx: Context, input: Any) -> None:
    await ctx.wait_for_signal("approve", timeout="2h")


async def waits_for_several_things(ctx: Context, input: Any) -> None:
    await asyncio.gather(
        ctx.step("research", takes="10m"),
        ctx.sleep("1h"),
        ctx.wait_for_signal("approve"),
        ctx.condition(lambda: False),
        ctx.condition(lambda: False),
    )


async def waits_for_a_condition(ctx: Context, input: Any) -> None:
    await ctx.condition(lambda: False)


async def waits_for_a_child(ctx: Context, input: Any) -> None:
    await ctx.child("child")


async def takes_too_long(ctx: Context, input: Any) -> None:
    options = {"startToCloseTimeout": "2s", "retry": {"maximumAttempts": 1}}
    await ctx.step("research", takes="10m", options=options)


async def fails(ctx: Context, input: Any) -> None:
    raise Failure("no credit")


async def is_wrong(ctx: Context, input: Any) -> None:
    raise KeyError("missing")


async def returns(ctx: Context, input: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (waits_for_a_step, "waiting for step 'research' (9m55s to go) since 5s, virtual"),
        (waits_for_a_retry, "waiting for step 'research' (attempt 2, 5s to go) since 5s, virtual"),
        (waits_for_a_signal, "waiting for signal 'approve' since 5s, virtual"),
        (waits_at_most_so_long, "waiting for signal 'approve' since 5s, virtual; it times out in 1h59m55s"),
        (waits_for_a_condition, "waiting for a condition since 5s, virtual"),
        (
            waits_for_several_things,
            "waiting for step 'research' (9m55s to go) and a timer (59m55s to go) and signal 'approve' and "
            "2 conditions since 5s, virtual",
        ),
        (fails, "failed: no credit"),
        (
            takes_too_long,
            "failed: activity StartToClose timeout; step 'research' took longer than its "
            "startToCloseTimeout, 2s",
        ),
        (is_wrong, "failed: the script of workflow 'w' raised KeyError: 'missing' (*)"),
        (returns, "completed"),
    ],
)
def test_a_run_reports_what_it_waits_for_and_since_when(script: Script, words: str) -> None:
    mock = OutputMock(clock="manual")
    mock.workflow("w")(script)
    mock.begin_with("w", workflow_id="w")
    assert mock.runs["w"].progress == "about to continue"
    mock.clock.advance("5s")
    before, _, after = words.partition("*")
    standing = mock.runs["w"].progress
    assert standing.startswith(before)
    assert standing.endswith(after)


def test_other_signals_do_not_restart_a_wait_and_unread_ones_are_reported(
    mock: OutputMock,
) -> None:
    mock.workflow("w")(waits_at_most_so_long)
    mock.begin_with("w", workflow_id="w")
    mock.clock.advance("1h")
    mock.signal("w", "aprove")
    assert mock.runs["w"].progress == (
        "waiting for signal 'approve' since 1h, virtual; it times out in 1h, "
        "its signal 'aprove' has not been read"
    )


def test_a_parent_waits_for_its_child(mock: OutputMock) -> None:
    mock.workflow("w")(waits_for_a_child)
    mock.workflow("child")(waits_for_a_signal)
    mock.begin_with("w", workflow_id="w")
    mock.clock.advance(0)
    assert mock.runs["w"].progress.startswith("waiting for child 'child' (w-")


def test_a_parent_does_not_name_the_timed_out_step_of_its_child(mock: OutputMock) -> None:
    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        await ctx.step("publish")
        await ctx.child("child")

    mock.workflow("child")(takes_too_long)
    mock.begin_with("w", workflow_id="w")
    mock.clock.advance("5s")
    assert mock.runs["w"].progress == "failed: activity StartToClose timeout"


def test_a_run_with_no_worker_waits_for_one(mock: OutputMock) -> None:
    mock.workflow("w", catalog="remote")(returns)
    mock.add_catalog("remote", worker=False)
    mock.begin_with("w", workflow_id="w", catalog="remote")
    assert mock.runs["w"].progress == "waiting for a worker: there is none for its catalog"


def test_a_run_on_a_real_clock_does_not_call_its_time_virtual() -> None:
    mock = OutputMock(clock="real")
    mock.workflow("w")(waits_for_a_signal)
    mock.begin_with("w", workflow_id="w")
    while "signal" not in (standing := mock.runs["w"].progress):
        pass
    assert "virtual" not in standing
    mock.close()


def test_every_end_of_a_run_has_its_own_description(mock: OutputMock, client: Client) -> None:
    mock.workflow("w")(waits_for_a_signal)
    for name in ("stopped", "terminated"):
        client.start("w", workflowId=name)
    client.patch("/workflow/stopped/stop")
    client.post("/workflow/terminated/terminate")
    assert mock.runs["stopped"].progress == "cancelled"
    assert mock.runs["terminated"].progress == "terminated"


@pytest.mark.parametrize("text", ["0s", "1ms", "1.5ms", "999ms", "1s", "1m30s", "2h", "1d", "1d2h3m4.5s"])
def test_durations_are_shown_as_they_are_written(text: str) -> None:
    assert format_duration(nanoseconds(text)) == text


# Scheduled signals


def test_a_waiting_client_waits_for_a_scheduled_signal(mock: OutputMock, client: Client) -> None:
    @mock.workflow("review")
    async def review(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("approve", timeout="24h")

    mock.workflow("review").receives("approve", {"by": "ana"}, after="20h")
    begun = mock.clock.now()
    assert client.run("review", timeout=24 * 3600 * 1000)["output"] == {"by": "ana"}
    assert (mock.clock.now() - begun).total_seconds() == 20 * 3600
    client.start("review", workflowId="polled")
    assert mock.runs["polled"].progress == "about to continue"
    assert client.until_closed("polled", polls=4) == "completed"


def test_scheduled_signals_arrive_on_time_and_not_after_the_end_of_the_run(
    mock: OutputMock, client: Client
) -> None:
    @mock.workflow("review")
    async def review(ctx: Context, input: Any) -> Any:
        return [await ctx.wait_for_signal("word"), await ctx.wait_for_signal("word")]

    mock.workflow("review").receives("word", {"n": 2}, after="2h").receives("word", {"n": 1}, after="1h")
    mock.workflow("review").receives("word", after="3h")
    assert client.run("review", timeout=24 * 3600 * 1000)["output"] == [{"n": 1}, {"n": 2}]
    mock.clock.advance("5h")
    assert not mock.script_errors


def test_a_scheduled_signal_reaches_the_run_that_continues_as_new(mock: OutputMock, client: Client) -> None:
    @mock.workflow("chain")
    async def chain(ctx: Context, input: Any) -> Any:
        if input["left"]:
            await ctx.sleep("10m")
            ctx.continue_as_new({"left": input["left"] - 1})
        return await ctx.wait_for_signal("approve")

    mock.workflow("chain").receives("approve", {"by": "ana"}, after="1h")
    assert client.run("chain", {"left": 3}, timeout=24 * 3600 * 1000)["output"] == {"by": "ana"}
    kinds = client.kinds(next(iter(mock.runs)))
    assert kinds.count("WORKFLOW_EXECUTION_SIGNALED") == 1


def test_a_test_can_send_a_signal_now_or_later(mock: OutputMock) -> None:
    mock.workflow("w")(waits_for_a_signal)
    for name in ("now", "later"):
        mock.begin_with("w", workflow_id=name)
    mock.clock.advance(0)
    mock.signal("now", "approve")
    assert mock.runs["now"].status == "completed"
    mock.signal("later", "approve", {"x": 1}, after="1h")
    assert mock.runs["later"].progress.endswith("; signal 'approve' comes in 1h")
    mock.clock.advance("59m")
    assert mock.runs["later"].status == "running"
    mock.clock.advance("1m")
    assert mock.runs["later"].status == "completed"
    with pytest.raises(WorkflowNotFoundError):
        mock.signal("later", "approve")


def test_a_scripted_signal_that_is_not_json_is_refused_at_its_line(mock: OutputMock) -> None:
    with pytest.raises(TypeError, match="the payload of signal 'approve' is of the type object"):
        mock.workflow("w").receives("approve", object(), after="1h")
    with pytest.raises(ValueError, match="'soon' is not a duration"):
        mock.workflow("w").receives("approve", after="soon")


# Messages that the script does not handle


def test_unknown_queries_and_updates_are_reported_as_unmatched(mock: OutputMock, client: Client) -> None:
    @mock.workflow("w")
    async def w(ctx: Context, input: Any) -> None:
        ctx.on_query("progress", lambda payload: 1)
        ctx.on_query("broken", lambda payload: (_ for _ in ()).throw(Failure("no")))
        ctx.on_update("limit", lambda payload: 1)
        await ctx.wait_for_signal("never")

    client.start("w", workflowId="w")
    client.post("/workflow/w/query/progres")
    client.post("/workflow/w/update/limits")
    client.post("/workflow/w/query/broken")
    client.post("/workflow/other/query/progress")
    assert [call.unmatched_reason for call in mock.unmatched_calls] == [
        "the script answers no query 'progres'; did you mean 'progress'?",
        "the script of 'w' has no handler for update 'limits'",
    ]
