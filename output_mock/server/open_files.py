"""How many files a process may have open; each connection is one."""

from __future__ import annotations

from contextlib import suppress

# How many files a process may need at most.
_MOST_FILES = 10_240


def allow_many_connections() -> None:
    """Raise this process's limit of open files as far as allowed; each connection is one."""
    try:
        import resource
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS has another limit, which it does not report.
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def most_connections() -> int:
    """How many files may be open, minus some for other things. Further connections have to wait."""
    try:
        import resource
    except ImportError:
        # Windows, where `select` accepts no more than 512.
        return 500
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 100_000 if soft == resource.RLIM_INFINITY else max(soft - 50, soft // 2)
