"""Why there is no answer to a request of a workflow."""

from __future__ import annotations


class TookTooLong(Exception):
    """There was no answer in time. The message says where the application was, if that is known."""


class NotSent(Exception):
    """There was no answer. The message says why in the words of Node's `fetch`."""


class NotAllowed(NotSent):
    """The request was not sent, as its host is neither this machine nor an allowed one."""
