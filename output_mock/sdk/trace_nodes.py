"""What happens inside of a step, as scripts tell it: `trace=[llm(model="m"), http("GET", url)]`.

A trace is what people debug with and what costs are taken from, so these nodes have what the real packages
write into theirs: a model's call its prompt, result, usage and price, a request its method, URL, status and
cost. That comes from the real project's documentation (Tracing, Cost Estimation) and was seen in the traces
that its packages write.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from http import HTTPStatus
from typing import Any, NamedTuple

from output_mock.durations import Duration, nanoseconds
from output_mock.javascript_json import UNDEFINED
from output_mock.sdk.failures import Failure
from output_mock.sdk.values import named_json


class Node(NamedTuple):
    """Something that happens inside of a step: a call of a model, an HTTP request."""

    kind: str
    name: str
    input: Any
    # What came of it, and what it failed with instead.
    output: Any
    failure: Failure | None
    # By their types, as the real SDK adds them to a node.
    attributes: Mapping[str, Mapping[str, Any]]
    # How long it takes, in nanoseconds; None shares what is left of the step's time.
    takes: int | None
    # Whether its id is a request's, a UUID, which its attributes repeat; others have the name and the time.
    request: bool = False


def checked_nodes(trace: Any, step: str) -> Any:
    """What a script gives as a step's `trace`. Raises `TypeError` for what is no list of nodes."""
    if callable(trace) and not isinstance(trace, Node):
        return lambda input: checked_nodes(trace(input), step)
    if isinstance(trace, Node) or not isinstance(trace, (list, tuple)):
        raise TypeError(
            f"step {step!r}: trace is a list of llm(…), http(…) and event(…), or a function of the input "
            f"that returns one, not {trace!r}"
        )
    for one in trace:
        if not isinstance(one, Node):
            raise TypeError(f"step {step!r}: trace has {one!r}, which is no llm(…), http(…) or event(…)")
    return tuple(trace)


# What `usage` may say, the short word for it and what the price of such a token goes by.
_TOKENS = {
    "inputTokens": "input",
    "cachedInputTokens": "cached_input",
    "outputTokens": "output",
    "reasoningTokens": "reasoning",
}
# How the kinds of tokens are called in the attribute that costs are taken from.
_LINES = {"input": "input", "cached_input": "input_cached", "output": "output", "reasoning": "reasoning"}


def llm(
    name: str = "generateText",
    *,
    model: str,
    provider: str = "anthropic",
    prompt: str = "prompt@v1",
    variables: Mapping[str, Any] | None = None,
    result: Any = "",
    usage: Mapping[str, int] | None = None,
    price: Mapping[str, float] | None = None,
    fails: Failure | str | None = None,
    takes: Duration | None = None,
) -> Node:
    """A call of a language model.

    Takes the function's `name` (`generateText`, `streamText`, `Agent.generate`, …), the `model` and its
    `provider`, the `prompt` file's name and its `variables`, the `result`, the tokens of its `usage`
    (`input`, `cached_input`, `output`, `reasoning`, or the SDK's own names such as `inputTokens`; cached ones
    are part of the input), the `price` of a million tokens of each of those kinds in dollars, how it `fails`
    instead, and how long it `takes`, though not beyond its step's end; without that, calls share their step's
    time.

    A price of `{"input": 3, "output": 15}` with a usage of `{"input": 1000, "output": 200}` costs $0.006.
    Without a price the call has no cost, as with a model whose price the real SDK does not know. Raises
    `ValueError` and `TypeError` for what makes no sense.
    """
    for what, given in (("variables", variables), ("usage", usage), ("price", price)):
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"llm({name!r}): {what} is an object, not {given!r}")
    tokens = _usage(name, usage or {})
    inside: dict[str, Any] = {"prompt": prompt}
    if not name.startswith("Agent."):
        # An agent's call notes nothing else.
        loaded = {"name": prompt, "config": {"provider": provider, "model": model}}
        inside |= {"variables": dict(variables or {}), "loadedPrompt": loaded}
    output: dict[str, Any] = {"result": result}
    if usage is not None:
        total = tokens.get("input", 0) + tokens.get("output", 0)
        named = {long: tokens[short] for long, short in _TOKENS.items() if short in tokens}
        output["usage"] = {**named, "totalTokens": total}
    attributes = {}
    if price is not None:
        attributes["llm:usage"] = _cost(name, model, tokens, price)
    return _node("llm", name, inside, output, attributes, fails, takes)


