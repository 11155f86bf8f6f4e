"""Who may use the control plane. It obeys every request, and browsers let every page send requests.

A page in the browser of somebody who runs a server can send requests to it, though it may not read what comes
back (a form, an image, `fetch` with `mode: "no-cors"`). By DNS rebinding it can also make its own host name
mean this machine, and then read everything. So a request needs an allowed `Host`, and must not come from a
page of another origin. Browsers say where a request comes from, and pages cannot change that.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from output_mock.control.problems import Forbidden
from output_mock.http.origins import origin
from output_mock.http.server_hooks import LOCAL_ADDRESS

# The key of the WSGI environment for the host of a target such as `http://localhost:3001/health`.
TARGET_HOST = "output_mock.target_host"
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\]|(?P<name>[A-Za-z0-9_.-]+))(?::[0-9]{0,5})?")
_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*")
# What browsers say about requests that do not come from a page of another origin.
_OWN_SITE = ("same-origin", "none")
_ALLOW_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_ALLOW_HEADERS = "Authorization, Content-Type"
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def host_name(text: str) -> str:
    """A host in the form in which hosts are compared: a name in lower case, or an IP address. Raises
    `ValueError` for another text.

    Takes `fakes.test`, `192.0.2.7`, `::1` or `[::1]`; without a port.
    """
    address = _address(text.removeprefix("[").removesuffix("]").partition("%")[0])
    if address is not None:
        return str(address)
    try:
        name = text.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        name = ""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{text!r} is not a host; write a name or an IP address, without scheme and port, such as "
            f"fakes.test"
        )
    return name


class Access:
    """Decides which hosts and which pages may use the control plane.

    `hosts` are names and IP addresses besides those of the loopback interface, `localhost`, `*.localhost` and
    the address that a connection has come in by. `origins` are those of pages, such as
    `http://localhost:5173`. Raises `ValueError` for what is neither.
    """

    def __init__(self, hosts: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._hosts = frozenset(map(host_name, hosts))
        self._origins = frozenset(map(origin, origins))

    def check(self, environ: Mapping[str, Any]) -> None:
        """Raise `Forbidden`, which says what to do, for a request for another host or from another page."""
        self._check_host(environ)
        self._check_page(environ)

    def is_preflight(self, environ: Mapping[str, Any]) -> bool:
        """Whether a browser asks what an allowed page may send."""
        return (
            environ["REQUEST_METHOD"] == "OPTIONS"
            and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
            and self._let_in(environ)
        )

    def headers(self, environ: Mapping[str, Any]) -> dict[str, str]:
        """The headers that let an allowed page read the answer."""
        if not self._origins:
            return {}
        headers = {"Vary": "Origin"}
        if self._let_in(environ):
            headers["Access-Control-Allow-Origin"] = environ["HTTP_ORIGIN"]
            headers["Access-Control-Allow-Methods"] = _ALLOW_METHODS
            headers["Access-Control-Allow-Headers"] = _ALLOW_HEADERS
        return headers

    def _check_host(self, environ: Mapping[str, Any]) -> None:
        given: str | None = environ.get("HTTP_HOST")
        if not given:
            raise Forbidden("the request does not say for which host it is; send a Host header")
        own: Callable[[], str] | None = environ.get(LOCAL_ADDRESS)
        # If the target names a host, too, that one counts (RFC 9112), so both must be allowed.
        for host in (given, environ.get(TARGET_HOST)):
            if host is not None and not self._is_meant(host, own):
                raise Forbidden(
                    f"the control plane does not answer to the host {host[:200]!r}; use 127.0.0.1 or "
                    f"localhost, or start the server with --allow-host NAME for your own name"
                )

    def _is_meant(self, host: str, own: Callable[[], str] | None) -> bool:
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        address = _address(found["v6"] or found["name"])
        if address is not None:
            # DNS cannot make an IP address mean another machine.
            return (
                address.is_loopback
                or str(address) in self._hosts
                or (own is not None and address == _address(own().partition("%")[0]))
            )
        name = (found["name"] or "").lower().removesuffix(".")
        if not _NAME.fullmatch(name):
            return False
        return name == "localhost" or name.endswith(".localhost") or name in self._hosts

    def _check_page(self, environ: Mapping[str, Any]) -> None:
        if self._let_in(environ):
            return
        site = environ.get("HTTP_SEC_FETCH_SITE")
        page = environ.get("HTTP_ORIGIN")
        if page is None:
            page = _origin_of(environ.get("HTTP_REFERER", ""))
        own = f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}"
        if site in (None, *_OWN_SITE) and (page is None or _same(page, own)):
            return
        told = "of another site" if page is None else "with no origin" if page == "null" else page[:200]
        allow = "ORIGIN" if page in (None, "null") else page[:200]
        raise Forbidden(
            f"refused: this request comes from a web page of another origin ({told}), which may not use the "
            f"control plane; if that page is yours, start the server with --allow-origin {allow}"
        )

    def _let_in(self, environ: Mapping[str, Any]) -> bool:
        return environ.get("HTTP_ORIGIN") in self._origins


def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _origin_of(referrer: str) -> str | None:
    try:
        parts = urlsplit(referrer)
    except ValueError:
        return referrer
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else None


def _same(page: str, own: str) -> bool:
    try:
        return origin(page) == origin(own)
    except ValueError:
        return False
