"""Waits that are longer than the remaining time of their run are reported to the author of the script."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from output_mock import Context, OutputMock

THIS = Path(__file__)


def line_of(text: str) -> int:
    """The number of the line of this file that ends with the text."""
    lines = THIS.read_text().splitlines()
    (line,) = [number for number, written in enumerate(lines, 1) if written.endswith(f"  # {text}")]
    return line


async def waits(ctx: Context, input: Any) -> Any:
    await ctx.step("draft", takes="10m")
    await ctx.wait_for_signal("approve", timeout=input)  # a wait


async def holds(ctx: Context, input: Any) -> Any:
    await ctx.condition(lambda: False, timeout=input)  # a condition


async def sleeps(ctx: Context, input: Any) -> Any:
    await ctx.sleep(input)  # a sleep


async def sleeps_as_asyncio(ctx: Context, input: Any) -> Any:
    async with asyncio.timeout(input) if hasattr(asyncio, "timeout") else asyncio.Lock():
        await asyncio.sleep(input)  # asyncio


async def works(ctx: Context, input: Any) -> Any:
    await ctx.step("work", takes=input, options={"startToCloseTimeout": "100d"})


async def has_a_child(ctx: Context, input: Any) -> Any:
    await ctx.child("sleeps", input)


SCRIPTS = [waits, holds, sleeps, works, has_a_child]


def standing_after_an_hour(script: Any, length: str, **options: Any) -> tuple[OutputMock, str]:
    mock = OutputMock(**options)
    mock.workflow(script.__name__)(script)
    mock.workflow("sleeps")(sleeps)
    mock.begin_with(script.__name__, length, workflow_id="r")
    mock.clock.advance("1h")
    return mock, mock.runs["r"].progress


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_wait_that_reaches_the_execution_timeout_is_reported(script: Any) -> None:
    mock, _ = standing_after_an_hour(script, "24h")
    (text,) = mock.script_warnings
    assert "its execution timeout" in text
    mock.clock.advance("2d")
    assert mock.runs["r"].status == "timed_out"


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(("length", "options"), [("20h", {}), ("24h", {"execution_timeout": "48h"})])
def test_a_wait_within_the_execution_timeout_is_not_reported(
    script: Any, length: str, options: dict[str, str]
) -> None:
    mock, _ = standing_after_an_hour(script, length, **options)
    assert mock.script_warnings == []


@pytest.mark.parametrize(
    ("script", "what", "left", "place"),
    [
        (waits, "a timeout of 1d never passes", "23h50m", "a wait"),
        (holds, "a timeout of 1d never passes", "1d", "a condition"),
        (sleeps, "a pause of 1d never ends", "1d", "a sleep"),
    ],
)
def test_the_warning_names_the_line_and_the_remaining_time(
    script: Any, what: str, left: str, place: str
) -> None:
    mock, _ = standing_after_an_hour(script, "24h")
    (text,) = mock.script_warnings
    assert f"{what}, as the run reaches its execution timeout in {left};" in text
    assert text.endswith(f"({THIS}, line {line_of(place)})")


def test_asyncio_timers_are_reported_too() -> None:
    mock, _ = standing_after_an_hour(sleeps_as_asyncio, 90_000)  # type: ignore[arg-type]
    assert any(f"line {line_of('asyncio')})" in text for text in mock.script_warnings)


def test_the_progress_of_a_run_names_the_timeout_that_comes_first() -> None:
    _, standing = standing_after_an_hour(waits, "24h")
    assert standing.endswith("; the run reaches its execution timeout in 23h, before the wait times out")
    _, standing = standing_after_an_hour(waits, "20h")
    assert standing.endswith("; it times out in 19h10m")


def test_a_line_is_reported_once_for_all_its_runs() -> None:
    mock, _ = standing_after_an_hour(waits, "24h")
    for number in range(3):
        mock.begin_with("waits", "24h", workflow_id=f"r-{number}")
    mock.clock.advance("1h")
    assert len(mock.script_warnings) == 1


def test_a_signal_that_is_due_no_earlier_than_the_execution_timeout_is_reported() -> None:
    mock = OutputMock()
    mock.workflow("waits")(waits)
    mock.workflow("waits").receives("approve", after="24h")  # a signal
    mock.begin_with("waits", "20h", workflow_id="r")
    (text,) = mock.script_warnings
    assert (
        "signal 'approve' is due after 1d, but the run may only take 1d: set execution_timeout='2d'" in text
    )
    assert text.endswith(f"({THIS}, line {line_of('a signal')})")


@pytest.mark.parametrize(
    ("after", "when"), [("24h", "was due at the same moment"), ("26h", "was due 2h later")]
)
def test_a_timed_out_run_reports_a_signal_that_was_due_too_late(after: str, when: str) -> None:
    mock = OutputMock()

    @mock.workflow("post")
    async def post(ctx: Context, input: Any) -> Any:
        return await ctx.wait_for_signal("approve")

    mock.workflow("post").receives("approve", after=after)
    mock.begin_with("post", workflow_id="r")
    mock.clock.advance("2d")
    assert mock.runs["r"].progress.startswith("timed_out")
    assert mock.runs["r"].progress.endswith(f"; signal 'approve' {when}")


def test_a_signal_from_the_test_itself_that_is_due_too_late_is_reported() -> None:
    mock = OutputMock()
    mock.workflow("waits")(waits)
    mock.begin_with("waits", "20h", workflow_id="r")
    mock.clock.advance("1h")
    mock.signal("r", "approve", after="23h")
    (text,) = mock.script_warnings
    assert "signal 'approve' is due after 23h, but the run may only take 23h" in text


@pytest.mark.parametrize(("after", "options"), [("23h", {}), ("24h", {"execution_timeout": "48h"})])
def test_a_signal_that_is_due_before_the_execution_timeout_is_not_reported(
    after: str, options: dict[str, str]
) -> None:
    mock = OutputMock(**options)  # type: ignore[arg-type]
    mock.workflow("waits")(waits)
    mock.workflow("waits").receives("approve", after=after)
    mock.begin_with("waits", "20h", workflow_id="r")
    assert mock.script_warnings == []
