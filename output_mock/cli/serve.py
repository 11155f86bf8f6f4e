"""`output-mock serve`: a fake on a real socket, in the place of the real server's container."""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import secrets
import signal
import socket
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from output_mock.cli import environment
from output_mock.cli.check import all_mistakes, loaded_files
from output_mock.durations import Duration, nanoseconds

if TYPE_CHECKING:
    from output_mock.engine.clock import Mode
    from output_mock.engine.traces import Traces
    from output_mock.mock import OutputMock
    from output_mock.scripts.places import Mistake
    from output_mock.scripts.script import Scripted
    from output_mock.server import Server

_CATALOG = re.compile(r"[a-z0-9_.@-]+", re.IGNORECASE)


def _port(context: click.Context, _: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()) or int(value) > 65535:
        raise click.BadParameter(f"{value!r} is no port; give a number from 0 (takes a free one) to 65535")
    return int(value)


def _seed(context: click.Context, _: click.Parameter, value: str | None) -> int:
    if value is None:
        return secrets.randbelow(10**9)
    if not (value.isascii() and value.isdigit()):
        raise click.BadParameter(f"{value!r} is no seed; give a whole number, 0 or more")
    return int(value)


def _catalog(context: click.Context, _: click.Parameter, value: str | tuple[str, ...]) -> Any:
    for name in (value,) if isinstance(value, str) else value:
        if not _CATALOG.fullmatch(name):
            raise click.BadParameter(
                f"{name!r} cannot name a catalog; names are letters, digits and the signs _ . @ -"
            )
    return value


def _length(context: click.Context, param: click.Parameter, value: str) -> Duration:
    try:
        source = context.get_parameter_source(param.name or "")
        if source is ParameterSource.ENVIRONMENT:
            return environment.execution_timeout(value)
        nanoseconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _token(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; give a token, or leave the option out to ask for none")
    return value


@click.command()
@click.argument("scripts", nargs=-1, metavar="[SCRIPT]...")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is every one."
)
@click.option(
    "--port",
    metavar="PORT",
    callback=_port,
    envvar="OUTPUT_API_PORT",
    show_envvar=True,
    show_default="3001; in production 3000",
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--clock",
    type=click.Choice(["real", "auto", "manual"]),
    default="auto",
    show_default=True,
    help=(
        "How time passes: as on the wall (real); by jumps to what is due whenever a client waits, so that "
        "nobody does (auto); only when told (manual)."
    ),
)
@click.option(
    "--catalog",
    metavar="NAME",
    callback=_catalog,
    envvar="OUTPUT_CATALOG_ID",
    show_envvar=True,
    default="main",
    show_default=True,
    help="The catalog that is meant when none is named.",
)
@click.option(
    "--auth-token",
    metavar="TOKEN",
    callback=_token,
    show_default="none; in production OUTPUT_API_AUTH_TOKEN",
    help="Token that every request must bring, as 'Authorization: Basic TOKEN'.",
)
@click.option(
    "--seed",
    metavar="N",
    callback=_seed,
    show_default="a new one each time",
    help="Seed of every id; with the same one, the same requests get the same ids.",
)
@click.option(
    "--execution-timeout",
    metavar="DURATION",
    callback=_length,
    envvar="TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT",
    show_envvar=True,
    default="24h",
    show_default=True,
    help="How long a workflow may run: 90s, 45m, 24h.",
)
@click.option(
    "--worker-down",
    metavar="CATALOG",
    callback=_catalog,
    multiple=True,
    help="A catalog that is known but whose worker is gone. May be given several times.",
)
@click.option(
    "--watch",
    is_flag=True,
    help="Take up scripts that change while they are served; runs under way go on as they began.",
)
def serve(
    scripts: tuple[str, ...],
    host: str,
    port: int | None,
    clock: Mode,
    catalog: str,
    auth_token: str | None,
    seed: int,
    execution_timeout: Duration,
    worker_down: tuple[str, ...],
    watch: bool,
) -> None:
    """Serve the workflows of Python and YAML scripts, or a demonstration when there are none.

    The real container's environment variables are read where an option is not given; besides those named
    below these are TEMPORAL_NAMESPACE, TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING,
    TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS and NODE_ENV: production asks for OUTPUT_API_AUTH_TOKEN. Where
    traces are said to be: OUTPUT_TRACE_LOCAL_ON, OUTPUT_TRACE_HOST_PATH, OUTPUT_TRACE_REMOTE_ON,
    OUTPUT_TRACE_REMOTE_S3_BUCKET, and OUTPUT_AWS_ACCESS_KEY_ID and OUTPUT_AWS_SECRET_ACCESS_KEY.

    Ctrl-C or SIGTERM stops the server.
    """
    from output_mock.cli.log import RequestLog
    from output_mock.cli.watch import Watcher
    from output_mock.mock import OutputMock

    production = os.environ.get("NODE_ENV") == "production"
    token = auth_token or (_production_token() if production else None)
    mock = OutputMock(
        clock=clock,
        seed=seed,
        catalog=catalog,
        auth_token=token,
        execution_timeout=execution_timeout,
        max_waiting=_from_environment("TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING", "5m"),
        history_max_waiting=_from_environment("TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS", "15s"),
    )
    # Nobody can ask a server in a process of its own for the calls that it has had.
    mock.app.calls = deque(maxlen=0)
    mock.world.traces = _traces()
    # A script that names a namespace of its own keeps it.
    mock.world.namespace = os.environ.get("TEMPORAL_NAMESPACE") or mock.world.namespace
    if watch and not scripts:
        raise click.UsageError(
            "--watch has nothing to watch; name a script to serve", click.get_current_context()
        )
    # What has changed since is taken up: look before the files are read.
    watcher = Watcher(mock, scripts) if watch else None
    loaded = _load(mock, scripts)
    for name in worker_down:
        mock.add_catalog(name, worker=False)
    log = RequestLog(mock, sys.stderr)
    server = _bound(mock, host, (3000 if production else 3001) if port is None else port, log)
    # From here on a signal ends `server.run`.
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        signal.signal(number, lambda *_: server.close())
    if not ipaddress.ip_address(server.address.partition("%")[0]).is_loopback:
        guarded = "" if token is not None else "; nothing guards it, see --auth-token"
        click.echo(f"warning: {host} can be reached from other machines{guarded}", err=True)
    click.echo(_first_line(mock, server, demonstration=not scripts))
    if watcher is not None:
        watcher.begin(loaded, log.tell)
    try:
        server.run()
    finally:
        if watcher is not None:
            watcher.close()
        # A second Ctrl-C must not disturb the end.
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        log.close()


