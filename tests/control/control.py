"""A client of a server with a control plane, which holds every answer against the two OpenAPI documents."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from output_mock import OutputMock, Script
from output_mock.control.front import Front
from output_mock.control.openapi import document
from output_mock.control.worlds import Worlds
from output_mock.server import running
from tests.conftest import UNSENT, Answer, SocketClient

DOCUMENT = document()
_URI = "urn:output-mock:control"
_REGISTRY: Registry[Any] = Registry().with_resource(_URI, DRAFT202012.create_resource(DOCUMENT))

script = Script()
script.workflow("echo").returns(lambda given: given)
script.workflow("slow").takes("45m").returns("done")


@script.workflow("approval")
async def approval(ctx: Any, given: Any) -> Any:
    ctx.on_query("stage", lambda payload: "waiting")
    draft = await ctx.step("draft", given, returns="text", takes="10m")
    decision = await ctx.wait_for_signal("approve", timeout="24h")
    return {"draft": draft, "by": decision["by"]}


def worlds_of(*scripts: Any, **options: Any) -> Worlds:
    """Worlds that all have these scripts."""

    def make(given: Mapping[str, Any]) -> OutputMock:
        made = {"clock": given.get("clock", "auto"), "seed": given.get("seed", 7)}
        mock = OutputMock(**made, scripts=[] if given.get("scripts") == "none" else scripts or [script])
        # Nothing else will come for a request that waits.
        mock.world.patience = 0.3
        return mock

    return Worlds(make({}), make, **options)


def problems(method: str, path: str, answer: Answer) -> list[str]:
    """What is wrong with an answer of the control plane, by its document."""
    bare = re.sub(r"^/w/[^/]+", "", urlsplit(path).path)
    for template, verb, pattern in _templates():
        if verb == method.lower() and pattern.fullmatch(bare):
            listed = DOCUMENT["paths"][template][verb]["responses"]
            break
    else:
        listed = {str(code): {"$ref": f"#/components/responses/{code}"} for code in (400, 401, 404, 405, 503)}
    response = listed.get(str(answer.status)) or (
        {} if answer.status == 503 and path.startswith("/w/") else None
    )
    if response is None:
        return [f"status {answer.status} is not listed: {answer.text}"]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    content = response.get("content")
    if content is None:
        return [f"there is a body: {answer.text}"] if answer.body and answer.status != 503 else []
    if answer.headers.get("content-type") != "application/json; charset=utf-8":
        return [f"the type is {answer.headers.get('content-type')}"]
    schema = _absolute(content["application/json"]["schema"])
    validator = Draft202012Validator(schema, registry=_REGISTRY)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(answer.json)]


@functools.cache
def _templates() -> list[tuple[str, str, re.Pattern[str]]]:
    found = []
    for template, item in DOCUMENT["paths"].items():
        pattern = re.compile(re.sub(r"\{(\w+)\}", r"[^/]+", template))
        found += [(template, verb, pattern) for verb in item]
    return sorted(found, key=lambda entry: entry[0].count("{"))


def _absolute(schema: Any) -> Any:
    text = json.dumps(schema).replace('"#/', f'"{_URI}#/')
    return json.loads(text)


class ControlClient(SocketClient):
    """Sends requests to a server, for the API and for its control plane, of one of its worlds."""

    def __init__(self, url: str, world: str | None = None, token: str | None = None) -> None:
        super().__init__(url)
        self.url = url
        self._prefix = "" if world is None else f"/w/{world}"
        self.token = token

    def of(self, world: str) -> ControlClient:
        """The same for another world."""
        return ControlClient(self.url, world, self.token)

    def open(self, method: str, path: str, headers: Any, body: bytes | None) -> Any:
        return super().open(method, self._prefix + path, headers, body)

    def control(
        self,
        method: str,
        path: str,
        json: Any = UNSENT,
        *,
        data: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        expect: int | None = None,
        **query: Any,
    ) -> Answer:
        """Ask the control plane for something below `/__mock__`; with `expect`, that has to be the status."""
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        target = f"/__mock__{path}"
        if query:
            pairs = (f"{name}={quote(_text(value), safe='')}" for name, value in query.items())
            target += "?" + "&".join(pairs)
        answer = self.unchecked(method, target, json, data=data, headers=sent)
        if method != "HEAD":
            wrong = problems(method, self._prefix + target, answer)
            assert not wrong, f"{method} {target} answered {answer.status}: {wrong}"
        if expect is not None:
            assert answer.status == expect, answer.text
        return answer


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@contextmanager
def served(worlds: Worlds, **options: Any) -> Iterator[ControlClient]:
    """A client of a server for these worlds, as long as the block runs."""
    try:
        with running(Front(worlds, **options)) as url:
            yield ControlClient(url, token=options.get("control_token"))
    finally:
        for held in worlds:
            held.mock.close()
            for snapshot in held.snapshots.values():
                snapshot.close()
        worlds.close()
