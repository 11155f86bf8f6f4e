"""The server under test: how to reach it, its catalog, and the roles of its workflows."""

from __future__ import annotations

import http.client
import itertools
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from _pytest.outcomes import Skipped

from output_contract.bounds import Bounds, Ledger, Spent
from output_contract.coding import Undecodable, decoder
from output_contract.exchange import RecordedExchange
from output_contract.network_errors import explain
from output_contract.versions import Judged
from output_mock.recording.transport import Reply, Transport

PATIENCE = 60.0
# How often to ask for a missing catalog, and how many seconds apart.
_ATTEMPTS, _PAUSE = 3, 1.0
# The closed statuses.
CLOSED = ("completed", "failed", "cancelled", "terminated", "timed_out", "continued_as_new")
NEEDS_PACK = (
    "the check needs the suite's own workflows (conf_…): `output-mock pack DIR` writes them for your Output "
    "project, --temporal HOST:PORT offers them while it checks"
)
NEEDS_ROLE = (
    "the check needs a workflow that {what}: `output-mock pack DIR` writes one for your Output project, "
    "--temporal HOST:PORT offers one while it checks, --map FILE names one of your own under {role!r}"
)
NEEDS_CATALOG = (
    "the server has no catalog, or no worker serves it: start a worker, or name another catalog with "
    "--catalog C"
)
NOT_THERE = "the catalog has no workflow {workflow!r}, which the file of --map names under {role!r}"
GONE = "the server has stopped answering"
READ_ONLY = "the check starts a run, which --read-only forbids"

_GONE = "gone"
# After this many seconds without an answer to the simplest request, a server counts as gone.
_GONE_AFTER = 5.0


class UNSENT:
    """Marks an omitted input."""


@dataclass(frozen=True)
class Role:
    """A workflow that does something that tests need, and the input for that."""

    workflow: str
    input: Any = UNSENT
    # What it returns, if known.
    output: Any = UNSENT
    # One of its steps that completes, to reset to.
    step: str | None = None
    # The signal that it waits for, and its payload.
    signal: str | None = None
    payload: Any = UNSENT
    # Whether it is a workflow of the pack, about which more is known.
    packed: bool = False


# The purpose of each role, in words that continue "a workflow that …".
ROLES = {
    "succeeds": "succeeds",
    "fails": "fails",
    "takes_long": "takes a minute or longer",
    "waits": "waits for a signal",
}
_PACK = {
    "succeeds": Role("conf_sum", {"a": 1, "b": 2}, {"total": 3}, step="add", packed=True),
    "fails": Role("conf_fail", {"mode": "fatal"}, packed=True),
    "takes_long": Role("conf_timer", {"ms": 60_000}, packed=True),
    "waits": Role(
        "conf_approval",
        {"topic": "bees"},
        step="draft",
        signal="approve",
        payload={"by": "ana"},
        packed=True,
    ),
}
_KEYS = {"workflow", "input", "output", "step", "signal", "payload"}


class MapError(ValueError):
    """The file of `--map` is invalid. The message names the place and what to write."""