def _production_token() -> str:
    token = os.environ.get("OUTPUT_API_AUTH_TOKEN", "").strip()
    if not token:
        raise click.UsageError(
            "NODE_ENV is production and there is no token; set OUTPUT_API_AUTH_TOKEN, give --auth-token, "
            "or unset NODE_ENV",
            click.get_current_context(),
        )
    return token


def _from_environment(name: str, default: Duration) -> Duration:
    text = os.environ.get(name)
    if not text:
        return default
    try:
        return environment.milliseconds(text)
    except ValueError as error:
        raise click.UsageError(f"Invalid value for '{name}': {error}", click.get_current_context()) from None


def _traces() -> Traces:
    try:
        return environment.traces(os.environ)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


def _load(mock: OutputMock, scripts: tuple[str, ...]) -> dict[str, list[Scripted]]:
    """Offer what the files script. Returns what each has offered."""
    from output_mock.engine.errors import OutputError

    if not scripts:
        from output_mock.scripts.demo import script

        mock.load(script)
    loaded, problems = loaded_files(scripts)
    if problems:
        raise _refused(all_mistakes(loaded, problems), problems[0])
    for path, found in loaded.items():
        try:
            for one in found:
                mock.load(one)
        except (ValueError, OutputError) as error:
            raise click.ClickException(f"{path}: {error}") from error
    mistakes = all_mistakes(loaded, ())
    if mistakes:
        raise _refused(mistakes, mistakes[0])
    return loaded


def _refused(mistakes: list[Mistake], first: object) -> click.ClickException:
    """One mistake by itself is told in one line, several in one line each."""
    if len(mistakes) == 1:
        return click.ClickException(str(first))
    for mistake in mistakes:
        click.echo(str(mistake), err=True)
    return click.ClickException(f"there are {len(mistakes)} mistakes in the scripts, see above")


def _bound(mock: OutputMock, host: str, port: int, log: Any) -> Server:
    from output_mock.server import Server

    try:
        return Server(mock.app, host, port, on_served=log.served)
    except (socket.gaierror, UnicodeError):
        problem = f"the host {host!r} has no address; give one of this machine with --host, such as 127.0.0.1"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = (
                f"port {port} of {host} is in use; stop what uses it, or choose another one with --port "
                "(0 takes a free one)"
            )
        elif error.errno == errno.EADDRNOTAVAIL:
            problem = f"{host} is no address of this machine; choose one with --host, such as 127.0.0.1"
        elif error.errno in (errno.EACCES, errno.EPERM):
            problem = f"port {port} is not for everybody; choose one above 1023 with --port"
        else:
            problem = f"cannot listen on port {port} of {host}: {error.strerror or error}"
    raise click.ClickException(problem)


def _first_line(mock: OutputMock, server: Server, *, demonstration: bool) -> str:
    world = mock.world
    offered = {id(one) for catalog in world.catalogs.values() for one in catalog.workflows.values()}
    number = f"{len(offered)} workflow{'' if len(offered) == 1 else 's'}"
    names = [name if catalog.worker else f"{name} (no worker)" for name, catalog in world.catalogs.items()]
    what = f"{number} of the demonstration" if demonstration else number
    secret = "" if mock.app.auth_token is None else ", token required"
    return (
        f"Serving {what} in catalog{'' if len(names) == 1 else 's'} {', '.join(names)} on {server.url} "
        f"(clock {world.clock.mode}, seed {world.seed}{secret})"
    )
