"""The socket of a served fake: what it listens on, and what to do where it cannot."""

from __future__ import annotations

import errno
import ipaddress
import socket
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from output_mock.control.front import Front
    from output_mock.server import Server
    from output_mock.server.served import OnServed


def bound(front: Front, host: str, port: int, on_served: OnServed) -> Server:
    """A server that listens there. Raises `ClickException` with what to do where it cannot."""
    from output_mock.server import Server, allow_many_connections

    allow_many_connections()
    try:
        return Server(front, host, port, on_served=on_served)
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


def is_for_this_machine_only(server: Server) -> bool:
    """Whether other machines cannot reach it."""
    return ipaddress.ip_address(server.address.partition("%")[0]).is_loopback


def host_names(host: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """The hosts that the control plane answers to, among them the one that is listened on."""
    from output_mock.control.access import host_name

    try:
        return host_name(host), *others
    except ValueError:
        # Nobody can ask for it by that name. That it has no address is told when it is bound.
        return others
