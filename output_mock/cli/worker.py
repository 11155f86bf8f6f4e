"""`output-mock worker`: the same scripts on a real Temporal, behind a real API server."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import click

from output_mock.cli import environment
from output_mock.cli.configured import Configured
from output_mock.cli.script_files import ScriptPath, counted, sound_files
from output_mock.cli.signals import ending_signals
from output_mock.cli.values import callback_host_option, catalog_name

if TYPE_CHECKING:
    from output_mock.engine.trace_storage import Traces

_ADDRESS = re.compile(r".*[^:]:\d{1,5}")


def address(context: click.Context, _: click.Parameter, value: str) -> str:
    if not _ADDRESS.fullmatch(value) or int(value.rpartition(":")[2]) > 65535:
        raise click.BadParameter(f"{value!r} is not an address; write HOST:PORT, such as 127.0.0.1:7233")
    return value


def _traces(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> Traces:
    from output_mock.engine.trace_storage import Traces

    if not value:
        try:
            return environment.traces(os.environ)
        except ValueError as error:
            raise click.UsageError(str(error), context) from None
    folder = bucket = None
    for place in value:
        if place.startswith("s3://"):
            bucket = place.removeprefix("s3://").rstrip("/")
            if not bucket or "/" in bucket:
                raise click.BadParameter(f"{place!r} does not name a bucket; write it like s3://my-traces")
        elif place != "none":
            folder = place.rstrip("/") or "/"
    return Traces(folder, bucket)


@click.command(cls=Configured)
@click.argument("scripts", nargs=-1, required=True, metavar="SCRIPT...", type=ScriptPath())
@click.option(
    "--temporal",
    "target",
    metavar="HOST:PORT",
    callback=address,
    envvar="TEMPORAL_ADDRESS",
    show_envvar=True,
    default="127.0.0.1:7233",
    show_default=True,
    help="The address of Temporal.",
)
@click.option(
    "--namespace",
    metavar="NAME",
    envvar="TEMPORAL_NAMESPACE",
    show_envvar=True,
    default="default",
    show_default=True,
    help="The namespace in Temporal.",
)
@click.option(
    "--catalog",
    metavar="NAME",
    callback=catalog_name,
    envvar="OUTPUT_CATALOG_ID",
    show_envvar=True,
    default="main",
    show_default=True,
    help="The catalog that offers the workflows. It is also the task queue and the id of the catalog's "
    "workflow.",
)
@click.option(
    "--traces",
    metavar="PLACE",
    callback=_traces,
    multiple=True,
    show_default="from OUTPUT_TRACE_*; else /app/logs/runs",
    help="The trace location that the API reports: a folder, s3://BUCKET, or none. Nothing is written "
    "there. May be given twice.",
)
@click.option(
    "--leave-no-trace",
    is_flag=True,
    help="At the end, terminate and delete every run of the catalog, not only the catalog itself.",
)
@callback_host_option
def worker(
    scripts: tuple[str, ...],
    target: str,
    namespace: str,
    catalog: str,
    traces: Traces,
    leave_no_trace: bool,
    callback_host: tuple[str, ...],
) -> None:
    """Run the workflows of scripts on a real Temporal.

    SCRIPT is a Python or YAML file, a folder of them, or - for YAML on standard input.

    They are offered in a catalog of their own, which a real API server on the same Temporal finds like any
    other. Several workers, on several machines, may offer the same scripts in one catalog. This needs the
    extra output-mock[temporal]. If TEMPORAL_API_KEY is set, it is sent, and TLS is used.

    Ctrl-C or SIGTERM ends the worker and the catalog; a second Ctrl-C ends the command at once, and the
    catalog stays.
    """
    loaded = sound_files(scripts)
    from output_mock.callbacks.sending import Callbacks

    try:
        from output_mock.temporal import ScriptWorker, ServedCatalog, TemporalError
    except ModuleNotFoundError as error:
        raise click.ClickException(str(error)) from None
    # Report runs that fail because of a mistake in their script.
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    try:
        offer = ServedCatalog(
            catalog,
            [script for found in loaded.values() for script in found],
            traces,
            Callbacks(callback_host),
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    playing = ScriptWorker(
        offer,
        target=target,
        namespace=namespace,
        api_key=os.environ.get("TEMPORAL_API_KEY") or None,
        leave_no_trace=leave_no_trace,
    )
    told: list[int] = []

    def stop(number: int, _: object) -> None:
        if told and number == signal.SIGINT:
            # Nothing that is still under way may delay the end.
            os._exit(130)
        told.append(number)
        playing.stop()

    number_of = counted(len(offer.workflows))
    line = f"Serving {number_of} in catalog {catalog} on Temporal at {target} (namespace {namespace})"
    try:
        with ending_signals(stop):
            asyncio.run(playing.run(lambda: click.echo(line)))
    except TemporalError as error:
        raise click.ClickException(str(error)) from None
    if playing.shared:
        click.echo(f"Catalog {catalog} stays: other workers still serve it")
    # Threads of the SDK may still use the interpreter while it shuts down, which sometimes crashes.
    # Everything is done, so end the process at once.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