def http(
    method: str,
    url: str,
    status: int = 200,
    *,
    cost: float | None = None,
    fails: Failure | str | None = None,
    takes: Duration | None = None,
) -> Node:
    """A request with the project's own HTTP client.

    Takes its `method`, `url`, the `status` of the answer (from 400 on, the node has it as its error), what it
    `cost` in dollars, how the request `fails` instead of getting an answer, and how long it `takes`. Raises
    `ValueError` for what is no status.
    """
    if not (isinstance(method, str) and isinstance(url, str)):
        raise TypeError(f"http(…) takes a method and a URL, which are text, not {method!r} and {url!r}")
    if isinstance(status, bool) or not isinstance(status, int) or not 100 <= status < 600:
        raise ValueError(f"http({method!r}, {url!r}): {status!r} is no HTTP status")
    phrase = HTTPStatus(status).phrase if status in list(HTTPStatus) else ""
    attributes: dict[str, Any] = {"http:request:count": {"type": "http:request:count", "url": url}}
    if cost is not None:
        if not _is_amount(cost):
            raise TypeError(f"http({method!r}, {url!r}): cost is a number of dollars, not {cost!r}")
        attributes["http:request:cost"] = {"type": "http:request:cost", "url": url, "total": cost}
    given = {"method": method.upper(), "url": url}
    answer = {"status": status, "statusText": phrase}
    if status >= 400 and fails is None:
        fails = Failure.value(answer)
    return _node("http", "request", given, answer, attributes, fails, takes, request=True)


def event(
    kind: str,
    name: str,
    *,
    input: Any = UNDEFINED,
    output: Any = UNDEFINED,
    attributes: Mapping[str, Mapping[str, Any]] | None = None,
    fails: Failure | str | None = None,
    takes: Duration | None = None,
) -> Node:
    """Anything else that the code of a step notes in its trace: its `kind`, `name`, what went in and out,
    `attributes` by their types, how it `fails` instead, and how long it `takes`.
    """
    for key, value in (attributes or {}).items():
        if not isinstance(value, Mapping):
            raise TypeError(f"event({kind!r}, {name!r}): attribute {key!r} is an object, not {value!r}")
    return _node(kind, name, input, output, dict(attributes or {}), fails, takes)


def _node(
    kind: str,
    name: str,
    given: Any,
    output: Any,
    attributes: dict[str, Any],
    fails: Failure | str | None,
    takes: Duration | None,
    *,
    request: bool = False,
) -> Node:
    if fails is not None and not isinstance(fails, (Failure, str)):
        raise TypeError(f"trace node {name!r}: fails is a Failure or text, not {fails!r}")
    return Node(
        kind,
        name,
        named_json(given, "the input of trace node {!r}", name),
        named_json(output, "the output of trace node {!r}", name),
        Failure(fails) if isinstance(fails, str) else fails,
        named_json(attributes, "an attribute of trace node {!r}", name),
        None if takes is None else nanoseconds(takes),
        request,
    )


def _is_amount(value: object) -> bool:
    """Whether something is so many dollars."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _usage(name: str, usage: Mapping[str, int]) -> dict[str, int]:
    """Tokens by the short words for their kinds."""
    tokens: dict[str, int] = {}
    for key, amount in usage.items():
        short = _TOKENS.get(key, key)
        if key == "totalTokens":
            continue
        if short not in _LINES:
            raise ValueError(f"llm({name!r}): usage has {key!r}; it is {', '.join(_LINES)}")
        if isinstance(amount, bool) or not isinstance(amount, int) or amount < 0:
            raise ValueError(f"llm({name!r}): usage of {key} is a number of tokens, not {amount!r}")
        tokens[short] = amount
    if tokens.get("cached_input", 0) > tokens.get("input", 0):
        raise ValueError(f"llm({name!r}): cached_input is part of input, and cannot be more")
    return tokens


def _cost(name: str, model: str, tokens: Mapping[str, int], price: Mapping[str, float]) -> dict[str, Any]:
    """The attribute that costs are taken from: a line a kind of token that has a price."""
    unknown = [kind for kind in price if kind not in _LINES]
    if unknown:
        raise ValueError(f"llm({name!r}): price has {unknown[0]!r}; it is {', '.join(_LINES)}")
    for kind, dollars in price.items():
        if not _is_amount(dollars):
            raise ValueError(f"llm({name!r}): the price of {kind} is a number of dollars, not {dollars!r}")
    amounts = dict(tokens)
    # What comes from the cache is not paid for as input, and shows even where it has no price.
    cached = amounts.get("cached_input", 0)
    if cached:
        amounts["input"] = amounts.get("input", 0) - cached
    lines = []
    for kind, line in _LINES.items():
        if kind in amounts and (kind in price or kind == "cached_input"):
            ppm, amount = price.get(kind, 0), amounts[kind]
            total = float(Decimal(amount) / 1_000_000 * Decimal(str(ppm)))
            lines.append({"type": line, "ppm": ppm, "amount": amount, "total": total})
    return {
        "type": "llm:usage",
        "modelId": model,
        "usage": lines,
        "total": float(sum(Decimal(str(line["total"])) for line in lines)),
        "tokensUsed": sum(line["amount"] for line in lines),
    }
