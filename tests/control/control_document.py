"""Checks responses against the OpenAPI document of the control plane."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from output_mock.control.openapi import document

DOCUMENT = document()
_URI = "urn:output-mock:control"
_REGISTRY: Registry[Any] = Registry().with_resource(_URI, DRAFT202012.create_resource(DOCUMENT))


def problems(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
    """The problems of a response of the control plane according to its document."""
    bare = re.sub(r"^/w/[^/]+", "", urlsplit(path).path)
    for template, verb, pattern in _templates():
        if verb == method.lower() and pattern.fullmatch(bare):
            listed = DOCUMENT["paths"][template][verb]["responses"]
            break
    else:
        listed = {str(code): {"$ref": f"#/components/responses/{code}"} for code in (400, 401, 404, 405, 503)}
    response = listed.get(str(status)) or ({} if status == 503 and path.startswith("/w/") else None)
    if response is None:
        return [f"status {status} is not listed: {body.decode()}"]
    if "$ref" in response:
        response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    content = response.get("content")
    if content is None:
        return [f"there is a body: {body.decode()}"] if body and status != 503 else []
    (media_type,) = content
    sent = headers.get("content-type", "")
    if media_type != "application/json" and sent.partition(";")[0] == media_type:
        return []
    if sent != "application/json; charset=utf-8":
        return [f"the type is {sent}"]
    schema = _absolute(content["application/json"]["schema"])
    validator = Draft202012Validator(schema, registry=_REGISTRY)
    return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(json.loads(body))]


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
