"""A request and its answer as reports show them, without what is secret."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

# Names of fields whose values nobody who reads a report needs to see. A page token is none of them.
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|authori[sz]ation|cookie|credential|api[-_]?key|private[-_]?key|signature"
    r"|^(access|auth|bearer|refresh|id|session)?[-_]?token$",
    re.IGNORECASE,
)
# The same in an address, such as one that S3 has signed.
_SECRET_PARAMETER = re.compile(
    r"([?&][^=&\s]*(?:signature|credential|(?<!page)token|secret|password|api_?key)[^=&\s]*=)[^&\s\"']+", re.I
)
# The same in words that quote JSON or Python.
_SECRET_PAIR = re.compile(
    r"""(["'](?:[\w-]*(?:pass(?:word|wd|phrase)|secret|api[-_]?key|credential|authorization)[\w-]*"""
    r"""|(?:access|auth|bearer|refresh|id|session)?[-_]?token)["']\s*:\s*)(["'])(?:(?!\2).)+\2""",
    re.IGNORECASE,
)
HIDDEN = "[redacted]"
# How the token is written in a curl line that can be run.
TOKEN_VARIABLE = "$OUTPUT_API_AUTH_TOKEN"
# More of a body is not shown.
_LONGEST = 4000


@dataclass
class Exchange:
    """One request and what came back; `status` is 0 while there is no answer."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes | None
    status: int = 0
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""


class Secrets:
    """What may not be seen in a report: the token, whatever lies under a secret's name, and `more`."""

    def __init__(self, token: str | None = None, more: tuple[str, ...] = ()) -> None:
        # Short ones would be found everywhere.
        self._token = token if token and len(token) > 3 else None
        self._more = tuple(sorted({one for one in more if len(one) > 3}, key=len, reverse=True))

    def hidden(self, text: str) -> str:
        """The text without what is secret."""
        if self._token is not None:
            text = text.replace(self._token, HIDDEN)
        for one in self._more:
            text = text.replace(one, HIDDEN)
        return _SECRET_PAIR.sub(rf"\1\2{HIDDEN}\2", _SECRET_PARAMETER.sub(rf"\1{HIDDEN}", text))

    def body(self, body: bytes) -> str:
        """A body as text, cut when it is long."""
        text = body.decode("utf-8", "replace")
        try:
            value = json.loads(text)
        except ValueError:
            pass
        else:
            if isinstance(value, (dict, list)):
                text = json.dumps(_without_secrets(value), ensure_ascii=False)
        text = self.hidden(text)
        return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"

    def curl(self, base: str, exchange: Exchange) -> str:
        """A command line that makes the request again; the token comes from the environment."""
        words = ["curl -sS -i"]
        if exchange.method == "HEAD":
            words = ["curl -sS -I"]
        elif exchange.method != "GET":
            words.append(f"-X {exchange.method}")
        for name, value in exchange.headers:
            if name.lower() == "authorization" and self._token is not None and self._token in value:
                with_variable = value.replace(self._token, TOKEN_VARIABLE)
                words.append(f'-H "{name}: {with_variable}"')
            else:
                words.append(f"-H {shlex.quote(self.hidden(f'{name}: {value}'))}")
        if exchange.body is not None:
            words.append(f"--data-binary {shlex.quote(self.body(exchange.body))}")
        words.append(shlex.quote(self.hidden(base + exchange.path)))
        return " ".join(words)

    def answer(self, exchange: Exchange) -> dict[str, Any]:
        """The answer as plain data."""
        return {
            "status": exchange.status,
            "headers": {
                name: HIDDEN if _SECRET_NAME.search(name) else self.hidden(value)
                for name, value in exchange.answer_headers.items()
            },
            "body": self.body(exchange.answer),
        }


def secret_values(value: Any) -> tuple[str, ...]:
    """The texts that lie under a secret's name in a value."""
    found: list[str] = []
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, str) and _SECRET_NAME.search(str(name)):
                found.append(item)
            else:
                found += secret_values(item)
    elif isinstance(value, list):
        for item in value:
            found += secret_values(item)
    return tuple(found)


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: HIDDEN if _SECRET_NAME.search(str(name)) and item else _without_secrets(item)
            for name, item in value.items()
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value
