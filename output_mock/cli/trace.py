"""`output-mock trace`: a trace in the terminal, from a file, a URL or a server's run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import click
from click.core import ParameterSource

from output_mock.javascript_json import stringify
from output_mock.traces.reading import MOST_BYTES, NoTrace, answered, checked, parsed, read_trace

if TYPE_CHECKING:
    from http.client import HTTPResponse

_SERVER = "http://localhost:3001"


@click.command()
@click.argument("source", metavar="FILE|URL|ID")
@click.option(
    "--run",
    "run_id",
    metavar="RUN_ID",
    help="The run id, for a workflow id with several runs. Default: the latest run.",
)
@click.option(
    "--url",
    metavar="URL",
    envvar="OUTPUT_API_URL",
    show_envvar=True,
    default=_SERVER,
    show_default=True,
    help="The server to ask about a workflow id.",
)
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="OUTPUT_API_AUTH_TOKEN",
    show_envvar=True,
    help="The token that the server asks for.",
)
@click.option("--internal", is_flag=True, help="Also show the SDK's own steps.")
@click.option("--json", "as_json", is_flag=True, help="Print the trace itself, as JSON.")
@click.option(
    "--width",
    type=click.IntRange(40, 1000),
    metavar="N",
    help="The width in characters. Default: that of the terminal.",
)
def trace(
    source: str,
    run_id: str | None,
    url: str,
    token: str | None,
    internal: bool,
    as_json: bool,
    width: int | None,
) -> None:
    """Draw a trace: what was done, when and how often, what failed, tokens and costs.

    FILE is a trace file, URL the address of one or of a server's trace log, ID a workflow id.
    """
    from output_mock.traces.drawing import drawn

    try:
        tree = _found(source, run_id, url, token)
    except NoTrace as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(stringify(tree, "indented"))
        return
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    plain = not encoding.replace("-", "").startswith("utf")
    for line in drawn(tree, width=width, plain=plain, internal=internal):
        click.echo(line)


def _found(source: str, run_id: str | None, url: str, token: str | None) -> dict[str, Any]:
    if source.startswith(("http://", "https://")):
        # A token must not go to another server.
        theirs = urlsplit(source)[:2] == urlsplit(url)[:2] or not _from_environment("token")
        return _answered(_asked(source, token if theirs else None), source)
    path = Path(source)
    if path.is_file():
        return read_trace(path)
    if source.endswith(".json"):
        raise NoTrace(f"{source}: there is no such file")
    pinned = "" if run_id is None else f"/runs/{quote(run_id, safe='')}"
    base, name = url.rstrip("/"), quote(source, safe="")
    asked = f"{base}/workflow/{name}{pinned}/trace-log"
    try:
        return _answered(_asked(asked, token), asked)
    except NoTrace:
        # A fake shows the trace wherever it is stored, and even before it is stored.
        query = "" if run_id is None else f"?runId={quote(run_id, safe='')}"
        try:
            return checked(_asked(f"{base}/__mock__/runs/{name}/trace{query}", token), asked)
        except NoTrace:
            pass
        raise


def _from_environment(name: str) -> bool:
    source = click.get_current_context().get_parameter_source(name)
    return source is ParameterSource.ENVIRONMENT


def _asked(url: str, token: str | None) -> Any:
    import http.client
    import urllib.error
    import urllib.request

    request = urllib.request.Request(url)
    if token is not None:
        # A redirect to another server does not get the token.
        request.add_unredirected_header("Authorization", f"Basic {token}")
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            status, content = answer.status, _content(answer)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        reason = getattr(reason, "strerror", None) or reason
        raise NoTrace(f"{url}: no server answers there ({reason}); is it running?") from None
    if status != 200:
        try:
            body = parsed(content, url)
        except NoTrace:
            body = None
        told = body if isinstance(body, dict) else {}
        text = content[:200].decode("utf-8", "replace")
        words = f"{told.get('error')}: {told.get('message')}" if "error" in told else text
        hint = "; give --token" if status == 401 else ""
        raise NoTrace(f"{url}: answered {status}, {words}{hint}")
    return parsed(content, url)


def _content(answer: HTTPResponse) -> bytes:
    """The body of an answer, up to a little more than a trace may have."""
    content = bytearray()
    while len(content) <= MOST_BYTES and (piece := answer.read(64 * 1024)):
        content += piece
    return bytes(content)


def _answered(body: Any, url: str) -> dict[str, Any]:
    """The trace that an answer contains or points to."""
    if isinstance(body, dict) and body.get("source") == "local":
        path = Path(str(body.get("localPath")))
        if not path.is_file():
            raise NoTrace(
                f"the trace is at {path} on the worker's machine, but not on this one. A fake writes traces "
                f"with --trace-dir"
            )
        return read_trace(path)
    return checked(answered(body), url)
