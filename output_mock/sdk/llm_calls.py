"""Calls of language models inside a step, for its trace: `trace=[llm(model="m", usage=…, price=…)]`.

The real LLM package writes a call's prompt, result, usage and price into its trace. Up to version 0.12 it has
one attribute, `llm:usage`, and only where it knows the model's price. From 0.13 on it has separate
attributes for what was used (`llm:generation:usage`) and what that costs (`llm:generation:cost`), and also
the old one if there is a price. The forms are those of the packages 0.11.0 and 0.13.0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, Literal, NamedTuple, get_args

from output_mock.durations import Duration
from output_mock.sdk.failures import Failure
from output_mock.sdk.trace_nodes import TraceNode, is_amount, node_of

LLMVersion = Literal["0.11", "0.13"]
# The keys of `usage`, the short word for each, and the key of the price for such tokens.
_TOKENS = {
    "inputTokens": "input",
    "cachedInputTokens": "cached_input",
    "outputTokens": "output",
    "reasoningTokens": "reasoning",
}
# The names of the kinds of tokens in the attribute from which costs are taken.
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
    version: LLMVersion | None = None,
) -> TraceNode:
    """A call of a language model.

    Takes the function's `name` (`generateText`, `streamText`, `Agent.generate`, …), the `model` and its
    `provider`, the `prompt` file's name and its `variables`, the `result`, the tokens of its `usage`
    (`input`, `cached_input`, `output`, `reasoning`, or the SDK's own names such as `inputTokens`; cached ones
    are part of the input), the `price` of a million tokens of each of those kinds in dollars, how it `fails`
    instead, and how long it `takes`, up to its step's end; by default, calls share their step's time.
    `version` is the version of the LLM package whose format the node has: `"0.13"` for 0.13 and later. By
    default, the node is as in 0.11, unless the fake stands in for workers of `next`.

    A price of `{"input": 3, "output": 15}` with a usage of `{"input": 1000, "output": 200}` costs $0.006.
    Without a price the call has no cost, as with a model whose price the real SDK does not know. Raises
    `ValueError` and `TypeError` for wrong values.
    """
    for what, given in (("variables", variables), ("usage", usage), ("price", price)):
        if given is not None and not isinstance(given, Mapping):
            raise TypeError(f"llm({name!r}): {what} must be an object, not {given!r}")
    if version is not None and version not in get_args(LLMVersion):
        raise ValueError(
            f"llm({name!r}): version must be one of {', '.join(get_args(LLMVersion))}, not {version!r}"
        )
    tokens = _usage(name, usage or {})
    _check_price(name, price or {})
    call = _Call(
        name, model, provider, prompt, dict(variables or {}), result, tokens, usage is not None, price
    )
    older = call.input_before_0_13(), call.output_before_0_13(), call.attributes_before_0_13()
    newer = call.input(), call.output(), call.attributes()
    if version is not None:
        return node_of("llm", name, *(older if version == "0.11" else newer), fails, takes)
    in_next = node_of("llm", name, *newer, fails, takes)
    return node_of("llm", name, *older, fails, takes)._replace(in_next=in_next)


class _Call(NamedTuple):
    """A call, and how traces show it."""

    name: str
    model: str
    provider: str
    prompt: str
    variables: dict[str, Any]
    result: Any
    tokens: dict[str, int]
    metered: bool
    price: Mapping[str, float] | None

    # Up to 0.12

    def input_before_0_13(self) -> dict[str, Any]:
        if self.name.startswith("Agent."):
            # An agent's call has no other attributes.
            return {"prompt": self.prompt}
        loaded = {"name": self.prompt, "config": {"provider": self.provider, "model": self.model}}
        return {"prompt": self.prompt, "variables": self.variables, "loadedPrompt": loaded}

    def output_before_0_13(self) -> dict[str, Any]:
        output: dict[str, Any] = {"result": self.result}
        if self.metered:
            named = {long: self.tokens[short] for long, short in _TOKENS.items() if short in self.tokens}
            output["usage"] = {**named, "totalTokens": self._total()}
        return output

    def attributes_before_0_13(self) -> dict[str, Any]:
        if self.price is None:
            return {}
        amounts = dict(self.tokens)
        # Cached tokens are not paid as input, and are shown even without a price.
        cached = amounts.get("cached_input", 0)
        if cached:
            amounts["input"] = amounts.get("input", 0) - cached
        lines = [
            (_LINES[kind], self.price.get(kind, 0), amounts[kind])
            for kind in _LINES
            if kind in amounts and (kind in self.price or kind == "cached_input")
        ]
        return {"llm:usage": self._priced(lines)}

    def _priced(self, lines: list[tuple[str, float, int]]) -> dict[str, Any]:
        """The attribute `llm:usage`: for each kind of token the price, the amount and the cost."""
        usage = [
            {"type": kind, "ppm": ppm, "amount": amount, "total": _dollars(amount, ppm)}
            for kind, ppm, amount in lines
        ]
        return {
            "type": "llm:usage",
            "modelId": self.model,
            "usage": usage,
            "total": _sum(line["total"] for line in usage),
            "tokensUsed": sum(amount for _, _, amount in lines),
        }

    # From 0.13 on

    def input(self) -> dict[str, Any]:
        config = {"provider": self.provider, "model": self.model}
        return {"prompt": {"name": self.prompt, "config": config, "variables": self.variables}}

    def output(self) -> dict[str, Any]:
        output: dict[str, Any] = {"result": self.result}
        if self.metered:
            output["usage"] = self._raw_usage()
        return {**output, "providerMetadata": {}, "sources": []}

    def _raw_usage(self) -> dict[str, Any]:
        usage: dict[str, Any] = {}
        tokens = self.tokens
        if "input" in tokens:
            usage["inputTokens"] = tokens["input"]
        if "cached_input" in tokens:
            cached = tokens["cached_input"]
            usage["inputTokenDetails"] = {
                "noCacheTokens": tokens.get("input", 0) - cached,
                "cacheReadTokens": cached,
            }
        if "output" in tokens:
            usage["outputTokens"] = tokens["output"]
        if "reasoning" in tokens:
            reasoning = tokens["reasoning"]
            usage["outputTokenDetails"] = {
                "textTokens": max(0, tokens.get("output", 0) - reasoning),
                "reasoningTokens": reasoning,
            }
        return {**usage, "totalTokens": self._total()}

    def attributes(self) -> dict[str, Any]:
        items = list(self._items())
        if not items:
            return {}
        priced = [self._item_cost(group, label, amount) for group, label, amount in items]
        attributes = {"llm:generation:cost": self._cost(priced)}
        if any(item["status"] != "missing" for item in priced):
            # The old attribute stays for programs that read no other.
            attributes["llm:usage"] = self._priced(list(_old_lines(priced)))
        return {**attributes, "llm:generation:usage": self._used(items)}

    def _items(self) -> Iterator[tuple[str, str | None, int]]:
        """What was used: group, label and amount. The parts are listed only if they make up the whole."""
        tokens = self.tokens
        for group, part, whole, rest in (
            ("input", "cached_input", "no_cache", "cache_read"),
            ("output", "reasoning", "text", "reasoning"),
        ):
            if group not in tokens:
                continue
            if tokens[group] and part in tokens and tokens[part] <= tokens[group]:
                yield group, whole, tokens[group] - tokens[part]
                yield group, rest, tokens[part]
            else:
                yield group, None, tokens[group]

    def _item_cost(self, group: str, label: str | None, amount: int) -> dict[str, Any]:
        price = self.price or {}
        own = {"cache_read": "cached_input", "reasoning": "reasoning"}.get(label or "", group)
        ppm = price.get(own, price.get(group))
        status = "missing" if ppm is None else "ok" if own in price else "fallback"
        total = None if ppm is None else _dollars(amount, ppm)
        return {
            "group": group,
            "label": label,
            "amount": amount,
            "ppm": ppm,
            "total": total,
            "status": status,
        }

    def _used(self, items: list[tuple[str, str | None, int]]) -> dict[str, Any]:
        sums: dict[str, int | None] = {
            group: sum(amount for other, _, amount in items if other == group)
            if any(other == group for other, _, _ in items)
            else None
            for group in ("input", "output")
        }
        return {
            "type": "llm:generation:usage",
            "providerId": self.provider,
            "modelId": self.model,
            "status": "incomplete" if None in sums.values() else "complete",
            "input": sums["input"],
            "output": sums["output"],
            "total": sum(amount for _, _, amount in items),
            "items": [{"group": group, "label": label, "amount": amount} for group, label, amount in items],
        }

    def _cost(self, priced: list[dict[str, Any]]) -> dict[str, Any]:
        groups = {
            group: [item["total"] for item in priced if item["group"] == group and item["total"] is not None]
            for group in ("input", "output")
        }
        sums = {group: _sum(totals) if totals else None for group, totals in groups.items()}
        known = [total for totals in groups.values() for total in totals]
        used = [item["status"] for item in priced if item["amount"]]
        whole = {item["group"] for item in priced} == {"input", "output"}
        status = "precise"
        if "missing" in used or not whole:
            status = "incomplete"
        elif "fallback" in used:
            status = "imprecise"
        return {
            "type": "llm:generation:cost",
            "providerId": self.provider,
            "modelId": self.model,
            **sums,
            "tools": None,
            "total": _sum(known) if known else None,
            "status": status,
            "pricingFreshness": "live",
            "items": priced,
        }

    def _total(self) -> int:
        return self.tokens.get("input", 0) + self.tokens.get("output", 0)


def _old_lines(priced: list[dict[str, Any]]) -> Iterator[tuple[str, float, int]]:
    """The lines of `llm:usage` that package 0.13 makes for everything with a price."""
    kinds = {"cache_read": "input_cached", "reasoning": "reasoning"}
    for item in priced:
        kind, ppm = kinds.get(item["label"] or "", item["group"]), item["ppm"]
        if kind == "input_cached" and item["status"] != "ok":
            # It is always shown, and costs nothing without its own price.
            ppm = 0
        if ppm is not None:
            yield kind, ppm, item["amount"]


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
            raise ValueError(f"llm({name!r}): usage of {key} must be a number of tokens, not {amount!r}")
        tokens[short] = amount
    if tokens.get("cached_input", 0) > tokens.get("input", 0):
        raise ValueError(f"llm({name!r}): cached_input is part of input, so it cannot be more")
    return tokens


def _check_price(name: str, price: Mapping[str, float]) -> None:
    for kind, dollars in price.items():
        if kind not in _LINES:
            raise ValueError(f"llm({name!r}): price has {kind!r}; it is {', '.join(_LINES)}")
        if not is_amount(dollars):
            raise ValueError(
                f"llm({name!r}): the price of {kind} must be a number of dollars, not {dollars!r}"
            )


def _dollars(amount: int, ppm: float) -> float:
    return float(Decimal(amount) / 1_000_000 * Decimal(str(ppm)))


def _sum(dollars: Any) -> float:
    return float(sum(Decimal(str(one)) for one in dollars))
