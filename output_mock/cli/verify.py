"""`output-mock verify`: does a server conform to the Output API?"""

from __future__ import annotations

import http.client
import importlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from output_mock import contract_suite
from output_mock.cli.configured import Configured
from output_mock.cli.connection import sendable_token

if TYPE_CHECKING:
    from output_contract.verdict import Verdict
    from output_contract.verification import Wanted

_COULD_NOT = 2


class CouldNotBeChecked(click.ClickException):
    """The server could not be checked; the message says why, and what to do."""

    exit_code = _COULD_NOT


def _load_checks(*, in_parallel: bool = False) -> None:
    try:
        contract_suite.load_checks(in_parallel=in_parallel)
    except contract_suite.SuiteError as problem:
        raise CouldNotBeChecked(str(problem)) from None


def _areas(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[str]:
    _load_checks()
    from output_contract.checks import AREAS

    given = [one for value in values for one in value.split(",") if one]
    for one in given:
        if one.partition(".")[0] not in AREAS:
            raise click.BadParameter(
                f"there is no area {one!r}; the areas are {', '.join(AREAS)}", context, parameter
            )
    return given


def _url(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if (
        value is not None
        and value.startswith(("http://", "https://"))
        and urlsplit(value).username is not None
    ):
        raise click.BadParameter(
            "the URL must not contain a user name; give the token with --token", context, parameter
        )
    return value


def _version(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None:
        return None
    _load_checks()
    from output_contract.versions import known

    try:
        return known(value)
    except ValueError as problem:
        raise click.BadParameter(str(problem), context, parameter) from None


def _catalog(context: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    from output_mock.cli.values import catalog_name

    return None if value is None else catalog_name(context, parameter, value)


def _temporal(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    from output_mock.cli.worker import address

    return None if value is None else address(context, parameter, value)


def _workers(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or value == "auto" or (value.isascii() and value.isdigit()):
        return None if value in ("0", "1") else value
    raise click.BadParameter(
        f"{value!r} is neither a number nor 'auto'; write a number of processes, or auto", context, parameter
    )


@click.command(cls=Configured)
@click.argument("url", required=False, callback=_url)
@click.option(
    "--token",
    metavar="T",
    envvar="OUTPUT_API_AUTH_TOKEN",
    show_envvar=True,
    callback=sendable_token,
    help="The token that the server asks for.",
)
@click.option(
    "--catalog",
    metavar="C",
    callback=_catalog,
    help="The catalog to check.  [default: the server's own]",
)
@click.option("--read-only", is_flag=True, help="Do not start runs. Checks that need one are not made.")
@click.option(
    "--only",
    metavar="AREA",
    multiple=True,
    callback=_areas,
    help="Check only this area, or only this check. May be given several times.",
)
@click.option(
    "--map",
    "map_file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A YAML file that names workflows of your own for the checks: one that succeeds, one that fails, "
    "one that takes long, and one that waits for a signal.",
)
@click.option(
    "--temporal",
    metavar="HOST:PORT",
    callback=_temporal,
    help="While checking, offer the workflows that checks need on the deployment's Temporal at HOST:PORT.",
)
@click.option(
    "--namespace",
    metavar="N",
    default="default",
    show_default=True,
    help="The Temporal namespace for --temporal.",
)
@click.option(
    "--report",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write report.html, verdict.json and junit.xml into this folder.",
)
@click.option("-n", "workers", metavar="N", callback=_workers, help="Check in N processes, or 'auto'.")
@click.option(
    "--against",
    metavar="URL|DIR",
    callback=_url,
    help="Also check another server, or read the report in a folder, and say what is different.",
)
@click.option(
    "--against-token",
    metavar="T",
    callback=sendable_token,
    help="The token of that server.",
)
@click.option("--require-all", is_flag=True, help="Exit with status 2 if a check that applies was not made.")
@click.option("--strict", is_flag=True, help="Count every failed check, and not only the required ones.")
@click.option(
    "--api-version",
    metavar="V",
    callback=_version,
    help="Judge the server as this version of the API, such as 0.9. [default: detected from its answers]",
)
@click.option(
    "--sdk-version",
    metavar="V",
    callback=_version,
    help="Judge the workers as this version of the SDK. [default: detected by running one workflow]",
)
@click.option(
    "--examples",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=25,
    show_default=True,
    help="How many random examples each property is tried with.",
)
@click.option(
    "--patience",
    type=click.FloatRange(1),
    metavar="S",
    default=60,
    show_default=True,
    help="How many seconds a run may take that waits for nothing.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(1),
    metavar="N",
    default=6000,
    show_default=True,
    help="How many requests to make at most.",
)
@click.option(
    "--max-seconds",
    type=click.IntRange(1),
    metavar="N",
    default=600,
    show_default=True,
    help="How many seconds to take at most.",
)
@click.pass_context
def verify(
    context: click.Context,
    url: str | None,
    token: str | None,
    catalog: str | None,
    read_only: bool,
    only: list[str],
    map_file: Path | None,
    temporal: str | None,
    namespace: str,
    report: Path | None,
    workers: str | None,
    against: str | None,
    against_token: str | None,
    require_all: bool,
    strict: bool,
    api_version: str | None,
    sdk_version: str | None,
    examples: int,
    patience: float,
    max_requests: int,
    max_seconds: int,
) -> None:
    """Check whether the server at URL conforms to the Output API; without a URL, check the fake.

    The exit status is 0 if it conforms, 1 if it does not (with --against, also if the other server comes out
    differently), and 2 if it could not be checked. A deployment is judged by the rules of its own version.
    The workflow ids of runs that verify starts begin with verify-, unless the server makes the id. All these
    runs are ended. Checks that need a workflow that the server does not have are reported as not checked,
    with what they need.
    """
    from output_contract import comparison, report_text, verification
    from output_contract import verdict as verdicts

    _load_checks(in_parallel=workers is not None)
    if url is None and (catalog is not None or temporal is not None or map_file is not None):
        raise click.UsageError("--catalog, --map and --temporal are for a server; give its URL", context)
    if temporal is not None and (catalog is not None or read_only):
        other_option = "--catalog" if catalog is not None else "--read-only"
        raise click.UsageError(
            f"--temporal uses its own catalog and starts runs; leave {other_option} out", context
        )
    if report is not None:
        _made(report)
    wanted = verification.Wanted(
        url=url,
        token=token if url is not None else None,
        catalog=catalog,
        read_only=read_only,
        only=only,
        map=map_file,
        workers=workers,
        examples=examples,
        patience=patience,
        max_requests=max_requests,
        max_seconds=max_seconds,
        strict=strict,
        api_version=api_version,
        sdk_version=sdk_version,
    )
    other: Wanted | Verdict | None = None
    if against is not None and against.startswith(("http://", "https://")):
        other = replace(wanted, url=against, token=against_token, api_version=None, sdk_version=None)
    elif against is not None:
        try:
            other = verdicts.read(Path(against))
        except ValueError as problem:
            raise click.UsageError(f"--against: {problem}", context) from None
    for one in (wanted, other):
        if isinstance(one, verification.Wanted) and one.url is not None:
            option = "--token" if one is wanted else "--against-token"
            _reach(one, option, with_map=temporal is None)
    with _terminated_as_interrupted(), _offered(wanted, temporal, namespace) as ready:
        verdict = _checked(ready)
        left_out = verdict.of("not_checked")
        if temporal is not None and any("conf_" in (one.reason or "") for one in left_out):
            verdict.problems.append("the server does not know the workflows that --temporal offers")
        if require_all and left_out:
            verdict.problems.append(
                f"{len(left_out)} checks were not made, but --require-all demands all of them"
            )
        # Write the report first: the reader of the printed lines may close the pipe.
        if report is not None:
            _write(verdict, report)
        _say(report_text.whole(verdict))
        if isinstance(other, verification.Wanted) and not verdict.problems:
            shared = _shared(other, ready.catalog)
            other = _checked(replace(other, catalog=shared, made=other.made + (ready.catalog is not None)))
            if report is not None:
                _write(other, report / "against")
    if other is None or isinstance(other, verification.Wanted):
        context.exit(verdict.exit_status)
    _say(["", *comparison.as_text(verdict, other)])
    context.exit(comparison.exit_status(verdict, other))


def _say(lines: Iterable[str]) -> None:
    """Print lines. A reader that closes the pipe does not change the verdict."""
    try:
        for line in lines:
            click.echo(line)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _made(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise CouldNotBeChecked(f"the report cannot be written: {problem}; choose another folder") from None


def _shared(other: Wanted, catalog: str | None) -> str | None:
    """The catalog that was checked, if the other server has it, too."""
    from output_mock.recording.transport import SocketTransport

    if catalog is None or other.url is None:
        return None
    headers = [] if other.token is None else [("Authorization", f"Basic {other.token}")]
    try:
        reply = SocketTransport(other.url).send("GET", f"/workflow/catalog/{catalog}", headers, None, 20)
        reply.close()
    except (OSError, http.client.HTTPException):
        return None
    return catalog if reply.status == 200 else None


def _checked(wanted: Wanted) -> Verdict:
    from output_contract import verification

    name = wanted.url or verification.IN_PROCESS
    click.echo(
        f"Checking {name}: {wanted.max_requests} requests and {wanted.max_seconds:.0f} seconds at most"
        f"{', no runs' if wanted.read_only else ''}",
        err=True,
    )
    return verification.verify(wanted, _progress())


def _progress() -> Callable[[int, int, int, str], None] | None:
    """Keeps one line of a terminal up to date. Does nothing without a terminal."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, expected: int, failed: int, name: str) -> None:
        test = name.rpartition("::")[2][:60]
        failures = f", {failed} failed" if failed else ""
        sys.stderr.write(f"\r\x1b[K{done} of {expected}{failures}  {test}")
        if done >= expected:
            sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    return show


def _write(verdict: Verdict, folder: Path) -> None:
    from output_contract import verification

    try:
        written = verification.write_reports(verdict, folder)
    except OSError as problem:
        raise CouldNotBeChecked(f"the report cannot be written: {problem}; choose another folder") from None
    click.echo(f"Wrote {', '.join(str(path) for path in written)}", err=True)


def _reach(wanted: Wanted, option: str, *, with_map: bool) -> None:
    """Raise `CouldNotBeChecked` unless there is an Output API that accepts the token, and has the workflows
    that the file of `--map` names (`with_map`; the catalog of `--temporal` does not exist yet).
    """
    from output_contract.preflight import NotChecked, look, look_at_map
    from output_contract.server import Server, read_map
    from output_mock.recording.transport import SocketTransport

    assert wanted.url is not None
    try:
        roles = {} if wanted.map is None else read_map(wanted.map)
        server = Server(SocketTransport(wanted.url), wanted.token, wanted.catalog, roles)
        look(server, option)
        wanted.made += 1
        if roles and with_map:
            look_at_map(server)
            wanted.made += 1
    except (ValueError, NotChecked) as problem:
        raise CouldNotBeChecked(str(problem)) from None


@contextmanager
def _offered(wanted: Wanted, temporal: str | None, namespace: str) -> Iterator[Wanted]:
    """Offer the pack on the deployment's Temporal while the block runs, if asked to."""
    if temporal is None:
        yield wanted
        return
    try:
        module = importlib.import_module("output_mock.temporal")
    except ImportError as problem:
        raise CouldNotBeChecked(
            f"--temporal needs the Temporal SDK ({problem}); run: pip install 'output-mock[temporal]'"
        ) from None
    import secrets

    from output_contract.pack import script

    name = f"verify-{secrets.token_hex(4)}"
    key = os.environ.get("TEMPORAL_API_KEY") or None
    try:
        with module.serve_on_temporal(
            script, target=temporal, namespace=namespace, catalog=name, api_key=key
        ) as catalog:
            yield replace(wanted, catalog=catalog)
    except module.TemporalError as problem:
        raise CouldNotBeChecked(f"--temporal: {problem}") from None


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Let SIGTERM end everything that was started, as Ctrl-C does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
