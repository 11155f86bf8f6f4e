"""Whether a server is up."""

from __future__ import annotations


def health_problem(url: str, seconds: float) -> str | None:
    """Ask a server for its health.

    Takes the URL of an Output API, and how many seconds it may take to answer. Returns None if it answers
    GET /health as it should, and otherwise what is wrong.
    """
    import http.client
    import urllib.error
    import urllib.request

    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=seconds):
            return None
    except urllib.error.HTTPError as error:
        # It keeps the connection.
        error.close()
        return f"answered {error.code}; is it an Output API?"
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        return f"no server answers there ({getattr(reason, 'strerror', None) or reason}); is it running?"
