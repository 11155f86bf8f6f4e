"""The OpenAPI document of each version that a deployment may have."""

from __future__ import annotations

import functools

from output_contract.conformity import NEWEST, Document
from output_contract.versions import NEWEST as NEWEST_VERSION
from output_contract.versions import Judged
from output_mock.contract.versions import Deployment
from output_mock.openapi import document_of as openapi_of


def document_of(judged: Judged) -> Document:
    """The document that answers of a deployment of these versions are held against."""
    if (judged.api, judged.sdk) == (NEWEST_VERSION, NEWEST_VERSION):
        return NEWEST
    return _made(judged.api, judged.sdk)


@functools.cache
def _made(api: str, sdk: str) -> Document:
    return Document(openapi_of(Deployment(api, sdk)))
