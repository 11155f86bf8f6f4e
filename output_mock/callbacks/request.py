"""A request as the SDK's `sendHttpRequest` sends it, and what it makes of the answer.

Measured with sdk/core 0.11.0: the order and names of headers, the bodies, and the words of errors.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

from output_mock.javascript_json import UNDEFINED, parse, stringify, to_bytes
from output_mock.masking import MASK, masked_text
from output_mock.sdk.failures import Failure

Headers = tuple[tuple[str, str], ...]

_WITH_BODY = ("DELETE", "PATCH", "POST", "PUT")
# What `fetch` adds to the headers of a request that has none of these.
_DEFAULTS = {
    "accept": "*/*",
    "accept-language": "*",
    "sec-fetch-mode": "cors",
    "user-agent": "undici",
    "accept-encoding": "gzip, deflate",
}
_VARIABLE = re.compile(r"\$([A-Z_][A-Z0-9_]*)")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_JSON = re.compile(r"application/(?:json|[^;\s]+?\+json)(?:\s*;.*)?", re.IGNORECASE)
# The headers whose values the SDK hides: those with one of these words, or a word that ends so.
_SECRET = re.compile(
    r"(?<![a-z\d])(authorization|token|secret|password|pwd|cookie)(?![a-z\d])|key(?![a-z\d])", re.IGNORECASE
)
_NOT_SECRET = ("x-csrf-token", "public-key-pins")
# What is shorter, such as `1`, is part of too much else.
_SHORTEST_SECRET = 4
REDACTED = "[REDACTED]"


class Request(NamedTuple):
    """A request on its way. The names of its headers are lower case, as on the wire."""

    method: str
    url: str
    headers: Headers
    body: bytes
    # The values that `$NAME` stood for, which are shown to nobody.
    hidden: tuple[str, ...] = ()

    @property
    def parts(self) -> SplitResult:
        """The parts of its URL."""
        return urlsplit(self.url)

    @property
    def connection(self) -> str:
        """The header of this name, as `fetch` sends it (call_methods)."""
        return "close" if self.method == "HEAD" else "keep-alive"

    @property
    def host(self) -> str:
        """Its host, with the port that the URL has: what the header says."""
        return self.parts.netloc.rpartition("@")[2]

    @property
    def port(self) -> int:
        """The port that it goes to."""
        parts = self.parts
        if parts.port is not None:
            return parts.port
        return 443 if parts.scheme == "https" else 80

    def header(self, name: str) -> str | None:
        """The value of a header, whose name is lower case."""
        return next((value for key, value in self.headers if key == name), None)


class Response(NamedTuple):
    """An answer: to which URL, after redirects, and what it says."""

    url: str
    status: int
    reason: str
    headers: Headers
    body: bytes


def request_of(
    method: str, url: str, payload: Any, headers: Mapping[str, str], environ: Mapping[str, str] | None
) -> Request:
    """The request that the SDK sends.

    Takes what a script has given, and the environment whose values `$NAME` in a header stands for (None: it
    stands for itself). Raises the `Failure` that the attempt ends with: for a variable that is missing, and
    for what is no header or URL.
    """
    written = {name.lower(): _header(name, value, environ) for name, value in headers.items()}
    body = b""
    if method in _WITH_BODY and payload is not UNDEFINED and payload is not None:
        body, kind = _body(payload)
        written.setdefault("content-type", kind)
    try:
        target = normal(url)
    except ValueError:
        raise Failure(f"{method} {url} TypeError: Invalid URL", name="FatalError") from None
    if "@" in urlsplit(target).netloc:
        words = f"Request cannot be constructed from a URL that includes credentials: {url}"
        raise Failure(f"{method} {url} {words}", name="FatalError")
    known = sorted(written.items())
    known += [(name, value) for name, value in _DEFAULTS.items() if name not in written]
    if body or method in ("PATCH", "POST", "PUT"):
        known.append(("content-length", str(len(body))))
    hidden: set[str] = set()
    if environ is not None:
        hidden.update(environ[name] for value in headers.values() for name in _VARIABLE.findall(value))
    return Request(method, target, tuple(known), body, tuple(sorted(hidden, key=len, reverse=True)))


def _header(name: str, value: str, environ: Mapping[str, str] | None) -> str:
    if not _TOKEN.fullmatch(name):
        raise Failure(f'Headers.append: "{name}" is an invalid header name.', name="TypeError")

    def filled_in(found: re.Match[str]) -> str:
        assert environ is not None
        given = environ.get(found[1])
        if given is None:
            words = f'Missing environment variable "{found[1]}" while hydrating headers.'
            raise Failure(words, name="FatalError")
        return given

    filled = (str(value) if environ is None else _VARIABLE.sub(filled_in, value)).strip(" \t\r\n")
    if re.search(r"[\0\r\n]|[^\0-\xff]", filled):
        raise Failure(f"Headers.append: {filled!r} is an invalid header value.", name="TypeError")
    return filled


def _body(payload: Any) -> tuple[bytes, str]:
    if isinstance(payload, (Mapping, list, tuple)):
        return to_bytes(payload), "application/json; charset=UTF-8"
    text = payload if isinstance(payload, str) else stringify(payload)
    return text.encode("utf-8", "replace"), "text/plain; charset=UTF-8"


def without_secrets(text: str, hidden: Sequence[str]) -> str:
    """A text without these values, and without other secrets."""
    for value in hidden:
        if len(value) >= _SHORTEST_SECRET:
            text = text.replace(value, MASK)
    return masked_text(text)


def normal(url: str, base: str = "") -> str:
    """A URL as `fetch` writes it, without its fragment: dots are resolved, and non-ASCII letters
    are quoted.

    Raises `ValueError` for what is no URL of HTTP.
    """
    parts = urlsplit(urljoin(base, url))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not a URL; write one that begins with http:// or https://")
    host = parts.hostname.encode("idna").decode()
    if ":" in host:
        host = f"[{host}]"
    port = "" if parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme)) else f":{parts.port}"
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    path = quote(_without_dots(parts.path or "/"), safe="/%:@!$&'()*+,;=-._~[]")
    query = quote(parts.query, safe="/%:@!$&()*+,;=-._~?[]")
    return urlunsplit((parts.scheme, f"{user}{host}{port}", path, query, ""))


def _without_dots(path: str) -> str:
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    if segments[-1] in (".", ".."):
        kept.append("")
    return "/" + "/".join(kept)


def result_of(response: Response, *, headers: bool, body: bool) -> dict[str, Any]:
    """What `sendHttpRequest` returns for an answer.

    Takes whether its headers and its body were asked for. Raises the `Failure` that a body ends with which is
    not what its type says.
    """
    shown: dict[str, Any] = {
        "url": response.url,
        "status": response.status,
        "statusText": response.reason,
        "ok": 200 <= response.status < 300,
    }
    if headers:
        shown["headers"] = {
            name: REDACTED if name not in _NOT_SECRET and _SECRET.search(name) else value
            for name, value in sorted(response.headers)
        }
    if body:
        shown["body"] = _consumed(response)
    return shown


def whole_result_of(response: Response) -> dict[str, Any]:
    """What it returned before SDK 0.10: the complete answer, without hiding anything. Raises what
    `result_of` raises.
    """
    kind = next((value for name, value in response.headers if name == "content-type"), "")
    return {
        "url": response.url,
        "status": response.status,
        "statusText": response.reason,
        "ok": True,
        "headers": dict(sorted(response.headers)),
        "body": _json(response) if "application/json" in kind else _text(response, kind),
    }


def _consumed(response: Response) -> Any:
    kind = next((value for name, value in response.headers if name == "content-type"), "").strip().lower()
    return _json(response) if _JSON.fullmatch(kind) else _text(response, kind)


def _json(response: Response) -> Any:
    try:
        return parse(response.body.decode("utf-8", "replace"))
    except ValueError as error:
        raise Failure(str(error), name="SyntaxError") from None


def _text(response: Response, kind: str) -> str:
    if kind.startswith("text/"):
        return response.body.decode("utf-8", "replace")
    return base64.b64encode(response.body).decode()
