"""Why there is no answer to a request of a workflow."""

from __future__ import annotations


class TookTooLong(Exception):
    """There was no answer in time. The message says where the application was, if that is known."""


class NotSent(Exception):
    """There was no answer. The message says why in the words of Node's `fetch`, and `hint`, in the fake's own
    words, what only the fake knows.
    """

    def __init__(self, words: str, hint: str | None = None) -> None:
        super().__init__(words)
        self.hint: str | None = hint


# How many bytes of an answer the fake reads.
LARGEST_ANSWER = 16 * 1024 * 1024


class TooLarge(NotSent):
    """The answer does not end, or is larger than the fake reads."""

    def __init__(self) -> None:
        super().__init__("SocketError: other side closed", "the answer is larger than 16 MiB")


class NotAllowed(NotSent):
    """The request was not sent, as its host is neither this machine nor an allowed one."""
