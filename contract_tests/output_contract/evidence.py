"""What an exchange reveals about proxies between the suite and the server.

A test only knows that an answer is not what it expected. The exchange says more: an HTML page, a redirect,
an encoding that the suite did not request. `causes` groups failed checks by this.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from output_contract.conformity import NEWEST
from output_contract.exchange import RecordedExchange

# The plain-text answers of the API itself.
_TEXTS = {"OK", "Not Found", "Unauthorized"}
_LOGIN_PATH = re.compile(
    r"log-?in|sign-?in|/sso\b|oauth|/auth\b|authorize|saml|/oidc|accounts\.", re.IGNORECASE
)
_LOGIN_PAGE = re.compile(r"""<input[^>]+type=["']?password|<form[^>]+(?:login|sign-?in)""", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]*>\s*(.*?)\s*</title>", re.IGNORECASE | re.DOTALL)
_PAGE = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body)", re.IGNORECASE | re.DOTALL)
# Escapes and doubled slashes that some proxies decode or reject.
_FRAGILE = re.compile(r"%(?:2[fF]|5[cC]|23|3[fF]|25|2[eE]|3[bB]|0)|//|/\.")
_PROBLEM = re.compile(r"header ([\w-]+): (is missing|should not be there|)")
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CACHES = ("x-cache", "x-cache-status", "cf-cache-status", "x-proxy-cache")
_FIRST_EVENT = re.compile(rb'"eventId": ?"1"')
_REQUEST_ID = re.compile(r"[\w-]{1,128}", re.ASCII)


class Evidence(NamedTuple):
    """One fact about an exchange: its kind, from `causes.KINDS`, and a detail."""

    kind: str
    detail: str = ""


def evidence_of(exchange: RecordedExchange, problems: Sequence[str] = ()) -> list[Evidence]:
    """The evidence in an exchange, most telling first; empty if the answer looks like the API's own.

    `problems` are the places where the answer does not fit the document, if the check failed for that.
    """
    return list(dict.fromkeys(_found(exchange, problems)))


def _found(exchange: RecordedExchange, problems: Sequence[str]) -> Iterator[Evidence]:
    if exchange.broken and exchange.encoding not in ("", "identity"):
        yield Evidence("compressed", exchange.encoding)
    if exchange.silent and is_stream(exchange):
        yield Evidence("stream held back")
    elif exchange.broken:
        yield Evidence("no answer" if not exchange.status else "cut off", exchange.broken)
    if not exchange.status:
        return
    yield from _redirect(exchange)
    yield from _foreign(exchange)
    yield from _rewritten_path(exchange)
    if exchange.answer_headers.get("age", "0").strip() not in ("", "0") or any(
        "hit" in exchange.answer_headers.get(name, "").lower() for name in _CACHES
    ):
        yield Evidence("cached", "the header Age or X-Cache")
    yield from _lost_request_headers(exchange)
    for problem in problems:
        yield from _about_header(problem)


def is_stream(exchange: RecordedExchange) -> bool:
    """Whether a request asks for a live stream."""
    return exchange.path.partition("?")[0].rstrip("/").endswith("/history/stream")


def _about_header(problem: str) -> Iterator[Evidence]:
    found = _PROBLEM.match(problem)
    if found is None:
        return
    name, what = found.groups()
    if name == "content-encoding":
        yield Evidence("compressed", problem.partition("'")[2].partition("'")[0])
    elif name == "content-type":
        yield Evidence("content type", problem.partition(": ")[2])
    else:
        yield Evidence({"is missing": "header removed", "": "header changed"}.get(what, "header added"), name)


def _redirect(exchange: RecordedExchange) -> Iterator[Evidence]:
    if exchange.status not in (301, 302, 303, 307, 308):
        return
    location = exchange.answer_headers.get("location", "")
    asked = urlsplit(exchange.path)
    target = urlsplit(location)
    same_path = target.path.endswith(asked.path)
    if _LOGIN_PATH.search(location):
        yield Evidence("login", f"it redirects to {_without_query(location)}")
    elif target.scheme == "https" and same_path:
        yield Evidence("redirect to https", f"https://{target.netloc}")
    elif target.path.lower().rstrip("/").endswith(asked.path.lower().rstrip("/")):
        yield Evidence("redirect to another spelling")
    else:
        yield Evidence("redirect", _without_query(urljoin("/", location)))


def _without_query(url: str) -> str:
    return url.partition("?")[0].partition("#")[0]


def is_page(exchange: RecordedExchange) -> bool:
    """Whether an answer is an HTML page, which the API never sends."""
    kind = exchange.answer_headers.get("content-type", "").lower()
    if not exchange.answer:
        return False
    return kind.startswith("text/html") or _PAGE.match(exchange.answer) is not None


def title_of(exchange: RecordedExchange) -> str:
    """The title of a page; empty if it has none."""
    found = _TITLE.search(exchange.answer[:20_000].decode("utf-8", "replace"))
    return " ".join(found[1].split())[:80] if found else ""