def read_map(path: Path) -> dict[str, Role]:
    """The roles that a YAML or JSON file gives to a deployment's own workflows. Raises `MapError`."""
    import yaml

    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MapError(f"{path}: the file cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f":{where.line + 1}" if where is not None else ""
        raise MapError(
            f"{path}{line}: the file is not valid YAML: {getattr(error, 'problem', error)}"
        ) from None
    if not isinstance(given, dict):
        raise MapError(
            f"{path}: write roles in it, such as 'succeeds: {{workflow: my_workflow, input: {{}}}}'"
        )
    return {name: _role(path, name, value) for name, value in given.items()}


def _role(path: Path, name: Any, value: Any) -> Role:
    if name not in ROLES:
        raise MapError(f"{path}: there is no role {name!r}; the roles are {', '.join(ROLES)}")
    if not isinstance(value, dict) or not isinstance(value.get("workflow"), str):
        raise MapError(f"{path}: {name} needs a workflow, such as 'workflow: my_workflow'")
    unknown = sorted(set(value) - _KEYS)
    if unknown:
        raise MapError(
            f"{path}: {name} has an unknown key {unknown[0]!r}; it may have {', '.join(sorted(_KEYS))}"
        )
    for key in ("input", "output", "payload"):
        try:
            json.dumps(value.get(key), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise MapError(f"{path}: {name}.{key} is not JSON: {error}; put dates in quotes") from None
    for key in ("step", "signal"):
        if key in value and not isinstance(value[key], str):
            raise MapError(f"{path}: {name}.{key} must be a name")
    if name == "waits" and "signal" not in value:
        raise MapError(f"{path}: waits needs the signal that it waits for, such as 'signal: approve'")
    return Role(**value)


_BEGINNINGS = ("/workflow/start", "/workflow/run", "/reset")


class NotApplicable(Skipped):
    """A check does not apply to a deployment of these versions. The message says why."""


@dataclass
class Server:
    """The server under test, in one process of the suite.

    `catalog` is the catalog to use; None is the default of the server. `roles` come from `--map`.
    """

    transport: Transport
    token: str | None = None
    catalog: str | None = None
    roles: Mapping[str, Role] = field(default_factory=dict)
    read_only: bool = False
    # How many seconds a run may take if it does not wait for anything: a deployment may be slow or busy.
    patience: float = PATIENCE
    bounds: Bounds = field(default_factory=Bounds)
    ledger: Ledger = field(default_factory=Ledger)
    # The prefix of all ids of this verification.
    prefix: str = field(default_factory=lambda: f"verify-{secrets.token_hex(4)}")
    # The versions that it is judged as.
    judged: Judged = field(default_factory=Judged)
    # Values that all tests of this process share.
    found: dict[str, Any] = field(default_factory=dict)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def new_id(self) -> str:
        """A unique workflow id."""
        return f"{self.prefix}-{next(self._numbers)}"

    def headers(self) -> list[tuple[str, str]]:
        """The header with the token, for every request."""
        return [] if self.token is None else [("Authorization", f"Basic {self.token}")]

    def send(
        self,
        method: str,
        path: str,
        headers: list[tuple[str, str]],
        body: bytes | None,
        timeout: float,
        idle: float | None = None,
    ) -> Reply:
        """Send a request within the limits. Skips the test if no request is left, or if the server has
        stopped answering.

        Raises the errors of the transport.
        """
        if self.found.get(_GONE):
            pytest.skip(GONE)
        # Keep one request to end each open run, and one for the run that this may start.
        begins = method == "POST" and path.partition("?")[0].lower().rstrip("/").endswith(_BEGINNINGS)
        try:
            left = self.bounds.take(len(self.ledger.open) + begins)
        except Spent as spent:
            pytest.skip(str(spent))
        return self.transport.send(method, path, headers, body, min(timeout, max(left, 1.0)), idle)

    def exchange(
        self, method: str, path: str, body: Any = UNSENT, timeout: float = 30.0, *, counted: bool = True
    ) -> RecordedExchange:
        """Send a request outside of any test, and return any answer.

        If `counted`, it is within the limits, and skips the test if no request is left.
        """
        headers = [*self.headers(), ("Accept-Encoding", "identity")]
        if body is not UNSENT:
            headers.append(("Content-Type", "application/json"))
        data = None if body is UNSENT else json.dumps(body).encode()
        exchange = RecordedExchange(method, path, headers, data)
        send = self.send if counted else self.transport.send
        try:
            reply = send(method, path, headers, data, timeout)
            try:
                exchange.status, exchange.http_version = reply.status, reply.http_version
                exchange.answer_headers = {name.lower(): value for name, value in reply.headers}
                exchange.encoding = exchange.answer_headers.get("content-encoding", "")
                exchange.answer = b"".join(map(decoder(exchange.encoding), reply.pieces))
            finally:
                reply.close()
        except (OSError, http.client.HTTPException, AssertionError, Undecodable) as error:
            exchange.broken = explain(error).words
        return exchange

    def still_answers(self, patience: float = _GONE_AFTER) -> bool:
        """After a request without an answer: whether the server answers the simplest request."""
        if not self.found.get(_GONE) and self.bounds.take_to_end(len(self.ledger.open)):
            try:
                self.transport.send("GET", "/health", [], None, min(patience, _GONE_AFTER)).close()
            except (OSError, http.client.HTTPException):
                self.found[_GONE] = True
        return not self.found.get(_GONE)

    # The catalog

    def workflow_names(self, attempts: int = _ATTEMPTS) -> dict[str, str]:
        """Every name and alias in the catalog, with its real name; empty without a catalog."""
        path = "/workflow/catalog" if self.catalog is None else f"/workflow/catalog/{quote(self.catalog)}"
        # A catalog may be missing for a moment only. That must not skip hundreds of checks.
        for attempt in range(attempts):
            if "names" in self.found:
                break
            names = self._names(path)
            if names or attempt == attempts - 1:
                self.found["names"] = names
            else:
                # Without time for runs, there is no time for this either.
                time.sleep(min(_PAUSE, self.patience / 20))
        return dict(self.found["names"])

    def _names(self, path: str) -> dict[str, str]:
        answer = self.exchange("GET", path)
        try:
            catalog = json.loads(answer.answer) if answer.status == 200 else {}
            names = {entry["name"]: entry["name"] for entry in catalog.get("workflows", ())}
            aliases = {alias: one["name"] for one in catalog.get("workflows", ()) for alias in one["aliases"]}
            return names | aliases | dict(catalog.get("workflowNames", {}))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # The tests of the catalog report an invalid catalog.
            return {}

    def need(self, workflow: str) -> None:
        """Skip the test unless the catalog has this workflow and may run it."""
        self.need_starts()
        if workflow not in self.workflow_names():
            pytest.skip(NEEDS_PACK)

    def need_catalog(self) -> None:
        """Skip the test if no worker serves the catalog."""
        if not self.workflow_names():
            pytest.skip(NEEDS_CATALOG)

    def need_starts(self) -> None:
        """Skip the test if it may not or cannot start runs."""
        if self.read_only:
            pytest.skip(READ_ONLY)
        if self.judged.starts_nothing:
            raise NotApplicable(f"an API of {self.judged.api} starts no workflow of SDK {self.judged.sdk}")

    def role(self, name: str) -> Role:
        """The workflow with this role. Skips the test if there is none."""
        self.need_starts()
        own = self.roles.get(name)
        if own is not None:
            names = self.workflow_names()
            if names and own.workflow not in names:
                pytest.skip(NOT_THERE.format(role=name, workflow=own.workflow))
            return own
        packed = _PACK[name]
        if packed.workflow not in self.workflow_names():
            pytest.skip(NEEDS_ROLE.format(what=ROLES[name], role=name))
        return packed
