"""Finds out the versions of a deployment by asking it.

Each version gives an answer that earlier versions do not know. The newest such answer counts. If a server
lacks an answer of an older version, the server is not older: it deviates.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from output_contract.server import CLOSED, UNSENT, Server
from output_contract.versions import NEWEST, Judged, known
from output_mock.recording.versions import api_of

_PATIENCE = 20.0


def detect(server: Server, api: str | None = None, sdk: str | None = None) -> Judged:
    """The versions to judge a deployment as: the given ones, or those that a few requests detect.

    Answers about an unknown workflow show the version of the API. The result of a run shows the version of
    the workers' SDK. So this runs a workflow, if it may start runs and knows a workflow that succeeds.
    Otherwise it assumes the version of the API. Raises `ValueError` for an invalid version.
    """
    with suppress(pytest.skip.Exception):
        api, api_known = (known(api), "said") if api is not None else (_api(server), "found")
    if api is None:
        api, api_known = NEWEST, "assumed"
    sdk, sdk_known = (known(sdk), "said") if sdk is not None else (_sdk(server), "found")
    if sdk is None:
        sdk, sdk_known = api, "assumed"
    return Judged(api, sdk, api_known, sdk_known)


def _api(server: Server) -> str | None:
    """The version of the API; None if the answers fit no version."""
    unknown = f"/workflow/{server.new_id()}"
    with suppress(_NotTold):
        version = api_of(lambda path: _error(server, f"{unknown}{path}"))
        if version == "0.9":
            # There is no such workflow, so no run starts. Without a catalog the version stays unknown.
            body = {"workflowName": server.new_id()} | _named_catalog(server)
            return "0.9.0" if _error(server, "/workflow/start", body) == "WorkflowNotFoundError" else "0.9.2"
        return None if version is None else known(version)
    return None


class _NotTold(Exception):
    """An answer that does not come from the API."""


def _error(server: Server, path: str, body: Any = UNSENT) -> str | None:
    """The name of the error in the answer to a request; None if there is no such operation.

    Raises `_NotTold` for any other answer, because it says nothing about versions.
    """
    exchange = server.exchange("GET" if body is UNSENT else "POST", path, body, _PATIENCE)
    with suppress(ValueError, RecursionError):
        value = json.loads(exchange.answer)
        if exchange.status >= 400 and isinstance(value, dict) and isinstance(value.get("error"), str):
            return str(value["error"])
    if (exchange.status, exchange.answer) == (404, b"Not Found"):
        return None
    raise _NotTold


def _named_catalog(server: Server) -> dict[str, str]:
    return {} if server.catalog is None else {"catalog": server.catalog}


def _sdk(server: Server) -> str | None:
    with suppress(pytest.skip.Exception):
        path = "/workflow/catalog" if server.catalog is None else f"/workflow/catalog/{server.catalog}"
        catalog = _ask(server, "GET", path)
        if catalog.get("workflows") and "workflowNames" not in catalog:
            return "0.8.0"
        server.workflow_names(attempts=1)
        role = server.role("succeeds")
        workflow_id = server.new_id()
        body: dict[str, Any] = {"workflowName": role.workflow, "workflowId": workflow_id}
        if role.input is not UNSENT:
            body["input"] = role.input
        body |= _named_catalog(server)
        server.ledger.begun(workflow_id)
        result = _ask(server, "POST", "/workflow/run", body, server.patience)
        if result.get("status") in CLOSED:
            server.ledger.ended(workflow_id)
        if result.get("status") == "completed":
            return _sdk_of(result)
    return None


def _sdk_of(result: dict[str, Any]) -> str | None:
    """The version of the workers, by the result of a completed run."""
    if result.get("v") == "2" or "trace" not in result:
        return "0.11.0"
    trace = result["trace"]
    places = trace.get("destinations") if isinstance(trace, dict) else None
    if not isinstance(places, dict):
        # An older server that does not read a newer worker's result: a falsy value in JavaScript.
        return "0.11.0"
    return "0.9.2" if None in places.values() else "0.10.0"


def _ask(
    server: Server, method: str, path: str, body: Any = UNSENT, patience: float = _PATIENCE
) -> dict[str, Any]:
    """The JSON object in the answer; an empty one if there is none."""
    with suppress(ValueError, RecursionError, pytest.skip.Exception):
        value = json.loads(server.exchange(method, path, body, patience).answer)
        if isinstance(value, dict):
            return value
    return {}
