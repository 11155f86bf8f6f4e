"""A request and its answer as reports show them, without secrets."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

# Names of fields whose values a report must not show.
_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase)|secret|authori[sz]ation|cookie|credential|api[-_]?key|private[-_]?key|signature"
    r"|token$",
    re.IGNORECASE,
)
# You need these to repeat a request.
_PAGE_TOKEN = re.compile("(next[-_]?)?page[-_]?token", re.IGNORECASE)
# A parameter in a URL, such as a URL signed by S3.
_PARAMETER = re.compile(r"""([?&])([^=?&\s"']+)=([^&\s"']+)""")
# The beginning of a field in text that quotes JSON or Python, also inside a JSON string.
_FIELD = re.compile(r"""["']([^"'\\\n]{1,80})\\*["']\s*:\s*""")
# The value: a string that may be cut off, the start of a list or object, or a plain word.
_VALUE = re.compile(
    r"""(?P<open>\\{1,30}")(?:(?!(?<!\\)(?P=open)).)*(?:(?<!\\)(?P=open)|\Z)"""
    r"""|"(?:\\.|[^"\\])*\\?(?:"|\Z)|'(?:\\.|[^'\\])*\\?(?:'|\Z)"""
    r"""|[\[{]|[^\s,}\]"']+""",
    re.DOTALL,
)
_NOTHING = {"null", "None", "true", "false", "True", "False"}
_BRACKET = re.compile(r"[\[\]{}]")
# What may precede the token in a header.
_SCHEMES = ("Basic ", "Bearer ", "basic ", "")
# What no report can contain: lone surrogates.
_SURROGATE = re.compile("[\ud800-\udfff]")
HIDDEN = "[redacted]"
# The variable for the token in a curl line.
TOKEN_VARIABLE = "OUTPUT_API_AUTH_TOKEN"
# The most that reports show of a body.
_LONGEST = 4000
# The most text that is searched for secrets. The rest is not shown.
_SEARCHED = 20_000


@dataclass
class RecordedExchange:
    """One request and what came back; `status` is 0 while there is no answer.

    `answer` is the decoded body; `encoding` names its content encoding. `broken` says why the answer is
    missing or incomplete. `silent` is set if the server stopped sending.
    """

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes | None
    status: int = 0
    answer_headers: dict[str, str] = field(default_factory=dict)
    answer: bytes = b""
    http_version: int = 11
    encoding: str = ""
    broken: str = ""
    silent: bool = False


class Secrets:
    """What a report must not show: the token, values under a secret's name, and `more`."""

    def __init__(self, token: str | None = None, more: tuple[str, ...] = ()) -> None:
        self._token = token or None
        hidden = {*more, token or ""}
        if token is not None and len(token) >= 8:
            # The tokens that the checks of wrong tokens send.
            hidden |= {token[:-1], token.swapcase()}
        # Short tokens would match everywhere.
        self._hidden = tuple(sorted({one for one in hidden if len(one) > 3}, key=len, reverse=True))

    def hidden(self, text: str) -> str:
        """The text without secrets, cut if it is very long."""
        for one in self._hidden:
            text = text.replace(one, HIDDEN)
        text = _PARAMETER.sub(_parameter_hidden, text[:_SEARCHED])
        return _SURROGATE.sub("\ufffd", _fields_hidden(text))

    def body(self, body: bytes) -> str:
        """A body as text, cut if it is long. For a binary body, its size and first bytes."""
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as problem:
            # A body that was cut off may end inside a character.
            if problem.start < len(body) - 3:
                return f"({len(body)} bytes that are not text, beginning with {body[:16].hex(' ')})"
            text = body.decode("utf-8", "replace")
        with suppress(ValueError, RecursionError):
            value = json.loads(text)
            if isinstance(value, (dict, list)):
                text = json.dumps(_without_secrets(value), ensure_ascii=False)
        shown = self.hidden(text)
        if len(text) <= _SEARCHED and len(shown) <= _LONGEST:
            return shown
        return f"{shown[:_LONGEST]}… ({len(text)} characters)"

    def curl(self, base: str, exchange: RecordedExchange) -> str:
        """A command line that repeats the request. The token comes from the environment."""
        words = ["curl -sS -i"]
        if exchange.method == "HEAD":
            words = ["curl -sS -I"]
        elif exchange.method != "GET":
            words.append(f"-X {exchange.method}")
        for name, value in exchange.headers:
            if (name.lower(), value) == ("accept-encoding", "identity"):
                # curl's default for this header.
                continue
            if name.lower() == "authorization":
                words.append(f'-H "{name}: {self._authorization(value)}"')
            elif _is_secret(name):
                words.append(f"-H {shlex.quote(f'{name}: {HIDDEN}')}")
            else:
                words.append(f"-H {shlex.quote(self.hidden(f'{name}: {value}'))}")
        if exchange.body is not None:
            words.append(f"--data-binary {shlex.quote(self.body(exchange.body))}")
        words.append(shlex.quote(self.hidden(base + exchange.path)))
        return " ".join(words)

    def _authorization(self, value: str) -> str:
        """The header with the variable for the token. Hides the rest, which may reveal the token."""
        for scheme in _SCHEMES if self._token is not None else ():
            if value == f"{scheme}{self._token}":
                return f"{scheme}${TOKEN_VARIABLE}"
            if value == f"{scheme}{self._token}x":
                return f"{scheme}${{{TOKEN_VARIABLE}}}x"
        return "Basic …"

    def answer(self, exchange: RecordedExchange) -> dict[str, Any]:
        """The answer as plain data. If there is none, `status` is None and `broken` says why."""
        return {
            "status": exchange.status or None,
            **({"broken": self.hidden(exchange.broken)} if exchange.broken else {}),
            "headers": {
                self.hidden(name): HIDDEN if _is_secret(name) else self.hidden(value)
                for name, value in exchange.answer_headers.items()
            },
            "body": self.body(exchange.answer),
        }


def secret_values(value: Any) -> tuple[str, ...]:
    """The strings under a secret's name in a value, at any depth."""
    return tuple(_texts(value, False))


def _texts(value: Any, secret: bool) -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _texts(item, secret or _is_secret(str(name)))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, secret)
    elif isinstance(value, str) and secret:
        yield value


def _is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None and _PAGE_TOKEN.fullmatch(name) is None


def _without_secrets(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: HIDDEN if _is_secret(str(name)) and item else _without_secrets(item)
            for name, item in value.items()
        }
    return [_without_secrets(item) for item in value] if isinstance(value, list) else value


def _parameter_hidden(found: re.Match[str]) -> str:
    mark, name, _ = found.groups()
    return f"{mark}{name}={HIDDEN}" if _is_secret(name) else found.group()


def _fields_hidden(text: str) -> str:
    """The text without the values of fields with a secret's name. Reads each place once."""
    pieces = []
    at = 0
    while field_ := _FIELD.search(text, at):
        pieces.append(text[at : field_.end()])
        at = field_.end()
        value = _VALUE.match(text, at) if _is_secret(field_.group(1)) else None
        if value is None:
            continue
        found = value.group()
        if found in ("[", "{"):
            at = _end_of(text, at)
            pieces.append(f'"{HIDDEN}"')
        elif found in _NOTHING:
            continue
        else:
            at = value.end()
            first = value["open"] or (found[0] if found[0] in "\"'" else "")
            last = first if found.endswith(first) and len(found) > len(first) else ""
            pieces.append(f"{first}{HIDDEN}{last}")
    return "".join([*pieces, text[at:]])


def _end_of(text: str, at: int) -> int:
    """Where the list or object at this position ends; the end of the text if it is cut off."""
    depth = 0
    for bracket in _BRACKET.finditer(text, at):
        depth += 1 if bracket.group() in "[{" else -1
        if depth == 0:
            return bracket.end()
    return len(text)
