"""`output-mock verify`: is a server a true Output API?"""

from __future__ import annotations

import importlib
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from contract_tests.verdict import Verdict
    from contract_tests.verification import Wanted

_COULD_NOT = 2


class CouldNotBeChecked(click.ClickException):
    """The server could not be checked; the message says why, and what to do."""

    exit_code = _COULD_NOT


def _areas(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> list[str]:
    from contract_tests.checks import AREAS

    given = [one for value in values for one in value.split(",") if one]
    for one in given:
        if one.partition(".")[0] not in AREAS:
            raise click.BadParameter(
                f"there is no area {one!r}; the areas are {', '.join(AREAS)}", context, parameter
            )
    return given


def _workers(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if value is None or value == "auto" or (value.isascii() and value.isdigit()):
        return None if value in ("0", "1") else value
    raise click.BadParameter(f"{value!r} is neither a number nor 'auto'", context, parameter)


@click.command()
@click.argument("url", required=False)
@click.option(
    "--token",
    metavar="T",
    envvar="OUTPUT_API_AUTH_TOKEN",
    show_envvar=True,
    help="The token that the server asks for.",
)
@click.option("--catalog", metavar="C", help="The catalog to check; the server's own default if not given.")
@click.option("--read-only", is_flag=True, help="Start no run; what needs one is not checked.")
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
    help="YAML that says which of the deployment's own workflows succeed, fail, take long and wait.",
)
@click.option(
    "--temporal",
    metavar="HOST:PORT",
    help="Offer the pack's workflows on the deployment's Temporal while it is checked.",
)
@click.option(
    "--namespace",
    metavar="N",
    default="default",
    show_default=True,
    help="The namespace there, for --temporal.",
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
    help="Compare with another server, or with the report in a folder, and say what is different.",
)
@click.option("--against-token", metavar="T", help="The token of that server.")
@click.option("--strict", is_flag=True, help="Let every deviation count, and not only from what is required.")
@click.option(
    "--examples",
    type=click.IntRange(1, 10_000),
    metavar="N",
    default=25,
    show_default=True,
    help="How many examples each property is tried with.",
)
@click.option(
    "--patience",
    type=click.FloatRange(1),
    metavar="S",
    default=60,
    show_default=True,
    help="How many seconds a run may take that has nothing to wait for.",
)
@click.option(
    "--max-requests",
    type=click.IntRange(1),
    metavar="N",
    default=6000,
    show_default=True,
    help="How many requests it may make.",
)
@click.option(
    "--max-seconds",
    type=click.IntRange(1),
    metavar="N",
    default=600,
    show_default=True,
    help="How long it may take.",
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
    strict: bool,
    examples: int,
    patience: float,
    max_requests: int,
    max_seconds: int,
) -> None:
    """Tell whether the server at URL is a true Output API; without a URL, whether the fake is.

    Ends with 0 if it conforms, 1 if it does not, 2 if it could not be checked. Every run that it starts has
    an id that begins with verify-, and is ended. What the server has no workflow for is reported as not
    checked, with what it would take.
    """
    from contract_tests import comparison, report_text, verification
    from contract_tests import verdict as verdicts

    lacking = verification.missing(workers)
    if lacking is not None:
        raise CouldNotBeChecked(lacking)
    if url is None and (catalog is not None or temporal is not None or map_file is not None):
        raise click.UsageError("--catalog, --map and --temporal are for a server; give its URL", context)
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
    )
    other: Wanted | Verdict | None = None
    if against is not None and against.startswith(("http://", "https://")):
        other = replace(wanted, url=against, token=against_token)
    elif against is not None:
        try:
            other = verdicts.read(Path(against))
        except ValueError as problem:
            raise click.UsageError(f"--against: {problem}", context) from None
    for one in (wanted, other):
        if isinstance(one, verification.Wanted) and one.url is not None:
            _reach(one.url, one.token)
    with _terminated_as_interrupted(), _offered(wanted, temporal, namespace) as ready:
        verdict = _checked(ready)
        for line in report_text.whole(verdict):
            click.echo(line)
        if report is not None:
            _write(verdict, report)
        if other is None:
            context.exit(verdict.exit_status)
        if isinstance(other, verification.Wanted):
            other = _checked(replace(other, catalog=ready.catalog))
            if report is not None:
                _write(other, report / "against")
    click.echo()
    for line in comparison.as_text(verdict, other):
        click.echo(line)
    context.exit(comparison.exit_status(verdict, other))


def _checked(wanted: Wanted) -> Verdict:
    from contract_tests import verification

    name = wanted.url or verification.IN_PROCESS
    click.echo(
        f"Checking {name}: {wanted.max_requests} requests and {wanted.max_seconds:.0f} seconds at most"
        f"{', no runs' if wanted.read_only else ''}",
        err=True,
    )
    return verification.verify(wanted, _progress())


def _progress() -> Callable[[int, int, int, str], None] | None:
    """Keeps one line of a terminal up to date; nothing where nobody looks."""
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
    from contract_tests import verification

    try:
        written = verification.write_reports(verdict, folder)
    except OSError as problem:
        raise CouldNotBeChecked(f"the report cannot be written: {problem}; choose another folder") from None
    click.echo(f"Wrote {', '.join(str(path) for path in written)}", err=True)


def _reach(url: str, token: str | None) -> None:
    """Raise `CouldNotBeChecked` unless a server answers there, and lets us in."""
    import http.client

    from contract_tests.transport import SocketTransport

    headers = [] if token is None else [("Authorization", f"Basic {token}")]
    try:
        transport = SocketTransport(url)
        reply = transport.send("GET", "/workflow/runs?limit=1", headers, None, 20)
        reply.close()
    except ValueError as problem:
        raise CouldNotBeChecked(str(problem)) from None
    except (OSError, http.client.HTTPException) as problem:
        words = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
        raise CouldNotBeChecked(
            f"no server answers at {url} ({words}); start it, or correct the URL"
        ) from None
    if reply.status == 401:
        what = (
            "asks for a token; give it with --token T" if token is None else "refuses this token; see --token"
        )
        raise CouldNotBeChecked(f"the server at {url} {what}")


@contextmanager
def _offered(wanted: Wanted, temporal: str | None, namespace: str) -> Iterator[Wanted]:
    """Have the pack on the deployment's Temporal while the block runs, if that is wanted."""
    if temporal is None:
        yield wanted
        return
    try:
        offering = importlib.import_module("output_mock.temporal").offering
    except ImportError as problem:
        raise CouldNotBeChecked(
            f"--temporal needs the Temporal SDK ({problem}); run: pip install 'output-mock[temporal]'"
        ) from None
    import secrets

    from contract_tests.pack import script

    name = wanted.catalog or f"verify-{secrets.token_hex(4)}"
    with offering(script, target=temporal, namespace=namespace, catalog=name) as catalog:
        yield replace(wanted, catalog=catalog)


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have SIGTERM end what was started as Ctrl-C does."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
