"""`output-mock serve`: a fake on a real socket, which replaces the real server's container."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from output_mock.cli import values
from output_mock.cli.configured import Configured, configuration_of
from output_mock.cli.script_files import STDIN, ScriptPath, counted
from output_mock.cli.served_worlds import ServedWorlds, ServeOptions
from output_mock.cli.versions import version_options
from output_mock.contract.versions import NEXT, Deployment

if TYPE_CHECKING:
    from output_mock.cli.log import RequestLog
    from output_mock.control.saver import Saver
    from output_mock.control.worlds import Worlds
    from output_mock.mock import OutputMock
    from output_mock.server import Server

# After this many new objects, the garbage collector runs.
_COLLECT_AFTER = 10_000
# How many seconds writing the state may take at the end.
_WRITING = 0.5


@click.command(cls=Configured)
@click.argument("scripts", nargs=-1, metavar="[SCRIPT]...", type=ScriptPath())
@click.option(
    "--pack",
    is_flag=True,
    help="Also serve the workflows that `output-mock verify` runs.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="The address to listen on; 0.0.0.0 means all addresses.",
)
@click.option(
    "--port",
    metavar="PORT",
    callback=values.port,
    envvar="OUTPUT_API_PORT",
    show_envvar=True,
    show_default="3001; in production 3000",
    help="The port to listen on; 0 takes a free one.",
)
@click.option(
    "--clock",
    type=click.Choice(["real", "auto", "manual"]),
    default="auto",
    show_default=True,
    help=(
        "How time passes. real: as on your computer. auto: it jumps ahead whenever a client waits, so that "
        "nobody really waits. manual: only when you move it."
    ),
)
@click.option(
    "--catalog",
    metavar="NAME",
    callback=values.catalog_name,
    envvar="OUTPUT_CATALOG_ID",
    show_envvar=True,
    default="main",
    show_default=True,
    help="The catalog that is used when a request names none.",
)
@click.option(
    "--auth-token",
    metavar="TOKEN",
    callback=values.token,
    show_default="none; in production OUTPUT_API_AUTH_TOKEN",
    help="The token that every request must send, as 'Authorization: Basic TOKEN'.",
)
@click.option(
    "--seed",
    metavar="N",
    callback=values.seed,
    show_default="a new one each time",
    help="The seed of ids and of everything random: with the same seed, the same requests get the same ids.",
)
@version_options
@click.option(
    "--execution-timeout",
    metavar="DURATION",
    callback=values.length,
    envvar="TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT",
    show_envvar=True,
    default="24h",
    show_default=True,
    help="How long a workflow may run: 90s, 45m, 24h.",
)
@click.option(
    "--list-lag",
    metavar="DURATION",
    callback=values.length,
    default="0s",
    show_default=True,
    help="How late /workflow/runs shows that a run has started or ended: about 200ms on a real deployment.",
)
@click.option(
    "--script-limit",
    metavar="DURATION",
    callback=values.script_limit,
    default="2s",
    show_default=True,
    help="How long a script may compute or block at a time before it is stopped.",
)
@click.option(
    "--worker-down",
    metavar="CATALOG",
    callback=values.catalog_name,
    multiple=True,
    help="A catalog that exists, but whose worker is gone. May be given several times.",
)
@click.option(
    "--control-token",
    metavar="TOKEN",
    callback=values.token,
    show_default="that of --auth-token, if any",
    help="The token that requests to the control plane must send, as 'Authorization: Bearer TOKEN'.",
)
@click.option(
    "--allow-host",
    metavar="NAME",
    callback=values.hosts,
    multiple=True,
    help=(
        "Another host name or address at which the control plane may be used. It always answers to "
        "localhost, the addresses of this machine, and --host. May be given several times."
    ),
)
@click.option(
    "--allow-origin",
    metavar="ORIGIN",
    callback=values.origins,
    multiple=True,
    help=(
        "The origin of web pages that may use the control plane, such as http://localhost:5173. Other "
        "pages are refused. May be given several times."
    ),
)
@click.option(
    "--cors",
    metavar="ORIGIN",
    callback=values.origins,
    multiple=True,
    show_default="every page, as on the real server",
    help="The origin of web pages that may read the answers of the API. May be given several times.",
)
@values.callback_host_option
@click.option(
    "--faults",
    metavar="PRESET",
    callback=values.presets,
    multiple=True,
    help="Inject the faults of a preset: flaky, slow or deploying. May be given several times.",
)
@click.option(
    "--journal",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    default=1000,
    show_default=True,
    help="How many calls each world keeps for the control plane.",
)
@click.option(
    "--keep-runs",
    type=click.IntRange(1),
    metavar="N",
    default=100_000,
    show_default=True,
    help=(
        "How many closed runs to keep, over all worlds. The oldest are removed first, with their traces. "
        "Open runs and their children are kept in any case."
    ),
)
@click.option(
    "--worlds",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=100,
    show_default=True,
    help="How many worlds there may be. /w/NAME/… is the world NAME.",
)
@click.option(
    "--world-ttl",
    metavar="DURATION",
    callback=values.lifetime,
    show_default="for ever",
    help="How long an unused world is kept. The default world is kept in any case.",
)
@click.option(
    "--timing", is_flag=True, help="Send the time that each answer took in the header Server-Timing."
)
@click.option(
    "--log",
    "log_format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="The format of a log line.",
)
@click.option("--quiet", is_flag=True, help="Do not log requests. Errors are still logged.")
@click.option("--no-health-log", is_flag=True, help="Do not log GET /health, which health checks send often.")
@click.option(
    "--trace-dir",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Write the traces of runs into DIR/runs/WORKFLOW/, as a worker does in its project's logs.",
)
@click.option(
    "--traces",
    "past",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Show the runs whose trace files are in DIR, such as a project's logs, as runs that have ended.",
)
@click.option(
    "--s3",
    metavar="moto|URL",
    callback=values.s3,
    help=(
        "The S3 for traces: moto starts moto's server beside this one, and a URL is that of an S3-compatible "
        "server. Needs the extra output-mock[s3]."
    ),
)
@click.option(
    "--state",
    "state_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help=(
        "Keep the state of all worlds in FILE and continue from it at the next start: runs, clocks, "
        "faults, and workflows that requests have scripted."
    ),
)
@click.option(
    "--watch",
    is_flag=True,
    help="Load a script again when it changes. Open runs continue with the script that they started with.",
)
@click.pass_context
def serve(context: click.Context, /, **given: Any) -> None:
    """Serve the workflows of scripts; without a script, a demonstration.

    SCRIPT is a Python or YAML file, a folder of them, or - for YAML on standard input.

    If an option is not given, the server reads the environment variable of the real container. Besides the
    variables named below, it reads TEMPORAL_NAMESPACE, TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING,
    TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS, and NODE_ENV: production needs OUTPUT_API_AUTH_TOKEN. For traces,
    it reads OUTPUT_TRACE_LOCAL_ON, OUTPUT_TRACE_HOST_PATH, OUTPUT_TRACE_REMOTE_ON,
    OUTPUT_TRACE_REMOTE_S3_BUCKET, OUTPUT_TRACE_UPLOAD_DELAY_MS, OUTPUT_AWS_REGION, OUTPUT_AWS_ACCESS_KEY_ID
    and OUTPUT_AWS_SECRET_ACCESS_KEY.

    Ctrl-C or SIGTERM stops the server.
    """
    from output_mock.cli.ending import EndOfServing
    from output_mock.cli.listening import bound, host_names, is_for_this_machine_only
    from output_mock.cli.log import RequestLog
    from output_mock.cli.watch import Watcher
    from output_mock.control.access import Access
    from output_mock.control.front import Front
    from output_mock.control.worlds import Worlds

    options = ServeOptions(**given)
    token = options.auth_token or (_production_token(context) if values.is_production() else None)
    served = ServedWorlds(options, token)
    if options.watch and not any(path != STDIN for path in options.scripts):
        raise click.UsageError("--watch needs a script to watch; name a script file or folder", context)
    # Begin before the files are read, so that no later change is missed.
    watcher = Watcher(options.scripts) if options.watch else None
    mock = served.first()
    log = RequestLog(
        sys.stderr,
        structured=options.log_format == "json",
        requests=not options.quiet,
        health=not options.no_health_log,
    )
    log.follow(mock)
    worlds = Worlds(
        mock,
        served.another,
        most=options.worlds,
        idle=options.world_ttl,
        on_new=log.follow,
        on_end=served.keeping.forget,
    )
    saver = None if options.state_file is None else _saver(options.state_file, worlds, log)
    access = Access(host_names(options.host, options.allow_host), options.allow_origin)
    front = Front(worlds, control_token=options.control_token, access=access)
    port = values.usual_port() if options.port is None else options.port
    server = bound(front, options.host, port, log.served)
    # From here on a signal ends `server.run`.
    end = EndOfServing(server.close, saver)
    if not is_for_this_machine_only(server):
        what = "requests to its API" if options.control_token else "requests"
        guarded = f"; {what} need no token, see --auth-token" if token is None else ""
        _warn(f"{options.host} can be reached from other machines{guarded}")
    _warn(_unused_token(token))
    _warn(served.keeping.warning())
    click.echo(_first_line(mock, server, demonstration=not options.scripts and not options.pack))
    for line in served.keeping.lines():
        click.echo(line)
    if (configuration := configuration_of(context)) is not None:
        click.echo(f"settings are from {configuration}")
    if watcher is not None:
        watcher.begin(mock, served.loaded, log.tell, lambda: served.with_scripts(worlds))
    # Existing objects live as long as the process, so they are frozen. Runs do not, so garbage has to be
    # collected; Python does so when garbage may be a quarter of all objects, and not more often than this.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 5, 5)
    try:
        server.run()
    finally:
        if watcher is not None:
            watcher.close()
        if saver is not None:
            saver.close(_WRITING)
        worlds.close()
        served.keeping.close()
        end.finish(log.close)


def _warn(text: str | None) -> None:
    if text is not None:
        click.echo(f"warning: {text}", err=True)


def _production_token(context: click.Context) -> str:
    token = os.environ.get("OUTPUT_API_AUTH_TOKEN", "").strip()
    if not token:
        raise click.UsageError(
            "NODE_ENV is production, which needs a token; set OUTPUT_API_AUTH_TOKEN, give --auth-token, or "
            "unset NODE_ENV",
            context,
        )
    return token


def _unused_token(token: str | None) -> str | None:
    """The warning for a token of the real container that is set, while another token is needed, or none."""
    told = os.environ.get("OUTPUT_API_AUTH_TOKEN", "").strip()
    if not told or told == token:
        return None
    if token is None:
        return (
            "OUTPUT_API_AUTH_TOKEN is set, but requests need no token, as NODE_ENV is not production. Set "
            "NODE_ENV=production, or give --auth-token"
        )
    return "OUTPUT_API_AUTH_TOKEN is set but not used, as --auth-token gives another token"


def _saver(path: Path, worlds: Worlds, log: RequestLog) -> Saver:
    """Restore the state from a file, and write it from now on."""
    try:
        from output_mock.control.saver import begun
        from output_mock.state.database import StateFileError
    except ImportError as error:
        raise click.ClickException(
            f"--state needs SQLite, which this Python does not have: {error}"
        ) from None
    try:
        return begun(path, worlds, log.tell)
    except StateFileError as error:
        raise click.ClickException(f"--state: {error}") from None


def _named_versions(deployment: Deployment) -> str:
    if deployment.is_newest:
        return ""
    unproven = ", unproven" if deployment.sdk == NEXT else ""
    return f", as API {deployment.api} with workers of SDK {deployment.sdk}{unproven}"


def _first_line(mock: OutputMock, server: Server, *, demonstration: bool) -> str:
    world = mock.world
    offered = {id(one) for catalog in world.catalogs.values() for one in catalog.workflows.values()}
    number = counted(len(offered))
    names = [name if catalog.worker else f"{name} (no worker)" for name, catalog in world.catalogs.items()]
    what = f"{number} of the demonstration" if demonstration else number
    secret = "" if mock.app.api.auth_token is None else ", token required"
    return (
        f"Serving {what} in catalog{'' if len(names) == 1 else 's'} {', '.join(names)} on {server.url} "
        f"(clock {world.clock.mode}, seed {world.seed}{secret}{_named_versions(world.deployment)})"
    )
