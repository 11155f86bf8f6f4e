"""Headers that a request has twice, as Node takes them: of some only the first one counts (two_tokens)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

# What comes twice of others is put together.
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
    """The headers without those that Node drops. Takes and yields pairs of name and value."""
    seen = set()
    for name, value in headers:
        known = name.lower()
        if known in seen:
            continue
        if known in _FIRST_COUNTS:
            seen.add(known)
        yield name, value


def lines_that_count(head: bytes) -> bytes:
    """The head of a request, as it came, without the headers that Node drops."""
    first, *lines = head.split(b"\r\n")
    seen, kept, keeps = set(), [first], True
    for line in lines:
        # A line that begins with a space goes on with the one before.
        if line[:1] not in (b" ", b"\t"):
            name = line.partition(b":")[0].lower().decode("latin-1")
            keeps = name not in seen
            if name in _FIRST_COUNTS:
                seen.add(name)
        if keeps:
            kept.append(line)
    return b"\r\n".join(kept)
