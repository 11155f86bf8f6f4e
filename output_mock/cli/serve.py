"""`output-mock serve`: a fake on a real socket, in the place of the real server's container."""

from __future__ import annotations

import errno
import gc
import ipaddress
import os
import re
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from output_mock.cli import environment
from output_mock.cli.check import all_mistakes, counted, loaded_files
from output_mock.cli.trace_storage import TraceStorage
from output_mock.cli.versions import version_options
from output_mock.contract.versions import NEXT, Deployment
from output_mock.durations import Duration, nanoseconds

if TYPE_CHECKING:
    from output_mock.cli.last_resort import LastResort
    from output_mock.cli.log import RequestLog
    from output_mock.control.front import Front
    from output_mock.control.saver import Saver
    from output_mock.control.worlds import Worlds
    from output_mock.engine.clock import Mode
    from output_mock.mock import OutputMock
    from output_mock.places import Mistake
    from output_mock.scripts.script import Scripted
    from output_mock.server import Server
    from output_mock.traces.past import PastFile

# How many objects more than there were before make the collector look at them.
_COLLECT_AFTER = 10_000
# How many seconds after a signal the process ends, whatever holds it up. To free the memory of 200,000 runs
# takes the system 0.3 s more.
_LAST = 0.5
# How many seconds more the log has to write what the state file does not have.
_TELLING = 0.1
# How many seconds the state has for being written at the end.
_WRITING = 0.5
_CATALOG = re.compile(r"[a-zA-Z0-9_.@-]+")


