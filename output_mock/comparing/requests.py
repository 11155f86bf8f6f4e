"""Requests for every endpoint of the contract: mostly sensible ones, and now and then odd ones.

What may be sent is read from the table of operations, so a new endpoint, field or parameter is sent as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from output_mock.comparing.values import ANY, ODD, Strategy, allowed_by, mostly
from output_mock.comparing.vocabulary import Workflow
from output_mock.contract.operations import OPERATIONS, Operation
from output_mock.contract.requests import Query

JsonStep = dict[str, Any]

# What changes a run, after which servers need time until it rests again.
CHANGING = frozenset(
    {"run", "start", "stop", "terminate", "reset", "feedback", "signal", "update"},
)
# What may wait for something that another request brings.
_WAITING = ("run", "update")
# How long such an answer may take, in the words of a scenario.
PATIENCE, _MEANWHILE = "4s", "12s"
_NOBODYS_RUN = "01a00000-0000-7000-8000-000000000000"
# Ids of nothing that runs.
_ODD_IDS = st.sampled_from(
    [
        "nobody",
        "%zz",
        "%F0",
        "a%2Fb",
        "toString",
        "__proto__",
        "%00",
        "x" * 300,
        "%20",
        "-x",
    ]
)
# Catalogs are runs, too; whoever stops one takes all its workflows away.
_ODD_IDS_TO_READ = st.one_of(_ODD_IDS, st.sampled_from(["catalog", "main"]))
_ODD_RUNS = st.sampled_from(
    [_NOBODYS_RUN, "latest", _NOBODYS_RUN.upper(), "00000000-0000-0000-0000-000000000000", "%zz"]
)
_ODD_NAMES = st.sampled_from(
    ["nobody", "__stack_trace", "toString", "__proto__", "K%C3%A4se", "a%2Fb", "%zz", "x" * 300, "%20"]
)
_PARAMETER = re.compile(r"\{(\w+)\}")
_TEXTS = st.sampled_from(["", "{", "[]", "null", '"text"', "a=1&b[c]=2", '{"payload":{"a":1}} x', "\ufeff{}"])
_TYPES = st.sampled_from(
    [
        "application/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/vnd.api+json",
        "multipart/form-data",
        "nonsense",
    ]
)
_HEADERS = st.sampled_from(
    [
        {"X-Request-ID": "abc-1"},
        {"X-Request-ID": "not valid!"},
        {"Rndr-Id": "rndr", "X-Request-ID": "abc-1"},
        {"Accept": "text/html"},
        {"Origin": "https://app.example"},
        {"If-None-Match": "*"},
        {"Content-Encoding": "br-nonsense"},
        {"Content-Encoding": "gzip"},
        {"Authorization": "Bearer x"},
        {"Last-Event-ID": "3"},
        {"Last-Event-ID": "x"},
        {"Range": "bytes=0-3"},
        {"X-HTTP-Method-Override": "DELETE"},
        {"Expect": "100-continue"},
    ]
)
# Query parameters by their names; what is not here gets any text.
_PARAMETERS: dict[str, tuple[list[str], list[str]]] = {
    "pageSize": (["2", "1", "5", "50"], ["0", "51", "x", "", "1.5", "1e1", " 2", "-1"]),
    "pageToken": ([], ["", "AAAA", "!", "a" * 5000, "eyJhIjoxfQ=="]),
    "includePayloads": (["true", "false"], ["", "1", "TRUE"]),
    "longPollTimeoutMs": (["300", "1000", "1500", "2500"], ["1", "0", "-1", "x", "", "1.5", "1e3"]),
    "lastEventId": (["1", "5", "100"], ["0", "x", "", "1.5"]),
    # A list of one shows whatever else has run.
    "limit": (["5", "2", "1000"], ["0", "1001", "x", "", "1.5"]),
    "catalog": (["main"], ["nobody", "a b", "", "Käse"]),
}


@dataclass(frozen=True)
class Actor:
    """A workflow that the sequence has started, and the variables with its id and its run."""

    workflow: Workflow
    id: str
    run: str


def actor_of(number: int, workflow: Workflow) -> Actor:
    """The actor of that number, from 1."""
    return Actor(workflow, f"id{number}", f"run{number}")


@lru_cache
def starting(actor: Actor) -> Strategy:
    """The request that starts it."""
    given = mostly(allowed_by(actor.workflow.input_schema), ODD)
    return st.builds(
        lambda input, how: {
            "request": "POST /workflow/start",
            "json": {
                "workflowName": actor.workflow.name,
                "workflowId": f"{how}{{{{nonce}}}}-{actor.id}",
                "input": input,
            },
            "save": {actor.id: "workflowId", actor.run: "runId"},
        },
        given,
        mostly(st.just("compare-"), st.sampled_from(["Käse ", "a/b", "%41", "-", "a?b#c"])),
    )


@dataclass(frozen=True)
class Call:
    """A request of a sequence, as a scenario has it, and the operation."""

    operation: str
    step: Mapping[str, Any]

    @property
    def changes(self) -> bool:
        """Whether it may change a run."""
        return self.operation in CHANGING


_WEIGHTS = {"signal": 3, "update": 3, "history": 3, "query": 2, "start": 2, "health": 1, "ready": 1}
# Operations and endpoints, those more often that are asked more often. The simplest is about a run, and
# changes nothing.
_TABLE = sorted(
    (
        (operation, endpoint)
        for operation in OPERATIONS
        for endpoint in operation.endpoints
        for _ in range(_WEIGHTS.get(operation.name, 2 if "{id}" in endpoint.path else 1))
    ),
    key=lambda pair: (pair[0].name != "status", "{id}" not in pair[1].path),
)
_METHODS = st.sampled_from(["HEAD", "OPTIONS", "PUT", "DELETE", "GET", "POST"])


# Strategies take long to make, and are the same for the same actors.
@lru_cache
def calls(actors: tuple[Actor, ...], workflows: tuple[Workflow, ...]) -> Strategy:
    """Calls of any endpoint, about one of the actors where it is about a run."""
    choices = [(number, actor) for number in range(len(_TABLE)) for actor in actors]
    return st.sampled_from(choices).flatmap(lambda one: _call(*one, actors, workflows))


@lru_cache(maxsize=4096)
def _call(number: int, actor: Actor, actors: tuple[Actor, ...], workflows: tuple[Workflow, ...]) -> Strategy:
    operation, endpoint = _TABLE[number]
    return st.tuples(
        mostly(st.just(operation.method), _METHODS, once_in=25),
        _path(endpoint.path, actor, actors, _ODD_IDS_TO_READ if operation.method == "GET" else _ODD_IDS),
        _query(operation.query, actor),
        _body(operation, actor, workflows),
        mostly(st.just({}), _HEADERS, once_in=12),
        st.booleans() if operation.name in _WAITING else st.just(False),
    ).map(lambda parts: _called(operation, *parts))


def _called(
    operation: Operation,
    method: str,
    path: str,
    query: str,
    body: JsonStep,
    headers: dict[str, str],
    meanwhile: bool,
) -> Call:
    return Call(operation.name, _step(operation, f"{method} {path}{query}", body, headers, meanwhile))


def _step(
    operation: Operation, line: str, body: JsonStep, headers: dict[str, str], meanwhile: bool
) -> JsonStep:
    step: JsonStep = {"request": line, **body}
    if headers or "headers" in body:
        step["headers"] = {**body.get("headers", {}), **headers}
    if operation.name == "history_stream":
        step["read"] = {"seconds": 1}
    elif operation.name in _WAITING:
        step |= {"timeout": _MEANWHILE, "meanwhile": True} if meanwhile else {"timeout": PATIENCE}
    return step


# Paths


def _path(template: str, actor: Actor, actors: tuple[Actor, ...], odd_ids: Strategy) -> Strategy:
    parts: list[Strategy] = []
    for position, part in enumerate(_PARAMETER.split(template)):
        parts.append(_parameter(part, actor, actors, odd_ids) if position % 2 else st.just(part))
    return st.builds(
        lambda path, form: form(path),
        st.tuples(*parts).map("".join),
        mostly(
            st.just(str),
            st.sampled_from([lambda path: f"{path}/", _capitals, lambda path: f"/{path}"]),
            once_in=25,
        ),
    )


def _capitals(path: str) -> str:
    """The path in capitals, but for the names of variables."""
    return re.sub(
        r"\{\{\w+\}\}|[^{]+", lambda found: found[0] if found[0][0] == "{" else found[0].upper(), path
    )


def _parameter(name: str, actor: Actor, actors: tuple[Actor, ...], odd_ids: Strategy) -> Strategy:
    if name == "id":
        return mostly(st.just(f"{{{{{actor.id}}}}}"), odd_ids, once_in=15)
    if name == "rid":
        others = [st.just(f"{{{{{one.run}}}}}") for one in actors if one is not actor]
        return mostly(st.just(f"{{{{{actor.run}}}}}"), st.one_of([_ODD_RUNS, *others]))
    known = getattr(actor.workflow, _KNOWN[name])
    names = st.sampled_from([quote(one, safe="") for one in sorted(known)]) if known else _ODD_NAMES
    return mostly(names, _ODD_NAMES)


_KNOWN = {"signal": "signals", "query": "queries", "update": "updates"}


# Query strings


def _query(query: Query | None, actor: Actor) -> Strategy:
    if query is None:
        return mostly(st.just(""), st.just("?unknown=1"), once_in=25)
    each = [st.one_of(st.just(None), _assigned(field.name, actor)) for field in query.fields]
    return st.tuples(*each).map(_joined)


def _assigned(name: str, actor: Actor) -> Strategy:
    return _value(name, actor).map(lambda text: f"{name}={text}")


def _joined(given: tuple[str | None, ...]) -> str:
    there = [one for one in given if one is not None]
    return f"?{'&'.join(there)}" if there else ""


def _value(name: str, actor: Actor) -> Strategy:
    if name == "runId":
        return mostly(st.just(f"{{{{{actor.run}}}}}"), st.one_of(_ODD_RUNS, st.just("")))
    if name == "workflowType":
        return st.sampled_from(["nobody", "$catalog", "a%20b", ""])
    usual, odd = _PARAMETERS.get(name, ([], ["x", ""]))
    odd_ones = st.sampled_from(odd).map(lambda text: quote(text, safe=""))
    return mostly(st.sampled_from(usual), odd_ones) if usual else odd_ones


# Bodies


def _body(operation: Operation, actor: Actor, workflows: tuple[Workflow, ...]) -> Strategy:
    if operation.body is None:
        odd = st.one_of(
            st.just({"json": {"a": 1}}),
            st.just({"text": "{", "headers": {"Content-Type": "application/json"}}),
        )
        return mostly(st.just({}), odd, once_in=30)
    fields = {field.name: field for field in operation.body.fields}
    must = {name: _field(name, actor, workflows, operation) for name, one in fields.items() if one.required}
    may = {
        name: _field(name, actor, workflows, operation) for name, one in fields.items() if not one.required
    }
    if operation.name == "run":
        must["timeout"] = may.pop("timeout")
    if operation.name in ("run", "start"):
        must["workflowId"] = may.pop("workflowId")
    sensible = st.fixed_dictionaries(must, optional=may).map(lambda body: {"json": body})
    if operation.name in ("run", "start"):
        sensible = st.one_of([_beginning(one, must, may) for one in workflows])
    elif not must:
        sensible = st.one_of(sensible, st.just({}))
    return mostly(sensible, _odd_body(must | may), once_in=12)


def _beginning(workflow: Workflow, must: dict[str, Strategy], may: dict[str, Strategy]) -> Strategy:
    """The body that starts a workflow: what it takes, and now and then what it does not."""
    must = {
        **must,
        "workflowName": mostly(st.just(workflow.name), must["workflowName"]),
        "input": mostly(allowed_by(workflow.input_schema), ODD),
    }
    may = {name: one for name, one in may.items() if name != "input"}
    return mostly(st.fixed_dictionaries(must), st.fixed_dictionaries(must, optional=may), once_in=4).map(
        lambda body: {"json": body}
    )


def _odd_body(fields: dict[str, Strategy]) -> Strategy:
    wrong = st.fixed_dictionaries(
        {}, optional={name: st.one_of(ODD, usual) for name, usual in fields.items()}
    )
    text = st.builds(lambda text, kind: {"text": text, "headers": {"Content-Type": kind}}, _TEXTS, _TYPES)
    return st.one_of(
        wrong.map(lambda body: {"json": body}), ODD.map(lambda value: {"json": value}), text, st.just({})
    )


def _field(name: str, actor: Actor, workflows: tuple[Workflow, ...], operation: Operation) -> Strategy:
    if name == "workflowName":
        return st.sampled_from(["nobody", "", "$catalog", "toString", *(one.name for one in workflows)])
    if name == "workflowId":
        return st.sampled_from(["other-{{nonce}}", f"{{{{{actor.id}}}}}"])
    if name in ("catalog", "taskQueue"):
        return st.sampled_from(["main", "nobody", "a b", ""])
    if name == "timeout":
        usual = st.sampled_from([3000, 1000, 250, "2000"])
        return mostly(usual, st.sampled_from([249, 0, -1, 1.5, "x", None, 2147483648, "", True, [300]]))
    if name == "stepName":
        steps = sorted(actor.workflow.steps)
        odd = st.sampled_from(["nobody", "", "__internal#getTraceDestinations", "getTraceDestinations"])
        return mostly(st.sampled_from(steps), odd) if steps else odd
    if name == "reason":
        return st.sampled_from(["enough", "", "Käse", "x" * 300])
    if name == "payload":
        return mostly(
            st.dictionaries(st.sampled_from(["by", "verbose", "threshold", "n", "bad"]), ANY, max_size=2), ODD
        )
    return mostly(ANY, ODD)
