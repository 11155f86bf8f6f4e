"""Groups failed checks by cause, and names what is most likely in front of the server.

Each kind of evidence has an entry in `KINDS`: what the suite saw, and what you can do about it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from output_contract.verdict import Outcome

# If this many checks fail with the same message, they have a common cause, even if it is unknown.
_ALIKE = 3
# The parts that differ between failures of the same kind: ids, numbers, quoted texts.
_VARYING = re.compile(r"verify-[\w-]+|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")


@dataclass(frozen=True)
class Cause:
    """Why several checks failed: what the suite saw, what to do about it, and the ids of the checks."""

    kind: str
    seen: str
    advice: str
    checks: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        """The cause in one line."""
        return f"{self.seen} {self.advice}".strip()

    def as_json(self) -> dict[str, Any]:
        """The cause as JSON values."""
        return asdict(self)


class _Group(NamedTuple):
    """Failures with the same kind of evidence, the count of each detail, and facts about all answers."""

    details: Counter[str]
    seen: Mapping[str, int]

    @property
    def detail(self) -> str:
        return self.details.most_common(1)[0][0]

    @property
    def front(self) -> str:
        """What is in front of the server, if the answers name it."""
        found = [key.partition(" ")[2] for key in self.seen if key.startswith("server ")]
        if len(found) == 1:
            return f"Something in front of the server ({found[0]})"
        return "Something in front of the server"


Told = tuple[str, str]


def _header_removed(group: _Group) -> Told:
    name, answers = _header(group.detail), group.seen.get("answers", 0)
    present = group.seen.get(f"has {group.detail}", 0)
    if present:
        return f"Some answers lack the header {name}; {present} of {answers} answers have it.", ""
    # By default, nginx does not pass on headers that are meant for nginx itself.
    setting = "proxy_pass_header" if name.startswith("X-Accel-") else "no proxy_hide_header"
    return (
        f"{group.front} removes the header {name}: none of {answers} answers has it.",
        f"Let the proxy pass it on (nginx: {setting} {name}; elsewhere: no filter of headers).",
    )


def _header_added(group: _Group) -> Told:
    name = _header(group.detail)
    return (
        f"{group.front} adds the header {name} to answers that do not have it.",
        "Leave this header to the API (nginx: no add_header; a gateway: switch its own CORS handling off).",
    )


def _header_changed(group: _Group) -> Told:
    return (
        f"{group.front} changes the header {_header(group.detail)}, or sends it twice.",
        "Let the proxy pass it on as it is.",
    )


def _content_type(group: _Group) -> Told:
    return (
        f"Answers have another Content-Type than the API's: it {group.detail}.",
        "Let the proxy pass it on as it is.",
    )


def _compressed(group: _Group) -> Told:
    return (
        f"{group.front} compresses answers ({group.detail}) for a client that accepts only plain ones.",
        "Switch compression off for the API, or let it look at Accept-Encoding (nginx: gzip off).",
    )


def _stream_held_back(group: _Group) -> Told:
    closed = "; streams of closed runs come at once" if group.seen.get("whole streams") else ""
    return (
        f"{group.front} holds live streams back: while a run goes on, its stream brings nothing{closed}.",
        "Switch buffering off for /workflow/ (nginx: proxy_buffering off; Caddy: flush_interval -1).",
    )


def _redirect_to_https(group: _Group) -> Told:
    return f"Something redirects to {group.detail}.", "Give verify the https URL."


def _redirect_spelling(group: _Group) -> Told:
    return (
        f"{group.front} redirects to another spelling of the path (a slash at its end, or another case).",
        "Switch this off: clients of the API do not follow it with POST and PATCH.",
    )


def _redirect(group: _Group) -> Told:
    return f"{group.front} redirects to {group.detail}.", "Give verify the URL where the API itself is."


def _login(group: _Group) -> Told:
    return (
        f"A login answers in place of the API: {group.detail}.",
        "Let requests with the API's token pass it, or give verify an address behind it.",
    )


# What a proxy most likely means by a status, if the answer is an HTML page. The API never sends one.
_PAGE_ADVICE = {
    400: "It refuses requests that the API takes: see the request of one of the checks.",
    403: "A firewall (WAF) or an access rule refuses requests that the API takes: exempt /workflow/.",
    404: "It does not pass every path on: pass on all that begins with /, in any case.",
    405: "It does not let every method pass: the API needs GET, HEAD, POST, PATCH and OPTIONS.",
    408: "It gives up too early: clients wait minutes for POST /workflow/run.",
    411: "It wants a Content-Length: pass requests on as they come.",
    413: "It takes only small bodies; the API takes 2 MiB (nginx: client_max_body_size 3m).",
    414: "It takes only short paths (nginx: large_client_header_buffers 4 16k).",
    431: "It takes only short headers (nginx: large_client_header_buffers 4 16k).",
    500: "It failed: see its error log.",
    501: "It does not know every method: the API needs GET, HEAD, POST, PATCH and OPTIONS.",
    502: "It cannot reach the API, or the API closes the connection: see its error log.",
    503: "It has no server to pass requests on to: see its health checks.",
    504: "It gives up too early: POST /workflow/run may take minutes (nginx: proxy_read_timeout 10m).",
}


def _page(group: _Group, kind: str = "a page of its own") -> Told:
    status = int(group.detail)
    titles = Counter(
        {
            key.split(" ", 2)[2]: number
            for key, number in group.seen.items()
            if key.startswith(f"title {status} ")
        }
    )
    title = next((title for title, _ in titles.most_common(1) if title), "")
    named = f"“{title}”" if title else _reason(status)
    return (
        f"{group.front} answers {status} with {kind}: {named}.",
        _PAGE_ADVICE.get(status, "See the answer of one of the checks."),
    )


def _foreign_answer(group: _Group) -> Told:
    return _page(group, "an answer that does not look like the API's")


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return str(status)


def _path_rewritten(group: _Group) -> Told:
    return (
        f"{group.front} rewrites paths: the server answers about another workflow id than the one that was "
        f"sent.",
        "Pass paths on as they come (nginx: proxy_pass http://name; with nothing after the host; Apache: "
        "AllowEncodedSlashes NoDecode and nocanon).",
    )


def _path_refused(group: _Group) -> Told:
    return (
        f"{group.front} refuses paths with escapes ({group.detail} for %2F and the like).",
        "Let escaped paths pass (Apache: AllowEncodedSlashes NoDecode; a firewall: exempt /workflow/).",
    )


def _request_header_lost(group: _Group) -> Told:
    name = _header(group.detail)
    if group.detail == "x-request-id":
        return (
            f"{group.front} puts its own X-Request-ID in place of the client's.",
            "Let the client's pass (nginx: no proxy_set_header X-Request-ID $request_id).",
        )
    return (
        f"{group.front} removes the header {name} from requests: the server answers as if it had not been "
        f"sent.",
        f"Let it pass (nginx: no proxy_set_header {name}; a CDN: forward all request headers).",
    )


def _too_many_requests(group: _Group) -> Told:
    return (
        f"{group.front} limits the rate of requests (429).",
        "Exempt the address that verify runs at, and give -n 1.",
    )


def _cached(group: _Group) -> Told:
    return (
        f"{group.front} answers from a cache ({group.detail}).",
        "Switch caching off for the API: each answer is only valid at its time.",
    )


def _no_answer(group: _Group) -> Told:
    return f"The server left requests without an answer: {group.detail}.", ""


def _cut_off(group: _Group) -> Told:
    return f"Answers break off: {group.detail}.", "See the error log of what stands in front of the server."


# The texts for each kind of evidence.
KINDS: dict[str, Callable[[_Group], Told]] = {
    "header removed": _header_removed,
    "header added": _header_added,
    "header changed": _header_changed,
    "content type": _content_type,
    "compressed": _compressed,
    "stream held back": _stream_held_back,
    "redirect to https": _redirect_to_https,
    "redirect to another spelling": _redirect_spelling,
    "redirect": _redirect,
    "login": _login,
    "page": _page,
    "foreign answer": _foreign_answer,
    "path rewritten": _path_rewritten,
    "path refused": _path_refused,
    "request header lost": _request_header_lost,
    "too many requests": _too_many_requests,
    "cached": _cached,
    "no answer": _no_answer,
    "cut off": _cut_off,
}
# Kinds for which each detail is a separate cause. For all others, details are only examples.
_TOLD_APART = {
    "request header lost",
    "header removed",
    "header added",
    "header changed",
    "content type",
    "compressed",
    "page",
    "foreign answer",
}


def _header(name: str) -> str:
    """A header's name in its usual spelling."""
    known = {"x-request-id": "X-Request-ID", "etag": "ETag", "last-event-id": "Last-Event-ID"}
    return known.get(name, name.title())


