"""The socket of a served fake, and what to tell the user if it cannot listen."""

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
    """A server that listens there. Raises `ClickException`, which says what to do, if it cannot."""
    from output_mock.server import Server, allow_many_connections

    allow_many_connections()
    try:
        return Server(front, host, port, on_served=on_served)
    except (socket.gaierror, UnicodeError):
        problem = f"the host {host!r} has no address; choose one with --host, such as 127.0.0.1"
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = (
                f"port {port} of {host} is in use; stop the program that uses it, or choose another port "
                f"with --port (0 takes a free one)"
            )
        elif error.errno == errno.EADDRNOTAVAIL:
            problem = f"{host} is not an address of this machine; choose one with --host, such as 127.0.0.1"
        elif error.errno in (errno.EACCES, errno.EPERM):
            problem = f"you may not use port {port}; choose one above 1023 with --port"
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
        # No request can use that name. Binding the socket reports that it has no address.
        return others
