"""Repeated request headers, as Node reads them: for some, only the first counts (two_tokens)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

# Node joins the values of all other headers.
_FIRST_COUNTS = frozenset(
    {
        "age",
        "authorization",
        "content-type",
        "etag",
        "expires",
        "from",
        "if-modified-since",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "proxy-authorization",
        "referer",
        "retry-after",
        "server",
        "user-agent",
    }
)


def that_count(headers: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """The headers without the repeated ones that Node drops, as pairs of name and value."""
    seen = set()
    for name, value in headers:
        known = name.lower()
        if known in seen:
            continue
        if known in _FIRST_COUNTS:
            seen.add(known)
        yield name, value


def lines_that_count(head: bytes) -> bytes:
    """The head of a request without the repeated headers that Node drops."""
    first, *lines = head.split(b"\r\n")
    seen, kept, keeps = set(), [first], True
    for line in lines:
        # A line that begins with a space continues the one before.
        if line[:1] not in (b" ", b"\t"):
            name = line.partition(b":")[0].lower().decode("latin-1")
            keeps = name not in seen
            if name in _FIRST_COUNTS:
                seen.add(name)
        if keeps:
            kept.append(line)
    return b"\r\n".join(kept)
