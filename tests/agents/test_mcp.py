"""The tools that agents use to control a fake, over the Model Context Protocol.

The package for that is imported where it is used, as it takes longer to import than pytest and the fake.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from output_mock import OutputMock, Script
from output_mock.agents.fake_client import FakeClient
from output_mock.control.worlds import Worlds
from output_mock.recording.transport import InProcessTransport, SocketTransport
from tests.cli.commands import one_line, run
from tests.client import Client
from tests.control.served import script, served, worlds_of
from tests.docs.pages import blocks

# Long enough for a busy machine.
PATIENCE = 100.0
REVIEW = """\
name: review
steps:
  - {step: draft, takes: 10m, returns: "about {{ input.topic }}"}
  - {wait_for_signal: approve, timeout: 20h}
returns: {text: "{{ steps.draft }}", by: "{{ signals.approve.by }}"}
"""

Use = Callable[..., Awaitable[Any]]


class Failed(Exception):
    """A tool reported an error."""


def used(server: Any, steps: Callable[[Use], Awaitable[None]]) -> None:
    """Run `steps` with the tools of a server."""
    from mcp import Client as AgentClient

    problem: Exception | None = None

    async def main() -> None:
        nonlocal problem
        async with AgentClient(server, read_timeout_seconds=PATIENCE) as client:

            async def use(name: str, /, **arguments: Any) -> Any:
                result = await client.call_tool(name, arguments)
                text = "".join(getattr(one, "text", "") for one in result.content)
                if result.is_error:
                    raise Failed(text)
                assert json.loads(text) == result.structured_content
                return result.structured_content

            try:
                await steps(use)
            except Exception as error:
                # Raised outside the task groups of the client.
                problem = error

    asyncio.run(asyncio.wait_for(main(), PATIENCE))
    if problem is not None:
        raise problem


def agent_server(fake: FakeClient) -> Any:
    from output_mock.agents.tools import agent_server

    return agent_server(fake)


@pytest.fixture
def worlds() -> Worlds:
    return worlds_of(Script())


@pytest.fixture
def server(worlds: Worlds) -> Iterator[Any]:
    with served(worlds) as client:
        yield agent_server(FakeClient(SocketTransport(client.url)))


def test_an_agent_scripts_and_drives_the_fake_that_the_command_starts(tmp_path: Path) -> None:
    """End to end: the SDK's client starts the command, and a program calls the fake's URL."""
    from mcp import StdioServerParameters, stdio_client

    noisy = tmp_path / "noisy.py"
    # Output of a script must not get between the messages.
    noisy.write_text(
        "from output_mock import Script\nscript = Script()\nprint('loaded')\n"
        "@script.workflow('noisy')\nasync def noisy(ctx, input):\n    print('played')\n    return input\n"
    )

    async def steps(use: Use) -> None:
        about = await use("about_fake")
        assert about["url"].startswith("http://127.0.0.1:")
        assert about["workflows"] == ["noisy"]
        await use("write_workflow", script=REVIEW)
        client = Client(about["url"])
        assert (await asyncio.to_thread(client.run, "noisy", 3))["output"] == 3
        await asyncio.to_thread(client.start, "review", {"topic": "bees"}, workflowId="r")
        assert (await use("advance_run", workflow_id="r"))["waitsFor"]["steps"][0]["name"] == "draft"
        assert (await use("advance_run", workflow_id="r"))["waitsFor"]["signals"] == ["approve"]
        await use("send_signal", workflow_id="r", name="approve", payload={"by": "ana"})
        assert (await use("show_run", workflow_id="r"))["output"] == {"text": "about bees", "by": "ana"}
        assert [call["route"] for call in (await use("list_calls"))["calls"]] == ["run", "start"]

    told = json.loads(blocks("docs/guides/agents.md", "json")[0])["mcpServers"]["output-mock"]
    command = shutil.which(told["command"], path=str(Path(sys.executable).parent))
    assert command is not None
    started = StdioServerParameters(command=command, args=[*told["args"], str(noisy), "--seed", "3"])
    # Without `errlog` it would be the standard error of the test that has imported the package.
    used(stdio_client(started, errlog=sys.stderr), steps)


def test_each_tool_says_what_it_does_and_what_it_changes(server: Any) -> None:
    from mcp import Client as AgentClient

    async def main() -> None:
        async with AgentClient(server) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert client.instructions is not None
            assert "about_fake" in client.instructions
        looks = {name for name, tool in tools.items() if tool.annotations and tool.annotations.read_only_hint}
        assert looks == {
            "about_fake",
            "script_keys",
            "check_script",
            "list_runs",
            "show_run",
            "list_calls",
            "list_callbacks",
            "near_misses",
        }
        for tool in tools.values():
            assert tool.description
            for name, given in tool.input_schema["properties"].items():
                assert given.get("description"), f"{tool.name}: {name}"

    asyncio.run(main())


def test_the_example_in_the_instructions_is_a_valid_script(server: Any) -> None:
    async def steps(use: Use) -> None:
        example = server.instructions.partition("\nname: ")[2].partition("\n\n")[0]
        assert await use("check_script", script=f"name: {example}") == {
            "ok": True,
            "mistakes": [],
            "workflows": ["review"],
        }

    used(server, steps)


def test_a_script_is_checked_and_nothing_changes(server: Any, worlds: Worlds) -> None:
    async def steps(use: Use) -> None:
        checked = await use("check_script", script="name: x\nretuns: 1\nsteps: 2\n")
        assert not checked["ok"]
        assert any("2:1: a workflow has no key 'retuns'" in one for one in checked["mistakes"])
        checked = await use("check_script", script="name: x\nsteps:\n  - {child: nobody}\n")
        assert "nobody" in checked["mistakes"][0]
        assert (await use("check_script", script=REVIEW))["ok"]
        with pytest.raises(Failed, match=r"3:1.*did you mean 'returns'"):
            await use("write_workflow", script="name: x\n\nretuns: 1\n")
        with pytest.raises(Failed, match="write one workflow at a time; this has a, b"):
            await use("write_workflow", script="workflows: [{name: a, returns: 1}, {name: b, returns: 1}]")
        assert (await use("about_fake"))["workflows"] == []
        assert list(worlds.default.mock.app.calls) == []

    used(server, steps)


def test_an_agent_cannot_send_python_scripts(server: Any) -> None:
    async def steps(use: Use) -> None:
        with pytest.raises(Failed):
            await use("write_workflow", script="from output_mock import Script\nscript = Script()\n")
        with pytest.raises(Failed):
            await use("write_workflow", script="name: x\nreturns: !!python/object/apply:os.getcwd []\n")
        await use("write_workflow", script='name: x\nreturns: "{{ input.__class__.__mro__ }}"\n')
        result = await use("start_run", workflow="x", input={}, until_end=True)
        assert "input has no '__class__'" in result["progress"]

    used(server, steps)


def test_every_key_of_a_script_is_explained(server: Any) -> None:
    async def steps(use: Use) -> None:
        first = await use("script_keys")
        assert "Required." in first["keys"]["name"]
        for part in first["parts"]:
            assert (await use("script_keys", of=part))["about"]
        with pytest.raises(Failed, match="did you mean 'step'"):
            await use("script_keys", of="stp")

    used(server, steps)


def test_the_near_misses_tool_suggests_the_right_names(server: Any) -> None:
    async def steps(use: Use) -> None:
        await use("write_workflow", script=REVIEW)
        await use("write_workflow", script='name: broken\nreturns: "{{ input.a.b }}"')
        with pytest.raises(Failed, match="Workflow revew is not supported"):
            await use("start_run", workflow="revew")
        broken = await use("start_run", workflow="broken", input={}, until_end=True)
        assert "input has no 'a'" in broken["progress"]
        told = await use("near_misses")
        assert "did you mean 'review'?" in told["calls"][0]["unmatched"]
        assert told["scriptErrors"]
        assert told["neverUsed"] == ["workflow 'review' was never run"]

    used(server, steps)


def test_requests_that_workflows_send_are_answered_and_listed(server: Any) -> None:
    url = "https://app.example/told"

    async def steps(use: Use) -> None:
        request = f"{{send_http_request: {url}, method: PUT, payload: 1}}"
        await use("write_workflow", script=f"name: tell\nsteps:\n  - {request}")
        lost = await use("start_run", workflow="tell", input={}, until_end=True)
        (missed,) = (await use("near_misses"))["callbacks"]
        assert (missed["workflowId"], missed["url"]) == (lost["workflowId"], url)
        assert "nothing is at https://app.example/told" in missed["unmatched"]
        await use("answer_callbacks", url=url, status=503, times=1)
        await use("answer_callbacks", url="https://app.example/*", json={"ok": True})
        for status in ("failed", "completed"):
            ended = await use("start_run", workflow="tell", input={}, until_end=True)
            assert ended["status"] == status
        listed = await use("list_callbacks", url=url, limit=2)
        assert (listed["count"], [one["status"] for one in listed["callbacks"]]) == (3, [503, 200])
        (last,) = (await use("list_callbacks", workflow_id=ended["workflowId"]))["callbacks"]
        assert (last["method"], last["body"]) == ("PUT", 1)
        await use("answer_callbacks", url=url, fails="refused", times=1)
        assert (await use("start_run", workflow="tell", input={}, until_end=True))["status"] == "failed"
        with pytest.raises(Failed, match="is not a URL"):
            await use("answer_callbacks", url="app.example")

    used(server, steps)


def test_runs_can_be_started_and_listed_and_advance_with_the_clock(server: Any) -> None:
    async def steps(use: Use) -> None:
        await use("write_workflow", script='name: slow\ntakes: 45m\nreturns: {n: "{{ input.n }}"}')
        ended = await use("start_run", workflow="slow", input={"n": 1}, until_end=True)
        assert (ended["status"], ended["output"]) == ("completed", {"n": 1})
        await use("write_workflow", script=REVIEW)
        waits = await use("start_run", workflow="review", input={"topic": "bees"}, until_end=True)
        assert (waits["status"], waits["waitsFor"]["signals"]) == ("running", ["approve"])
        assert "waiting for signal 'approve'" in waits["stays"]
        begun = await use("start_run", workflow="slow", input={"n": 2}, workflow_id="two")
        assert (begun["workflowId"], begun["status"]) == ("two", "running")
        running = await use("list_runs", workflow="slow", status="running")
        assert [one["workflowId"] for one in running["runs"]] == ["two"]
        await use("advance_clock", by="45m")
        shown = await use("show_run", workflow_id="two", history=True)
        assert shown["output"] == {"n": 2}
        assert shown["history"][-1]["eventTypeName"] == "WORKFLOW_EXECUTION_COMPLETED"
        with pytest.raises(Failed, match="did you mean 'two'"):
            await use("show_run", workflow_id="tow")
        with pytest.raises(Failed, match="duration"):
            await use("advance_clock", by="soon")

    used(server, steps)


def test_a_long_history_is_truncated_with_a_note(server: Any) -> None:
    async def steps(use: Use) -> None:
        loop = 'name: long\nsteps:\n  - for_each: "{{ input }}"\n    do: [{step: one}]\nreturns: 1'
        await use("write_workflow", script=loop)
        await use("start_run", workflow="long", input=[1] * 60, workflow_id="l", until_end=True)
        shown = await use("show_run", workflow_id="l", history=True)
        assert len(shown["history"]) == 200
        assert shown["eventsLeftOut"] > 0
        assert shown["history"][-1]["eventTypeName"] == "WORKFLOW_EXECUTION_COMPLETED"

    used(server, steps)


def test_faults_are_added_and_everything_can_be_wiped(server: Any, worlds: Worlds) -> None:
    async def steps(use: Use) -> None:
        await use("write_workflow", script="name: one\nreturns: 1")
        await use("add_fault", route="start", status=503)
        with pytest.raises(Failed, match="CatalogNotAvailableError"):
            await use("start_run", workflow="one")
        await use("start_run", workflow="one")
        about = await use("wipe_fake")
        assert (about["workflows"], about["runs"], about["calls"], about["faults"]) == ([], 0, 0, 0)

    used(server, steps)


def test_the_tools_work_with_a_running_fake_that_requires_tokens() -> None:
    mock = OutputMock(auth_token="api-token", scripts=[script])
    with served(Worlds(mock), control_token="api-token") as client:
        fake = FakeClient(SocketTransport(client.url), "api-token")
        fake.check()

        async def steps(use: Use) -> None:
            assert "echo" in (await use("about_fake"))["workflows"]
            assert (await use("start_run", workflow="echo", input=4, until_end=True))["output"] == 4
            listed = await use("list_calls")
            assert "api-token" not in json.dumps(listed)

        used(agent_server(fake), steps)
        wrong = run("mcp", "--url", client.url, "--token", "wrong")
        assert "is not a fake with a control plane: UnauthorizedError: the control plane needs a token" in (
            one_line(wrong)
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--url", "http://127.0.0.1:9"],
            "is not a fake with a control plane: http://127.0.0.1:9 does not answer",
        ),
        (["--url", "http://127.0.0.1:9", "script.yaml"], "scripts are for a new fake"),
        (["--url", "ftp://here"], "is not a base URL"),
        (["missing.yaml"], "missing.yaml"),
    ],
)
def test_invalid_options_are_reported_in_one_line(arguments: list[str], words: str) -> None:
    assert words in one_line(run("mcp", *arguments))


def test_a_real_deployment_is_not_mistaken_for_a_fake() -> None:
    """Otherwise the tools would start real runs there."""
    mock = OutputMock()
    fake = FakeClient(InProcessTransport(mock.app, "http://deployment.example"))
    with pytest.raises(Exception, match=r"deployment\.example is not a fake with a control plane: .* 404"):
        fake.check()
    mock.close()