def find(failed: Iterable[Outcome], seen: Mapping[str, int]) -> list[Cause]:
    """The causes of failed checks, the one with most checks first.

    `seen` is the result of `evidence.seen`. A check belongs to the first evidence in its own exchanges. A
    check without evidence belongs to no cause, unless at least two others failed with the same message.
    """
    groups: dict[tuple[str, str], list[tuple[Outcome, str]]] = {}
    alike: dict[str, list[Outcome]] = {}
    for outcome in failed:
        evidence = (outcome.failure or {}).get("evidence") or []
        if evidence:
            kind, detail = evidence[0]
            groups.setdefault((kind, detail if kind in _TOLD_APART else ""), []).append((outcome, detail))
        else:
            alike.setdefault(_signature(outcome), []).append(outcome)
    causes = []
    for (kind, _), members in groups.items():
        told = KINDS[kind](_Group(Counter(detail for _, detail in members), seen))
        causes.append(Cause(kind, *told, [outcome.id for outcome, _ in members]))
    for signature, outcomes in alike.items():
        if signature and len(outcomes) >= _ALIKE:
            first = _first_line(outcomes[0])
            causes.append(
                Cause(
                    "the same words",
                    f"All of these checks failed for the same reason: {first}",
                    "",
                    _ids(outcomes),
                )
            )
    return sorted(causes, key=lambda cause: (-len(cause.checks), cause.seen))


def notes(seen: Mapping[str, int]) -> list[str]:
    """Further facts about what is in front of the server, even if no check fails because of them."""
    if not seen.get("HTTP/1.0") or seen["HTTP/1.0"] < seen.get("answers", 0):
        return []
    return [
        "All answers come in HTTP/1.0: each request needs a connection of its own, and a stream that breaks "
        "off looks like one that has ended. Let what stands in front speak HTTP/1.1."
    ]


def _ids(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.id for outcome in outcomes]


def _first_line(outcome: Outcome) -> str:
    return str((outcome.failure or {}).get("expected", "")).partition("\n")[0][:200]


def _signature(outcome: Outcome) -> str:
    return _VARYING.sub("#", _first_line(outcome))
