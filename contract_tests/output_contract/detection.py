"""Finds out the versions of a deployment by asking it.

Each version answers something that the ones before it do not know. The newest such answer counts: a server
that lacks what an older version has already is not older, it deviates.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from output_contract.exchange import RecordedExchange
from output_contract.server import CLOSED, UNSENT, Server
from output_contract.versions import NEWEST, Judged, known

_PATIENCE = 20.0


def detect(server: Server, api: str | None = None, sdk: str | None = None) -> Judged:
    """The versions to judge a deployment as: those that are given, and else what a few requests find out.

    The version of the API shows in answers about a workflow that is not there. That of the workers' SDK shows
    in the result of a run, and so one is run, if runs may be started and a workflow that succeeds is known.
    Otherwise it is taken to be that of the API. Raises `ValueError` for what is no version.
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
    """The version of the API; None when the answers are not those of an API of any version."""
    unknown = f"/workflow/{server.new_id()}"
    with suppress(_NotTold):
        if _has(server, f"{unknown}/history?longPollTimeoutMs=0", "ValidationError"):
            return "0.11.0"
        if _has(server, f"{unknown}/input"):
            return "0.10.0"
        path = "/workflow/catalog" if server.catalog is None else f"/workflow/catalog/{server.catalog}"
        if "workflowNames" in _ask(server, "GET", path):
            return "0.9.2"
        if _has(server, f"{unknown}/history/stream"):
            return "0.9.0"
        if _has(server, f"{unknown}/status"):
            return "0.8.0"
    return None


class _NotTold(Exception):
    """An answer that comes from somebody else than the API."""


def _has(server: Server, path: str, error: str = "WorkflowNotFoundError") -> bool:
    """Whether a request about a workflow that is not there is answered with this error.

    Without the operation there is another one, or a plain `Not Found`. Raises `_NotTold` for any other
    answer, which tells nothing of versions.
    """
    exchange = server.exchange("GET", path, timeout=_PATIENCE)
    told = _error(exchange)
    if told is None and (exchange.status, exchange.answer) != (404, b"Not Found"):
        raise _NotTold
    return told == error


def _error(exchange: RecordedExchange) -> str | None:
    with suppress(ValueError, RecursionError):
        value = json.loads(exchange.answer)
        if exchange.status >= 400 and isinstance(value, dict) and isinstance(value.get("error"), str):
            return str(value["error"])
    return None


def _sdk(server: Server) -> str | None:
    with suppress(pytest.skip.Exception):
        server.workflow_names(attempts=1)
        role = server.role("succeeds")
        workflow_id = server.new_id()
        body: dict[str, Any] = {"workflowName": role.workflow, "workflowId": workflow_id}
        if role.input is not UNSENT:
            body["input"] = role.input
        if server.catalog is not None:
            body["catalog"] = server.catalog
        server.ledger.begun(workflow_id)
        result = _ask(server, "POST", "/workflow/run", body, server.patience)
        if result.get("status") in CLOSED:
            server.ledger.ended(workflow_id)
        if result.get("status") == "completed":
            return "0.11.0" if result.get("v") == "2" else "0.10.0"
    return None


def _ask(
    server: Server, method: str, path: str, body: Any = UNSENT, patience: float = _PATIENCE
) -> dict[str, Any]:
    """The JSON object that is answered; an empty one for any other answer, or none."""
    with suppress(ValueError, RecursionError, pytest.skip.Exception):
        value = json.loads(server.exchange(method, path, body, patience).answer)
        if isinstance(value, dict):
            return value
    return {}
