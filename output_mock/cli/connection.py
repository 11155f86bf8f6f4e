"""The options that tell a command about a server: its URL, and its token."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click

if TYPE_CHECKING:
    from output_mock.recording.transport import Transport

T = TypeVar("T", bound="Callable[..., Any] | click.Command")


class Option(Protocol):
    """A decorator for a command, or for its function."""

    def __call__(self, function: T, /) -> T: ...


def base_url(context: click.Context, parameter: click.Parameter, value: str) -> Transport:
    """The way to the server at a URL."""
    from output_mock.recording.transport import SocketTransport

    if "@" in value.partition("://")[2].partition("/")[0]:
        raise click.BadParameter(
            "the URL must not contain a user name; give the token with --token", context, parameter
        )
    try:
        return SocketTransport(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def sendable_token(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A token that can be sent. No error message shows it."""
    if value is None or (value.isascii() and value.isprintable()):
        return value
    raise click.BadParameter(
        "it has characters that a header cannot have; does it contain a line break?", context, parameter
    )


token_option: Option = click.option(
    "--token",
    metavar="T",
    envvar="OUTPUT_API_AUTH_TOKEN",
    show_envvar=True,
    callback=sendable_token,
    help="The token that the server asks for. It is never printed or stored.",
)
