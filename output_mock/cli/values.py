"""Checks the values of options."""

from __future__ import annotations

import os
import re
import secrets
from typing import Any

import click

from output_mock.cli import environment
from output_mock.cli.configured import variable_used
from output_mock.cli.connection import Option
from output_mock.durations import Duration, nanoseconds

_CATALOG = re.compile(r"[a-zA-Z0-9_.@-]+")
# The value of variables that Kubernetes sets in containers for the ports of a service.
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")


def port(context: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """The number of a port; 0 takes a free one."""
    if value is None:
        return None
    if _SERVICE_LINK.match(value):
        variable = variable_used(context, param) or "PORT"
        service = variable.removesuffix("_PORT").lower().replace("_", "-")
        raise click.BadParameter(
            f"{value!r} is not a port but a service link: Kubernetes sets {variable} because there is a "
            f"service with the name {service}; set enableServiceLinks: false in the pod, rename the "
            f"service, or give --port"
        )
    if not (value.isascii() and value.isdigit()) or int(value) > 65535:
        raise click.BadParameter(f"{value!r} is not a port; give a number from 0 (takes a free one) to 65535")
    return int(value)


def is_production() -> bool:
    """Whether the environment is that of a real container in production."""
    return os.environ.get("NODE_ENV") == "production"


def usual_port() -> int:
    """The port that a server takes where none is given: the real one's."""
    return 3000 if is_production() else 3001


def seed(context: click.Context, _: click.Parameter, value: str | None) -> int:
    """A seed; a new one if none is given."""
    if value is None:
        return secrets.randbelow(10**9)
    if not (value.isascii() and value.isdigit()):
        raise click.BadParameter(f"{value!r} is not a seed; give a whole number, 0 or more")
    return int(value)


def catalog_name(context: click.Context, _: click.Parameter, value: str | tuple[str, ...]) -> Any:
    """The name of a catalog, or several, as the real server takes them."""
    for name in (value,) if isinstance(value, str) else value:
        if not _CATALOG.fullmatch(name):
            raise click.BadParameter(f"{name!r} is not a valid catalog name; use letters, digits and _ . @ -")
    return value


def length(context: click.Context, param: click.Parameter, value: str) -> Duration:
    """A duration; one from the real container's variable is read as the container reads it."""
    try:
        if variable_used(context, param) == "TEMPORAL_WORKFLOW_EXECUTION_TIMEOUT":
            return environment.execution_timeout(value)
        nanoseconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def script_limit(context: click.Context, _: click.Parameter, value: str) -> Duration:
    """How long a script may compute at a time."""
    from output_mock.engine.watchdog import checked_limit

    try:
        checked_limit(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def presets(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The names of presets of faults."""
    from output_mock.http.faults import preset

    try:
        for name in value:
            preset(name)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return value


def lifetime(context: click.Context, _: click.Parameter, value: str | None) -> float | None:
    """How many seconds an unused world is kept; None for ever."""
    try:
        length = None if value is None else nanoseconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if length == 0:
        raise click.BadParameter("it is 0; leave the option out to keep worlds forever")
    return None if length is None else length / 1e9


def s3(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """`moto`, or the URL of an S3-compatible server."""
    if value is not None and value != "moto" and not value.startswith(("http://", "https://")):
        raise click.BadParameter(f"{value!r} is neither moto nor the URL of an S3-compatible server")
    return value


def token(context: click.Context, _: click.Parameter, value: str | None) -> str | None:
    """A token that is not empty."""
    if value is not None and not value.strip():
        raise click.BadParameter("it is empty; give a token, or leave the option out if requests need none")
    return value


def hosts(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """Host names, as in the Host header of requests."""
    from output_mock.control.access import host_name

    try:
        return tuple(host_name(text) for text in value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


callback_host_option: Option = click.option(
    "--callback-host",
    metavar="NAME",
    callback=hosts,
    multiple=True,
    help=(
        "A host that workflows may send requests to, besides this machine. Requests to all others are not "
        "sent. May be given several times."
    ),
)


def origins(context: click.Context, _: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    """The origins of web pages."""
    from output_mock.http.origins import origin

    try:
        return tuple(origin(text) for text in value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