def _foreign(exchange: RecordedExchange) -> Iterator[Evidence]:
    """Evidence that an answer does not come from the API."""
    text = exchange.answer[:20_000].decode("utf-8", "replace")
    if exchange.status == 401 and "www-authenticate" in exchange.answer_headers:
        yield Evidence("login", f"it asks for {exchange.answer_headers['www-authenticate'][:80]}")
    elif is_page(exchange) and _LOGIN_PAGE.search(text):
        yield Evidence("login", f"a page with a form{_titled(exchange)}")
    elif exchange.status == 429:
        yield Evidence("too many requests")
    elif is_page(exchange) or (exchange.status >= 400 and not _is_of_the_api(exchange)):
        if _FRAGILE.search(exchange.path.partition("?")[0]) and exchange.status in (400, 403, 404):
            yield Evidence("path refused", str(exchange.status))
        else:
            yield Evidence("page" if is_page(exchange) else "foreign answer", str(exchange.status))


def _titled(exchange: RecordedExchange) -> str:
    title = title_of(exchange)
    return f", “{title}”" if title else ""


def _is_of_the_api(exchange: RecordedExchange) -> bool:
    return "x-request-id" in exchange.answer_headers or looks_like_output(exchange)


def looks_like_output(exchange: RecordedExchange) -> bool:
    """Whether an error answer has one of the forms of the API's own errors."""
    if exchange.method == "HEAD" or exchange.status == 304:
        return exchange.status < 400
    text = exchange.answer.decode("utf-8", "replace").strip()
    if text in _TEXTS:
        return True
    value = _json(exchange)
    return isinstance(value, dict) and isinstance(value.get("error"), str) and "message" in value


def _json(exchange: RecordedExchange) -> Any:
    with suppress(ValueError, RecursionError):
        return json.loads(exchange.answer)
    return None


def _rewritten_path(exchange: RecordedExchange) -> Iterator[Evidence]:
    """Evidence that the server received a different path from the one that the suite sent."""
    path = exchange.path.partition("?")[0]
    method = "GET" if exchange.method == "HEAD" else exchange.method
    operation = NEWEST.find_operation(method, path)
    if operation is None:
        return
    value = _json(exchange)
    sent = operation[2].get("id")
    told = value.get("workflowId") if isinstance(value, dict) else None
    if sent is not None and isinstance(told, str) and told != unquote(sent):
        if told.lower() in _readings(sent):
            yield Evidence("path rewritten")
    elif (
        exchange.status == 404
        and exchange.answer == b"Not Found"
        and re.search("%2f|%5c", path, re.IGNORECASE)
    ):
        yield Evidence("path rewritten")


def _readings(sent: str) -> set[str]:
    """What a proxy may turn an id in a path into, in lower case."""
    once = unquote(sent)
    forms = {
        once,
        unquote(once),
        sent,
        once.replace("//", "/"),
        once.partition("/")[0],
        once.partition(";")[0],
    }
    return {form.lower() for form in forms}


def _lost_request_headers(exchange: RecordedExchange) -> Iterator[Evidence]:
    """Evidence that a header of the request did not reach the server."""
    sent = {name.lower(): value for name, value in exchange.headers}
    came = exchange.answer_headers.get("x-request-id")
    for name in ("rndr-id", "x-request-id"):
        if came and _REQUEST_ID.fullmatch(sent.get(name, "")):
            if came != sent[name]:
                yield Evidence("request header lost", name)
            break
    tag = sent.get("if-none-match")
    if tag is not None and exchange.status == 200 and exchange.answer_headers.get("etag") == tag:
        yield Evidence("request header lost", "if-none-match")
    resumed = sent.get("last-event-id", "")
    if re.fullmatch(r"[\d, ]+", resumed) and is_stream(exchange) and _FIRST_EVENT.search(exchange.answer):
        yield Evidence("request header lost", "last-event-id")
    if sent.get("content-type", "").startswith("application/json") and _misses_the_body(exchange):
        yield Evidence("request header lost", "content-type")


def _misses_the_body(exchange: RecordedExchange) -> bool:
    """Whether the server refuses a request as if there were no body: without its type it reads none."""
    if exchange.status != 400 or not (exchange.body or b"").strip():
        return False
    try:
        told = json.loads(exchange.answer)
    except ValueError:
        return False
    issues = told.get("issues") if isinstance(told, dict) else None
    return isinstance(issues, list) and any(
        isinstance(issue, dict)
        and issue.get("path") == []
        and str(issue.get("message", "")).endswith("expected object, received undefined")
        for issue in issues
    )


def repeated_ids(exchanges: Iterable[RecordedExchange]) -> list[Evidence]:
    """Whether answers to different requests have the same request id."""
    minted = Counter(
        one.answer_headers["x-request-id"]
        for one in exchanges
        if "x-request-id" in one.answer_headers
        and not {"x-request-id", "rndr-id"} & {name.lower() for name, _ in one.headers}
    )
    repeated = [number for number in minted.values() if number > 1]
    return [Evidence("cached", "the same X-Request-ID comes more than once")] if repeated else []


def seen(exchanges: Iterable[RecordedExchange]) -> Counter[str]:
    """Counts for all answers, good and bad: their number, and how many have each property."""
    counts: Counter[str] = Counter()
    for one in exchanges:
        if not one.status:
            continue
        counts["answers"] += 1
        counts.update(f"has {name}" for name in (*NEWEST.headers, "etag") if name in one.answer_headers)
        counts.update(
            f"{name} {one.answer_headers[name][:60]}"
            for name in ("server", "via")
            if name in one.answer_headers
        )
        if one.http_version < 11:
            counts["HTTP/1.0"] += 1
        if is_stream(one) and one.status == 200 and one.answer and not one.broken:
            counts["whole streams"] += 1
        if one.status >= 400 and is_page(one):
            counts[f"title {one.status} {title_of(one)}"] += 1
    return counts
