"""Is there an Output API at all? Finds out before hundreds of checks fail for one reason."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from output_contract.evidence import Evidence, evidence_of, is_page, title_of
from output_contract.exchange import RecordedExchange
from output_contract.server import NOT_THERE, Server
from output_mock.recording.transport import SocketTransport
from output_mock.suggestions import listed

# How many seconds each of these requests may take.
_PATIENCE = 10.0
_RUNS = "/workflow/runs?limit=1"
# Where an API may be, besides the folders above the URL.
_USUAL_BASES = ("/api", "/output", "/output-api", "/api/output", "/v1")


class NotChecked(Exception):
    """There is no API to check. The message says what is there instead, and what to do."""


def look(server: Server, token_option: str = "--token") -> None:
    """Return if there is an Output API that accepts the token.

    Sends one request, and a few more only if the answer does not come from the API. Raises `NotChecked`.
    """
    url = server.transport.url
    runs = server.exchange("GET", _RUNS, timeout=2 * _PATIENCE, counted=False)
    if runs.broken:
        raise NotChecked(_unreachable(url, runs, server))
    if _is_refusal(runs):
        asked = f"asks for a token; give it with {token_option} T"
        refused = (
            f"refuses this token; see {token_option}. Perhaps something in front of the server removes the "
            f"header Authorization"
        )
        raise NotChecked(f"the server at {url} {asked if server.token is None else refused}")
    if not _is_output(runs) and not _knows_workflows(server):
        raise NotChecked(_something_else(server, runs))


def look_at_map(server: Server) -> None:
    """Return if the catalog has every workflow of the server's roles, or is unreadable.

    Sends one request. Raises `NotChecked`.
    """
    names = server.workflow_names(attempts=1) if server.roles else {}
    for role, own in server.roles.items():
        if names and own.workflow not in names:
            missing = NOT_THERE.format(role=role, workflow=own.workflow)
            raise NotChecked(f"{missing}{listed('; it has', own.workflow, names)}")


def _is_output(answer: RecordedExchange) -> bool:
    """Whether this is the API's answer to the request for runs, or an error of the API."""
    with suppress(ValueError, RecursionError):
        value = json.loads(answer.answer)
        if isinstance(value, dict) and answer.status == 200:
            return isinstance(value.get("runs"), list)
        return isinstance(value, dict) and isinstance(value.get("error"), str) and "message" in value
    return False


def _knows_workflows(server: Server) -> bool:
    """Whether the server answers correctly that a workflow does not exist."""
    status = server.exchange("GET", f"/workflow/{server.new_id()}/status", timeout=_PATIENCE, counted=False)
    return b'"WorkflowNotFoundError"' in status.answer[:200]


def _is_refusal(answer: RecordedExchange) -> bool:
    """Whether the API itself asks for its token. A proxy would name an authentication scheme."""
    return answer.status == 401 and "www-authenticate" not in answer.answer_headers and not is_page(answer)


def _unreachable(url: str, answer: RecordedExchange, server: Server) -> str:
    what = answer.broken
    if answer.encoding not in ("", "identity"):
        return (
            f"what stands in front of {url} compresses answers with {answer.encoding}, which cannot be read "
            "here; switch compression off for the API"
        )
    if what.startswith("what came is not"):
        return f"there is no Output API at {url}: what answers there does not speak HTTP ({what})"
    if "TLS" in what:
        return f"no server answers at {url} with https ({what}); perhaps the URL begins with http://"
    if "certificate" in what:
        return f"{url}: {what}. Let Python trust it (SSL_CERT_FILE=ca.pem), or correct the URL"
    if answer.status:
        return f"the answer from {url} does not end ({what}); check what stands in front of the server"
    if ("not whole" in what or "in time" in what) and _takes_connections(url):
        return (
            f"something accepts connections at {url}, but does not answer within {2 * _PATIENCE:.0f} "
            "seconds; check whether the server is stuck, or whether another program uses the port"
        )
    return f"no server answers at {url} ({what}); start it, or correct the URL"


def _takes_connections(url: str) -> bool:
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname, port), _PATIENCE / 2).close()
    except OSError:
        return False
    return True


def _something_else(server: Server, runs: RecordedExchange) -> str:
    """Explain what is there instead of the API, and what to do."""
    url = server.transport.url
    evidence = evidence_of(runs)
    kinds = {one.kind: one.detail for one in evidence}
    if "login" in kinds:
        return (
            f"a login answers at {url} in place of the API: {kinds['login']}; let requests with the API's "
            "token pass it, or give an address behind it"
        )
    if 300 <= runs.status < 400:
        return _redirected(url, runs, evidence)
    if runs.status in (502, 503, 504):
        return f"{url} answers {runs.status}: the server behind it is not up; try again later"
    if runs.status == 400 and b"https" in runs.answer.lower() and urlsplit(url).scheme == "http":
        return f"{url} demands https; give the URL with https://"
    elsewhere = _elsewhere(server)
    if elsewhere is not None:
        return f"the Output API is not at {url}, but at {elsewhere}; give this URL"
    return f"there is no Output API at {url}: GET {_RUNS} is answered {_described(runs)}"


def _redirected(url: str, answer: RecordedExchange, evidence: list[Evidence]) -> str:
    location = urljoin(url + _RUNS, answer.answer_headers.get("location", ""))
    base = location.partition("?")[0].removesuffix("/").removesuffix(_RUNS.partition("?")[0])
    if any(one.kind == "redirect to https" for one in evidence):
        return f"{url} redirects to https; give {base}"
    return f"{url} redirects to another URL ({answer.status}); give that one: {base}"


def _described(answer: RecordedExchange) -> str:
    named = answer.answer_headers.get("server")
    by = f" by {named[:60]}" if named else ""
    if is_page(answer):
        title = title_of(answer)
        return f"{answer.status} with a page of HTML{by}" + (f", “{title}”" if title else "")
    text = " ".join(answer.answer[:200].decode("utf-8", "replace").split())
    return f"{answer.status}{by}: {text[:100]}" if text else f"{answer.status}{by} without a body"


def _elsewhere(server: Server) -> str | None:
    """The URL of the API on the same host, if it is at one of the usual places."""
    transport = server.transport
    if not isinstance(transport, SocketTransport):
        return None
    parts = urlsplit(transport.url)
    path = parts.path.rstrip("/")
    above = [path[:end] for end in range(len(path) - 1, -1, -1) if path[end] == "/"]
    places = [*above, *(f"{path}{base}" for base in _USUAL_BASES if base not in path)]
    for place in dict.fromkeys(places):
        url = f"{parts.scheme}://{parts.netloc}{place}"
        there = Server(SocketTransport(url), server.token)
        found = there.exchange("GET", _RUNS, timeout=_PATIENCE, counted=False)
        if found.broken:
            return None
        if _is_output(found) or (_is_refusal(found) and found.answer == b"Unauthorized"):
            return url
    return None
