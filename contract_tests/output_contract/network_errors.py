"""Explains network errors in plain words."""

from __future__ import annotations

import http.client
import socket
import ssl
from typing import NamedTuple

from output_mock.recording.transport import TooLarge


class Explained(NamedTuple):
    """The kind of an error, and a text that continues "no answer: …"."""

    kind: str
    words: str


def explain(error: BaseException) -> Explained:
    """Explain why there is no answer, or only part of one."""
    text = str(error) or type(error).__name__
    if isinstance(error, ConnectionRefusedError):
        return Explained("refused", "the connection was refused")
    if isinstance(error, socket.gaierror):
        return Explained("unknown-host", f"the name of the host is not known ({error.strerror})")
    if isinstance(error, ssl.SSLCertVerificationError):
        return Explained("certificate", f"its certificate cannot be verified: {error.verify_message}")
    if isinstance(error, ssl.SSLError):
        return Explained("tls", f"there is no TLS on this port ({error.reason or text})")
    if isinstance(error, TooLarge):
        return Explained("too-large", text)
    if isinstance(error, TimeoutError):
        # The message of a socket's own timeout is not helpful.
        words = text if "seconds" in text else "nothing came in time"
        return Explained("timeout", words)
    if isinstance(error, http.client.RemoteDisconnected):
        return Explained("closed", "the connection was closed without an answer")
    if isinstance(error, ConnectionError):
        return Explained("closed", "the connection was closed too early")
    if isinstance(error, http.client.IncompleteRead):
        return Explained("cut-off", f"the body ends too early, {error.expected} bytes are missing")
    if isinstance(error, http.client.BadStatusLine):
        return Explained("not-http", f"what came is not HTTP: {text[:60]}")
    if isinstance(error, http.client.HTTPException):
        return Explained("not-http", f"what came is not valid HTTP: {text[:120]}")
    if isinstance(error, OSError):
        return Explained("other", error.strerror or text)
    return Explained("other", f"{type(error).__name__}: {text}")
