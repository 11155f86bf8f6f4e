"""Does a response fit the OpenAPI document?

Besides the schemas, `check_response` knows what OpenAPI cannot express: paths match in upper and lower
case, HEAD is GET without a body, unknown paths get a plain-text 404, and some headers must *not* be there.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

from jsonschema.exceptions import ValidationError

from output_contract.fitting import Fitting
from output_mock.contract.versions import NEWEST_VERSION, Deployment
from output_mock.openapi import document_of

__all__ = [
    "DOCUMENT",
    "NEWEST",
    "Document",
    "check_response",
    "document_for",
    "find_operation",
    "resolve",
    "response_problems",
    "schema_problems",
]

# The server rejects an unreadable body before the request gets an id, CORS headers or anything else.
_REFUSED_UNREAD = {"SyntaxError", "PayloadTooLargeError", "UnsupportedMediaTypeError"}
# The server rejects an undecodable path before it knows that the operation is deprecated.
_DEPRECATION = {"deprecation", "sunset", "link"}
# The most problems to report for a response.
_MOST = 50
# What a history and a stream omit unless the request asks for payloads.
_PAYLOADS = {"input", "result", "failure", "details", "lastFailure"}


class Document:
    """An OpenAPI document to check responses against."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value
        # The headers that clients may rely on. Each must appear exactly where the document says.
        self.headers = {name.split(".")[0].lower() for name in value["components"]["headers"]} - {"etag"}
        self._fitting = Fitting(value, self.resolve)
        templates = []
        for template, item in value["paths"].items():
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template)
            for method in item:
                templates.append((template, method, re.compile(f"{pattern}/?", re.IGNORECASE)))
        # Literal paths before templates. The sort is stable, so otherwise the document's order counts.
        self._templates: list[tuple[str, str, re.Pattern[str]]] = sorted(
            templates, key=lambda entry: entry[0].count("{")
        )

    def response_problems(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[str]:
        """The problems of a response, a line each: `  header etag: …`, `  body.runId: …`.

        If there are very many, it returns the first ones.
        """
        problems: list[str] = []
        try:
            problems += islice(self._problems(method.upper(), path, status, headers, body), _MOST)
        except RecursionError:
            problems.append("  body: is nested too deeply")
        return problems

    def schema_problems(self, pointer: str, value: Any) -> list[str]:
        """The problems of a value, by the schema at a JSON pointer into the document."""
        return list(islice(self._schema_problems(pointer, value), _MOST))

    def find_operation(self, method: str, path: str) -> tuple[str, str, dict[str, str]] | None:
        """The template and the method of an operation in the document, and the parameters in the path."""
        for template, verb, pattern in self._templates:
            if verb == method.lower() and (match := pattern.fullmatch(path)):
                return template, verb, match.groupdict()
        return None

    def resolve(self, node: dict[str, Any], pointer: str = "") -> tuple[dict[str, Any], str]:
        """Follow a reference. Returns its target, and the JSON pointer of the target."""
        if "$ref" not in node:
            return node, pointer
        pointer = node["$ref"].removeprefix("#")
        found: Any = self.value
        for part in pointer.split("/")[1:]:
            found = found[part.replace("~1", "/").replace("~0", "~")]
        return found, pointer

    def _schema_problems(self, pointer: str, value: Any) -> Iterator[str]:
        schema, _ = self.resolve({"$ref": f"#{pointer}"})
        for error in self._fitting.errors(schema, value):
            yield from _explain(error)

    def _problems(
        self, method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
    ) -> Iterator[str]:
        given = {name.lower(): value for name, value in headers.items()}
        url = urlsplit(path)
        if method == "OPTIONS":
            responses, where = {"200": self._plain("OK"), "401": _UNAUTHORIZED}, ""
        elif operation := self.find_operation("GET" if method == "HEAD" else method, url.path):
            template, verb, _ = operation
            responses = self.value["paths"][template][verb]["responses"]
            where = _pointer("paths", template, verb, "responses")
        else:
            # The server reads bodies before it checks the path, so it may reject the body.
            unread = self.value["paths"]["/heartbeat"]["post"]["responses"]
            unread = {code: unread[code] for code in ("400", "413", "415")}
            responses, where = {**unread, "401": _UNAUTHORIZED, "404": self._plain("Not Found")}, ""
        if str(status) not in responses:
            yield f"  status: {status} is not listed, only {', '.join(sorted(responses))}"
            return
        response, where = self.resolve(responses[str(status)], f"{where}/{status}")
        error = _error_name(body) if status >= 400 else ""
        if (status, error) == (400, "Error"):
            # A body that cannot be unpacked; at 500, an error from Temporal.
            error = "SyntaxError"
        yield from self._header_problems(response, given, error)
        yield from self._body_problems(
            response, where, given, body, bodiless=method == "HEAD" or status == 204
        )
        asked = parse_qs(url.query).get("includePayloads") == ["true"]
        if status == 200 and "/history" in url.path.lower() and not asked:
            yield from _payload_problems(body)

    def _plain(self, text: str) -> dict[str, Any]:
        """Describe an answer outside of all operations in the form of an operation."""
        names = [
            name
            for name in self.value["components"]["headers"]
            if re.fullmatch("X-Request-ID|Access-[^.]+", name)
        ]
        return {
            "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
            "content": {"text/plain": {"schema": {"const": text}}},
        }

    def _header_problems(
        self, response: dict[str, Any], given: Mapping[str, str], error: str
    ) -> Iterator[str]:
        declared = {name.lower(): self.resolve(node) for name, node in response.get("headers", {}).items()}
        wanted = set(declared) - {"etag"}
        if error in _REFUSED_UNREAD:
            wanted = set()
        elif error == "URIError":
            wanted -= _DEPRECATION
        for name in sorted(wanted - set(given)):
            yield f"  header {name}: is missing"
        for name in sorted(self.headers & set(given) - wanted):
            yield f"  header {name}: should not be there, but is {given[name]!r}"
        for name in sorted(set(declared) & set(given)):
            schema = declared[name][0]["schema"]
            value: Any = given[name]
            if schema.get("type") == "integer" and re.fullmatch("[0-9]+", value):
                value = int(value)
            for problem in self._fitting.errors(schema, value):
                yield f"  header {name}: {problem.message}"

    def _body_problems(
        self, response: dict[str, Any], where: str, given: Mapping[str, str], body: bytes, *, bodiless: bool
    ) -> Iterator[str]:
        content = response.get("content", {})
        content_type = given.get("content-type")
        if not content:
            if content_type is not None:
                yield f"  header content-type: should not be there, but is {content_type!r}"
        elif content_type not in (allowed := [f"{media_type}; charset=utf-8" for media_type in content]):
            yield f"  header content-type: is {content_type!r}, not {' or '.join(map(repr, allowed))}"
            return
        if bodiless or not content:
            if body:
                yield f"  body: should be empty, but is {body[:80]!r}"
            return
        media_type = str(content_type).split(";")[0]
        try:
            text = body.decode()
        except UnicodeDecodeError as problem:
            yield f"  body: is not UTF-8: {problem}"
            return
        media = content[media_type]
        pointer = f"{where}/content{_pointer(media_type)}"
        if media_type == "text/plain":
            if text != (wanted := media["schema"].get("const", text)):
                yield f"  body: is {text[:80]!r}, not {wanted!r}"
        elif media_type == "text/event-stream":
            yield from self._stream_problems(text, f"{pointer}/x-sse-events", media["x-sse-events"])
        elif not (text == "" and media.get("x-may-be-empty")):
            try:
                value = _parse(text)
            except ValueError as problem:
                yield f"  body: is not JSON: {problem}"
                return
            yield from (f"  {problem}" for problem in self.schema_problems(f"{pointer}/schema", value))

    def _stream_problems(self, text: str, pointer: str, kinds: Mapping[str, Any]) -> Iterator[str]:
        seen: list[str] = []
        last_id = None
        if not text.endswith("\n\n"):
            yield "  body: the last frame is cut off"
        for number, frame in enumerate(_frames(text), 1):
            kind = frame.get("event", "")
            place = f"  frame {number} ({kind})"
            if kind not in kinds:
                yield f"{place}: is of no known kind, only {', '.join(kinds)} are"
                continue
            if (kind == "workflow") != (not seen):
                yield f"{place}: `workflow` comes first, and only there"
            if {"done", "server_error"} & set(seen):
                yield f"{place}: comes after the end"
            seen.append(kind)
            try:
                data = _parse(frame.get("data", ""))
            except ValueError as problem:
                yield f"{place}: its data are not JSON: {problem}"
                continue
            wrong = self.schema_problems(f"{pointer}/{kind}", data)
            yield from (f"{place}: {problem}" for problem in wrong)
            if kind != "history" and "id" in frame:
                yield f"{place}: has an id, which only `history` should"
            if kind == "history" and not wrong:
                ids = [int(event["eventId"]) for event in data]
                if frame.get("id") != str(ids[-1]):
                    yield f"{place}: its id is {frame.get('id')}, not that of its last event, {ids[-1]}"
                first = ids[0] if last_id is None else last_id + 1
                if ids != list(range(first, first + len(ids))):
                    yield f"{place}: the events {ids} do not follow on {last_id}"
                last_id = ids[-1]


@functools.cache
def document_for(api: str, sdk: str) -> Document:
    """The document for these versions of the API and of the workers' SDK, such as `0.9.2`."""
    return Document(document_of(Deployment(api, sdk)))


NEWEST = document_for(NEWEST_VERSION, NEWEST_VERSION)
DOCUMENT = NEWEST.value
response_problems, schema_problems = NEWEST.response_problems, NEWEST.schema_problems
find_operation, resolve = NEWEST.find_operation, NEWEST.resolve


def check_response(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise an AssertionError that names the place if a response does not fit the newest document."""
    __tracebackhide__ = True
    problems = response_problems(method, path, status, headers, body)
    if problems:
        raise AssertionError("\n".join([f"{method.upper()} {path} answered {status}:", *problems]))


_UNAUTHORIZED = {"$ref": "#/components/responses/Unauthorized"}


def _pointer(*parts: str) -> str:
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _parse(text: str | bytes) -> Any:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _error_name(body: bytes) -> str:
    try:
        value = _parse(body)
    except ValueError:
        return ""
    return str(value.get("error", "")) if isinstance(value, dict) else ""


def _frames(text: str) -> Iterator[dict[str, str]]:
    for block in text.split("\n\n"):
        # Not splitlines(): JSON may contain line separators that do not end a line here.
        fields = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        if fields:
            yield {name: value for name, _, value in fields}


def _payload_problems(body: bytes) -> Iterator[str]:
    """Payloads that the request did not ask for. Malformed ones were reported already."""
    text = body.decode("utf-8", "replace")
    try:
        pages = [_parse(text)["events"]] if text.startswith("{") else []
        pages += [_parse(f["data"]) for f in _frames(text) if f.get("event") == "history"]
    except (ValueError, KeyError, TypeError):
        return
    events = [event for page in pages if isinstance(page, list) for event in page]
    for event in (one for one in events if isinstance(one, dict)):
        for name, attributes in event.items():
            for key in sorted(_PAYLOADS & set(attributes if isinstance(attributes, dict) else ())):
                yield f"  event {event.get('eventId')}: {name}.{key} is there without includePayloads=true"


# --- schemas ---------------------------------------------------------------------------------------------


def _explain(error: ValidationError) -> Iterator[str]:
    """Name the place. If none of several schemas fits, continue with the closest one."""
    branches: dict[Any, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.schema_path[0], []).append(inner)
    if error.validator in ("oneOf", "anyOf") and branches:
        nearest = min(branches.values(), key=_distance)
        # A constant distinguishes the schemas, and none has this constant.
        tags = [inner for inner in error.context or () if inner.validator == "const"]
        if len({inner.json_path for inner in tags}) == 1 and len(tags) == len(branches):
            values = ", ".join(repr(inner.validator_value) for inner in tags)
            yield f"{_place(tags[0])}: {tags[0].instance!r} is not one of {values}"
        else:
            for inner in nearest:
                yield from _explain(inner)
        return
    message = error.message if len(error.message) < 400 else f"{error.message[:390]} …"
    yield f"{_place(error)}: {message}"


def _place(error: ValidationError) -> str:
    return "body" + error.json_path.removeprefix("$")


def _distance(errors: list[ValidationError]) -> tuple[int, int, int]:
    """How far a value is from a schema: a different kind, or the number of wrong details."""
    other_kind = sum(error.validator == "type" and not error.path for error in errors)
    return other_kind, len(errors), sum(error.validator == "const" for error in errors)
