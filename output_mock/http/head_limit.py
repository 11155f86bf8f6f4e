"""How large a request's target and headers may be in total: Node's limit, measured with Node 20."""

from __future__ import annotations

from collections.abc import Iterable

# Refused from this many characters on. Node counts the target, the names, and the values without leading
# blanks; not the method and the separators.
LIMIT = 16 * 1024
STATUS = 431


def too_large(target: str, headers: Iterable[tuple[str, str]]) -> bool:
    """Whether Node refuses a request with this target and these headers."""
    return size(target, headers) >= LIMIT


def size(target: str, headers: Iterable[tuple[str, str]]) -> int:
    """How many characters Node counts."""
    return len(target) + sum(len(name) + len(value) for name, value in headers)


def size_of_bytes(head: bytes) -> int:
    """The same, for the beginning of a request, as far as it has arrived."""
    first, *lines = head.split(b"\r\n")
    counted = len(first.split(b" ", 2)[1]) if b" " in first else len(first)
    for line in lines:
        name, _, value = line.partition(b":")
        counted += len(name) + len(value.strip(b" \t"))
    return counted