def _port(context: click.Context, _: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if not (value.isascii() and value.isdigit()) or int(value) > 65535:
        raise click.BadParameter(f"{value!r} is not a port; give a number from 0 (takes a free one) to 65535")
    return int(value)


def _seed(context: click.Context, _: click.Parameter, value: str | None) -> int:
    if value is None:
        return secrets.randbelow(10**9)
    if not (value.isascii() and value.isdigit()):
        raise click.BadParameter(f"{value!r} is not a seed; give a whole number, 0 or more")
    return int(value)


def catalog_name(context: click.Context, _: click.Parameter, value: str | tuple[str, ...]) -> Any:
    """The name of a catalog, or several, as the real server takes them."""
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


def _script_limit(context: click.Context, _: click.Parameter, value: str) -> Duration:
    from output_mock.engine.watchdog import checked_limit

    try:
        checked_limit(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _presets(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    from output_mock.http.faults import preset

    try:
        for name in value:
            preset(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def _lifetime(context: click.Context, _: click.Parameter, value: str | None) -> float | None:
    try:
        length = None if value is None else nanoseconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if length == 0:
        raise click.BadParameter("it is 0; leave the option out to have worlds stay")
    return None if length is None else length / 1e9


def _s3(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value is not None and value != "moto" and not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} is neither moto nor the URL of an S3-compatible server")
    return value


def _token(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; give a token, or leave the option out to ask for none")
    return value


def _hosts(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    from output_mock.control.access import host_name

    try:
        return tuple(host_name(text) for text in value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _origins(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    from output_mock.http.origins import origin

    try:
        return tuple(origin(text) for text in value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.argument("scripts", nargs=-1, metavar="[SCRIPT]...")
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on; 0.0.0.0 stands for all."
)
@click.option(
    "--port",
    metavar="PORT",
    callback=_port,
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
        "How time passes: as on your computer (real); it jumps to what is due whenever a client waits, so "
        "that nobody waits (auto); only when you move it (manual)."
    ),
)
@click.option(
    "--catalog",
    metavar="NAME",
    callback=catalog_name,
    envvar="OUTPUT_CATALOG_ID",
    show_envvar=True,
    default="main",
    show_default=True,
    help="The catalog that is used when a request names none.",
)
@click.option(
    "--auth-token",
    metavar="TOKEN",
    callback=_token,
    show_default="none; in production OUTPUT_API_AUTH_TOKEN",
    help="The token that every request must send, as 'Authorization: Basic TOKEN'.",
)
@click.option(
    "--seed",
    metavar="N",
    callback=_seed,
    show_default="a new one each time",
    help="What ids and chance come from: with the same seed, the same requests get the same ids.",
)
@version_options
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
    "--script-limit",
    metavar="DURATION",
    callback=_script_limit,
    default="2s",
    show_default=True,
    help="How long a script may compute or block at a time before it is stopped.",
)
@click.option(
    "--worker-down",
    metavar="CATALOG",
    callback=catalog_name,
    multiple=True,
    help="A catalog that exists, but whose worker is gone. May be given several times.",
)
@click.option(
    "--control-token",
    metavar="TOKEN",
    callback=_token,
    envvar="OUTPUT_MOCK_CONTROL_TOKEN",
    show_envvar=True,
    show_default="that of --auth-token, if any",
    help="The token that requests to the control plane must send, as 'Authorization: Bearer TOKEN'.",
)
@click.option(
    "--allow-host",
    metavar="NAME",
    callback=_hosts,
    multiple=True,
    help=(
        "A further host name or address at which the control plane may be used. It always answers to "
        "localhost, the addresses of this machine, and --host. May be given several times."
    ),
)
@click.option(
    "--allow-origin",
    metavar="ORIGIN",
    callback=_origins,
    multiple=True,
    help=(
        "The origin of web pages that may use the control plane, such as http://localhost:5173. Other "
        "pages are refused. May be given several times."
    ),
)
@click.option(
    "--cors",
    metavar="ORIGIN",
    callback=_origins,
    multiple=True,
    show_default="every page, as on the real server",
    help="The origin of web pages that may read the answers of the API. May be given several times.",
)
@click.option(
    "--faults",
    metavar="PRESET",
    callback=_presets,
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
    callback=_lifetime,
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
    callback=_s3,
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
def serve(
    scripts: tuple[str, ...],
    host: str,
    port: int | None,
    clock: Mode,
    catalog: str,
    auth_token: str | None,
    seed: int,
    api_version: str | None,
    sdk_version: str | None,
    execution_timeout: Duration,
    script_limit: Duration,
    worker_down: tuple[str, ...],
    control_token: str | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    cors: tuple[str, ...],
    faults: tuple[str, ...],
    journal: int,
    keep_runs: int,
    worlds: int,
    world_ttl: float | None,
    timing: bool,
    log_format: str,
    trace_dir: str | None,
    past: Path | None,
    s3: str | None,
    state_file: Path | None,
    watch: bool,
) -> None:
    """Serve the workflows of Python and YAML scripts; without a script, a demonstration.

    If an option is not given, the server reads the environment variable of the real container. Besides
    those named below, it reads TEMPORAL_NAMESPACE, TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING,
    TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS, and NODE_ENV: production needs OUTPUT_API_AUTH_TOKEN. For traces,
    it reads OUTPUT_TRACE_LOCAL_ON, OUTPUT_TRACE_HOST_PATH, OUTPUT_TRACE_REMOTE_ON,
    OUTPUT_TRACE_REMOTE_S3_BUCKET, OUTPUT_TRACE_UPLOAD_DELAY_MS, OUTPUT_AWS_REGION,
    OUTPUT_AWS_ACCESS_KEY_ID and OUTPUT_AWS_SECRET_ACCESS_KEY.

    Ctrl-C or SIGTERM stops the server.
    """
    from output_mock.cli.last_resort import LastResort
    from output_mock.cli.log import RequestLog
    from output_mock.cli.watch import Watcher
    from output_mock.control.access import Access
    from output_mock.control.front import Front
    from output_mock.control.worlds import DEFAULT, Worlds
    from output_mock.engine.kept_runs import KeptRuns
    from output_mock.mock import OutputMock

    production = os.environ.get("NODE_ENV") == "production"
    token = auth_token or (_production_token() if production else None)
    max_waiting = _from_environment("TEMPORAL_WORKFLOW_EXECUTION_MAX_WAITING", "5m")
    history_max_waiting = _from_environment("TEMPORAL_HISTORY_MAX_WAIT_TIMEOUT_MS", "15s")
    keeping = _keeping(trace_dir, s3)
    past_files = [] if past is None else _past(past)
    kept_runs = KeptRuns(keep_runs)

    def fake(options: Mapping[str, Any]) -> OutputMock:
        api, sdk = _versions(options, api_version, sdk_version)
        made = OutputMock(
            clock=options.get("clock", clock),
            seed=options.get("seed", seed),
            catalog=options.get("catalog", catalog),
            auth_token=token,
            execution_timeout=options.get("executionTimeout", execution_timeout),
            max_waiting=max_waiting,
            history_max_waiting=history_max_waiting,
            script_limit=script_limit,
            traces=keeping.traces(options.get("world", DEFAULT)),
            keep_runs=kept_runs,
            api_version=api,
            sdk_version=sdk,
        )
        made.app.calls.most = journal
        made.app.timing = timing
        made.app.api.cors_origins = frozenset(cors) if cors else None
        # A script that names a namespace of its own keeps it.
        made.world.namespace = os.environ.get("TEMPORAL_NAMESPACE") or made.world.namespace
        for name in faults:
            made.faults.preset(name)
        if past_files:
            from output_mock.traces.past import load_past

            load_past(made.world, past_files)
        return made

    mock = fake({})
    if watch and not scripts:
        raise click.UsageError(
            "--watch has nothing to watch; name a script to serve", click.get_current_context()
        )
    # What has changed since is taken up: look before the files are read.
    watcher = Watcher(mock, scripts) if watch else None
    loaded = _load(mock, scripts)
    for name in worker_down:
        mock.add_catalog(name, worker=False)

    def another(options: Mapping[str, Any]) -> OutputMock:
        made = fake(options)
        if options.get("scripts") != "none":
            for found in loaded.values():
                for script in found:
                    made.load(script)
        for name in worker_down:
            made.add_catalog(name, worker=False)
        return made

    log = RequestLog(sys.stderr, structured=log_format == "json")
    log.follow(mock)
    held = Worlds(mock, another, most=worlds, idle=world_ttl, on_new=log.follow, on_end=keeping.forget)
    saver = None if state_file is None else _saver(state_file, held, log)
    front = Front(held, control_token=control_token, access=Access(_named(host, allow_host), allow_origin))
    server = _bound(front, host, (3000 if production else 3001) if port is None else port, log)
    # From here on a signal ends `server.run`.
    stopping: list[int] = []

    def stop(number: int, _: object) -> None:
        last_resort.heard()
        if not stopping:
            stopping.append(number)
            # A collection of a large heap would take seconds, and all of it goes at once in the end.
            gc.disable()
            threading.Thread(
                target=_end_late, args=(last_resort, saver), name="output-mock-exit", daemon=True
            ).start()
            if saver is not None:
                # What the last requests bring is written when they are over.
                saver.hurry()
        server.close()

    signals = (signal.SIGINT, signal.SIGTERM)
    last_resort = LastResort(signals)
    for number in signals:
        signal.signal(number, stop)
    if not ipaddress.ip_address(server.address.partition("%")[0]).is_loopback:
        what = "its API" if control_token else "it"
        guarded = f"; nothing guards {what}, see --auth-token" if token is None else ""
        click.echo(f"warning: {host} can be reached from other machines{guarded}", err=True)
    if token is None and os.environ.get("OUTPUT_API_AUTH_TOKEN"):
        click.echo(
            "warning: OUTPUT_API_AUTH_TOKEN is set, and no token is asked for: NODE_ENV is not production. "
            "Set that, too, or give --auth-token",
            err=True,
        )
    warning = keeping.warning()
    if warning is not None:
        click.echo(f"warning: {warning}", err=True)
    click.echo(_first_line(mock, server, demonstration=not scripts))
    for line in keeping.lines():
        click.echo(line)
    if watcher is not None:
        watcher.begin(loaded, log.tell, lambda: _others(held))
    # What is there now stays for as long as the process. Runs do not, and what is left of those that went has
    # to be looked for; Python does so when it may be a quarter of all there is, and not more often than this.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 5, 5)
    try:
        server.run()
    finally:
        if watcher is not None:
            watcher.close()
        if saver is not None:
            saver.close(_WRITING)
        held.close()
        keeping.close()
        # A second Ctrl-C must not disturb the end.
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        log.close()
        if stopping:
            _end_now(last_resort)
        last_resort.close()


_ending = threading.Lock()


def _end_late(last_resort: LastResort, saver: Saver | None) -> None:
    """End the process, whatever holds it up: a script that blocks, an upload, a client that reads slowly."""
    time.sleep(_LAST)
    if saver is not None:
        saver.tell_missing()
        time.sleep(_TELLING)
    # Nothing is flushed: it may be a pipe that nobody reads which holds it up.
    _end(last_resort)


def _end_now(last_resort: LastResort) -> None:
    """End the process, and leave it to the system to free what the runs take: Python needs seconds for it."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    _end(last_resort)


def _end(last_resort: LastResort) -> None:
    """End the process, in one thread: what tools do at its end, such as coverage, bears no second one."""
    if _ending.acquire(blocking=False):
        # What tools do then may take its time.
        last_resort.stand_down()
        os._exit(0)
    threading.Event().wait()


def _named(host: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts that the control plane answers to, among them the one that is listened on."""
    from output_mock.control.access import host_name

    try:
        return host_name(host), *others
    except ValueError:
        # Nobody can ask for it by that name. That it has no address is told when it is bound.
        return others


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


def _others(held: Worlds) -> dict[str, OutputMock]:
    """The worlds besides the first that have the server's scripts."""
    return {
        one.name: one.mock for one in held if one is not held.default and one.options.get("scripts") != "none"
    }


def _past(folder: Path) -> list[PastFile]:
    """The traces of the past. What is wrong with some of the files is told."""
    from output_mock.traces.past import read_past
    from output_mock.traces.reading import NoTrace

    try:
        files, problems = read_past(folder)
    except NoTrace as error:
        raise click.ClickException(str(error)) from None
    for problem in problems:
        click.echo(f"warning: {problem}; it is left out", err=True)
    return files


def _saver(path: Path, worlds: Worlds, log: RequestLog) -> Saver:
    """Put the state of a file back, and have it written from now on."""
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


def _keeping(trace_dir: str | None, s3: str | None) -> TraceStorage:
    from output_mock.traces.s3 import S3Missing

    try:
        return TraceStorage(os.environ, trace_dir, s3)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None
    except S3Missing as error:
        raise click.ClickException(str(error)) from None


def _load(mock: OutputMock, scripts: tuple[str, ...]) -> dict[str, list[Scripted]]:
    """Offer what the files script, or the demonstration. Returns what each has offered."""
    from output_mock.contract.errors import OutputError

    if not scripts:
        from output_mock.scripts.demo import script

        mock.load(script)
        return {"the demonstration": [script]}
    loaded, problems = loaded_files(scripts)
    if problems:
        raise refused(all_mistakes(loaded, problems), problems[0])
    for path, found in loaded.items():
        try:
            for one in found:
                mock.load(one)
        except (ValueError, OutputError) as error:
            raise click.ClickException(f"{path}: {error}") from error
    mistakes = all_mistakes(loaded, ())
    if mistakes:
        raise refused(mistakes, mistakes[0])
    return loaded


def refused(mistakes: list[Mistake], first: object) -> click.ClickException:
    """One mistake by itself is told in one line, several in one line each."""
    if len(mistakes) == 1:
        return click.ClickException(str(first))
    for mistake in mistakes:
        click.echo(str(mistake), err=True)
    return click.ClickException(f"there are {len(mistakes)} mistakes in the scripts, see above")


def _bound(front: Front, host: str, port: int, log: RequestLog) -> Server:
    from output_mock.server import Server, allow_many_connections

    allow_many_connections()
    try:
        return Server(front, host, port, on_served=log.served)
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


def _named_versions(deployment: Deployment) -> str:
    if deployment.is_newest:
        return ""
    unproven = ", unproven" if deployment.sdk == NEXT else ""
    return f", as API {deployment.api} with workers of SDK {deployment.sdk}{unproven}"


def _versions(options: Mapping[str, Any], api: str | None, sdk: str | None) -> tuple[Any, Any]:
    """The versions of a world: its own, or else the server's."""
    if options.get("apiVersion") is not None:
        # Workers of a world's own server are as old as that, not as the command line's.
        api, sdk = options["apiVersion"], None
    return api, options.get("sdkVersion", sdk)


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
