"""Masks what is different each time: ids, times, tokens, page tokens, paths, stack traces.

A mask is in angle brackets, such as `<uuid>`. The value of a variable is masked by its name, such as
`{{rid}}`, so a recording shows which id is which. Masking twice has no further effect.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from output_mock.masking import masked_header

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_REMOTE_TRACE = re.compile(r"(https://[^/]+)/([^/]+)/\d{4}/\d\d/\d\d/[\d-]+Z_.*\.json$", re.DOTALL)
_LOCAL_TRACE = re.compile(r"^.*/([^/]+)/\d{4}(-\d\d){5}-\d{3}Z_.*\.json$", re.DOTALL)
_WORKFLOW_FILE = re.compile(r"^/.*?(?=/dist/.*/workflow\.js$)")
# The id that a child gets from its parent's.
_CHILD = re.compile(r"^(\{\{\w+\}\})-[A-Za-z0-9_-]{10,}$")
_EPOCH = re.compile(r"[0-9]{9,}|<epoch>")
_MADE_UP_ID = re.compile(r"[A-Za-z0-9_-]{21}")
# Shorter values of variables also occur in unrelated texts.
_SHORTEST = 6
_TIMES_AS_NUMBERS = {"startedAt", "completedAt", "endedAt", "startTime", "runStartTime"}
# The names of fields that are masked completely.
MASKED_FIELDS = frozenset(
    {
        "identity",
        "requestId",
        "historySizeBytes",
        "workerVersion",
        "sdkMetadata",
        "meteringMetadata",
        "stack",
        "stackTrace",
        "workflowExecutionExpirationTime",
        "pageToken",
        "cronSchedule",
        "buildId",
        "updateId",
        "acceptedRequestMessageId",
        "protocolInstanceId",
        "acceptedRequest",
    }
)
# In headers of activities there is a payload of this name, which tells what runs in what.
_ONLY_AS_TEXT = {"stack", "stackTrace"}
# How much of the second after a continuation is left.
_BACKOFF = "firstWorkflowTaskBackoff"
_MASKED_BY_NAME = MASKED_FIELDS | _TIMES_AS_NUMBERS | {_BACKOFF}
# The names of fields whose texts `_field` masks.
_WITH_OWN_MASKS = {"path", "nextPageToken", "workflowId", "data"}
# What the base 64 of a payload holds, which is shown as JSON.
PAYLOAD = "<payload>"


class Masks:
    """Masks the answers to a scenario.

    `variables` are the saved and generated values, by name; `token` was sent with the requests, and is
    masked everywhere.
    """

    def __init__(self, variables: Mapping[str, Any], token: str | None = None) -> None:
        known: dict[str, str] = {}
        for name, value in variables.items():
            if isinstance(value, (str, int)) and len(str(value)) >= _SHORTEST:
                known.setdefault(str(value), name)
        forms = _forms(token) if token else []
        known |= dict.fromkeys(forms, "token")
        self._names = known
        # A cache of masked field names: there are few, and each is in every event.
        self._names_of_fields: dict[str, str] = {}
        self._forms = forms
        # Except where it is the name of a variable.
        either = "|".join(map(_alone_if_short, forms))
        self._only_token = re.compile(rf"(?<!{{{{)(?:{either})(?!}}}})") if forms else None
        # If one value contains another, the longer one first.
        longest_first = sorted(known, key=len, reverse=True)
        self._known = re.compile("|".join(map(_alone_if_short, longest_first))) if known else None

    def sent(self, written: Any) -> Any:
        """Something that a scenario sends, with `{{token}}` instead of the token."""
        if isinstance(written, str):
            return written if self._only_token is None else self._only_token.sub("{{token}}", written)
        if isinstance(written, dict):
            return {self.sent(name): self.sent(item) for name, item in written.items()}
        return [self.sent(item) for item in written] if isinstance(written, list) else written

    def answer(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """An answer as `answers.written` has it, masked.

        Raises `RecursionError` for JSON that is nested too deep.
        """
        out = dict(answer)
        for part in ("json", "stream"):
            if part in out:
                out[part] = self.value(out[part])
        if "text" in out:
            out["text"] = self.text(out["text"])
        if "broken_off" in out:
            out["broken_off"] = self.sent(out["broken_off"])
        if "base64" in out and self._forms:
            body = base64.b64decode(out["base64"])
            for form in self._forms:
                body = body.replace(form.encode(), b"{{token}}")
            out["base64"] = base64.b64encode(body).decode()
        if "headers" in out:
            changed = any(out[part] != answer[part] for part in ("json", "text") if part in out)
            out["headers"] = {
                # It is made from the body.
                self._name_of_header(name): "<etag>"
                if name == "etag" and changed
                else self._header(name, value)
                for name, value in out["headers"].items()
            }
        return out

    def _name_of_header(self, name: str) -> str:
        """The name, which is in lower case, without the token."""
        return next(("{{token}}" for form in self._forms if form.lower() in name), name)

    def _header(self, name: str, value: str | list[str]) -> str | list[str]:
        if isinstance(value, list):
            return [self.text(masked_header(name, item)) for item in value]
        return self.text(masked_header(name, value))

    def text(self, text: str) -> str:
        """A text without ids, times and paths of traces."""
        if self._known is not None:
            text = self._known.sub(lambda found: f"{{{{{self._names[found[0]]}}}}}", text)
        if "-" not in text:
            return text
        text = _UUID.sub("<uuid>", text)
        text = _TIME.sub("<time>", text)
        if text.endswith(
            (".json", ".json\n")
        ):  # otherwise a long text would be searched to its end again and again
            text = _REMOTE_TRACE.sub(r"\1/\2/<date>/<time>_<id>.json", text)
            text = _LOCAL_TRACE.sub(r"<folder>/\1/<time>_<id>.json", text)
        return _CHILD.sub(r"\1-<child>", text)

    def value(self, value: Any, field: str = "") -> Any:
        """A JSON value that is in the field of this name."""
        if field in _MASKED_BY_NAME:
            if field in MASKED_FIELDS and (isinstance(value, str) or field not in _ONLY_AS_TEXT):
                return None if value is None else f"<{field}>"
            if field in _TIMES_AS_NUMBERS and isinstance(value, (int, float)) and not isinstance(value, bool):
                return "<ms>"
            if field == _BACKOFF and value:
                return "<backoff>"
        if isinstance(value, str):
            return self._field(value, field) if field in _WITH_OWN_MASKS else self.text(value)
        if isinstance(value, dict):
            return self._object(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    def _object(self, value: dict[str, Any]) -> dict[str, Any]:
        if "seconds" in value and _EPOCH.fullmatch(str(value["seconds"])):
            # A time, not a duration. One in a thousand has no nanoseconds.
            value = {**value, "seconds": "<epoch>", "nanos": "<nanos>"}
        if value.get("kind") == "TASK_QUEUE_KIND_STICKY":
            value = {**value, "name": "<sticky>"}
        if value.get("error") == "SyntaxError":
            value = {**value, "message": "<the JSON parser's words>"}
        if value.get("status") == "running" and "historyLength" in value:
            value = {**value, "historyLength": "<n>"}
        masked: dict[str, Any] = {}
        for name, item in value.items():
            shown = self._names_of_fields.get(name)
            if shown is None:
                shown = self._names_of_fields[name] = self.text(name)
            # Two names that would be the same when masked stay as they are, except for a token.
            masked[self.sent(name) if shown in masked else shown] = self.value(item, name)
        return masked

    def _field(self, text: str, field: str) -> Any:
        if field == "path":  # of a workflow in the catalog
            return self.text(_WORKFLOW_FILE.sub("<folder>", text))
        if field == "nextPageToken":
            return "<token>"
        if field == "workflowId" and _MADE_UP_ID.fullmatch(text) and text not in self._names:
            return "<id>"
        if field == "data":  # a Temporal payload: base 64 of JSON
            try:
                return {PAYLOAD: self.value(json.loads(base64.b64decode(text, validate=True)), "payload")}
            except (ValueError, RecursionError):
                return self.text(text)
        return self.text(text)


def _forms(token: str) -> list[str]:
    """The forms of the token: as it is, in a URL, in quoted JSON and in base 64; the longest first."""
    forms = {
        token,
        quote(token, safe=""),
        json.dumps(token)[1:-1],
        base64.b64encode(token.encode("utf-8", "surrogatepass")).decode(),
    }
    return sorted(forms, key=len, reverse=True)


def _alone_if_short(value: str) -> str:
    pattern = re.escape(value)
    return pattern if len(value) >= _SHORTEST else rf"(?<!\w){pattern}(?!\w)"
