"""What happens inside a step, for its trace: `trace=[http("GET", url), event("tool", "search")]`.

People debug with traces and take costs from them, so these nodes have what the real packages write: a
request its method, URL, status and cost. That comes from the real project's documentation (Tracing, Cost
Estimation) and was seen in the traces that its packages write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

from output_mock.durations import Duration, nanoseconds
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.failures import Failure
from output_mock.sdk.values import named_json


class TraceNode(NamedTuple):
    """Something that happens inside a step: a call of a model, an HTTP request."""

    kind: str
    name: str
    input: Any
    # Its output, or its failure.
    output: Any
    failure: Failure | None
    # By their types, as the real SDK adds them to a node.
    attributes: Mapping[str, Mapping[str, Any]]
    # How long it takes, in nanoseconds; None shares what is left of the step's time.
    takes: int | None
    # Whether its id is a UUID, as for requests, whose attributes repeat it; other ids have the name and the
    # time.
    request: bool = False
    # How workers of the next release show it, if that is different.
    in_next: TraceNode | None = None


def checked_nodes(trace: Any, step: str) -> Any:
    """Check what a script gives as a step's `trace`. Raises `TypeError` if it is not a list of nodes."""
    if callable(trace) and not isinstance(trace, TraceNode):
        return lambda input: checked_nodes(trace(input), step)
    if isinstance(trace, TraceNode) or not isinstance(trace, (list, tuple)):
        raise TypeError(
            f"step {step!r}: trace must be a list of llm(…), http(…) and event(…), or a function of the "
            f"input that returns one, not {trace!r}"
        )
    for one in trace:
        if not isinstance(one, TraceNode):
            raise TypeError(f"step {step!r}: trace has {one!r}, which is not llm(…), http(…) or event(…)")
    return tuple(trace)


def http(
    method: str,
    url: str,
    status: int = 200,
    *,
    cost: float | None = None,
    fails: Failure | str | None = None,
    takes: Duration | None = None,
) -> TraceNode:
    """A request with the project's own HTTP client.

    Takes its `method`, `url`, the `status` of the answer (from 400 on, the node has it as its error), what it
    `cost` in dollars, how the request `fails` instead of getting an answer, and how long it `takes`. Raises
    `ValueError` for an invalid status.
    """
    if not (isinstance(method, str) and isinstance(url, str)):
        raise TypeError(f"http(…) takes a method and a URL as text, not {method!r} and {url!r}")
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status < 600:
        raise ValueError(f"http({method!r}, {url!r}): {status!r} is not an HTTP status")
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
    attributes: dict[str, Any] = {"http:request:count": {"type": "http:request:count", "url": url}}
    if cost is not None:
        if not is_amount(cost):
            raise TypeError(f"http({method!r}, {url!r}): cost must be a number of dollars, not {cost!r}")
        attributes["http:request:cost"] = {"type": "http:request:cost", "url": url, "total": cost}
    given = {"method": method.upper(), "url": url}
    answer = {"status": status, "statusText": phrase}
    if status >= 400 and fails is None:
        fails = Failure.value(answer)
    return node_of("http", "request", given, answer, attributes, fails, takes, request=True)


def event(
    kind: str,
    name: str,
    *,
    input: Any = UNDEFINED,
    output: Any = UNDEFINED,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    fails: Failure | str | None = None,
    takes: Duration | None = None,
) -> TraceNode:
    """Anything else that the code of a step writes into its trace: its `kind`, `name`, `input` and `output`,
    `attributes` by their types, how it `fails` instead, and how long it `takes`.
    """
    for key, value in (attributes or {}).items():
        if not isinstance(value, Mapping):
            raise TypeError(f"event({kind!r}, {name!r}): attribute {key!r} must be an object, not {value!r}")
    return node_of(kind, name, input, output, dict(attributes or {}), fails, takes)


def node_of(
    kind: str,
    name: str,
    given: Any,
    output: Any,
    attributes: dict[str, Any],
    fails: Failure | str | None,
    takes: Duration | None,
    *,
    request: bool = False,
) -> TraceNode:
    """A node with these parts. Raises `TypeError` for values that are not JSON, and for a wrong failure."""
    if fails is not None and not isinstance(fails, (Failure, str)):
        raise TypeError(f"trace node {name!r}: fails must be a Failure or text, not {fails!r}")
    return TraceNode(
        kind,
        name,
        named_json(given, "the input of trace node {!r}", name),
        named_json(output, "the output of trace node {!r}", name),
        Failure(fails) if isinstance(fails, str) else fails,
        named_json(attributes, "an attribute of trace node {!r}", name),
        None if takes is None else nanoseconds(takes),
        request,
    )


def is_amount(value: object) -> bool:
    """Whether a value is an amount of dollars."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
