"""Draws a trace for people: a tree with time bars, retries, errors, tokens and costs."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from typing import Any, NamedTuple

import click

from output_mock.traces.reading import failed, own_children

# The largest width of the bars, and the smallest width of the terminal.
_BAR, _NARROWEST = 30, 72
_COLOURS = {"workflow": "cyan", "step": "blue", "evaluator": "magenta", "llm": "yellow", "http": "green"}
_EIGHTHS, _HALVES = " ▏▎▍▌▋▊▉█", " ▐█"


class Sum(NamedTuple):
    """The totals of all calls in a trace."""

    calls: int
    tokens: int
    dollars: float
    # The number of calls with unknown cost.
    unpriced: int


class Line(NamedTuple):
    """A node or an error of the drawn tree."""

    text: str
    node: dict[str, Any] | None
    failed: bool
    # The text at the end of the line.
    facts: str


def drawn(
    tree: dict[str, Any], *, width: int | None = None, plain: bool = False, internal: bool = False
) -> Iterator[str]:
    """The lines of a tree, in ANSI colours.

    Takes the largest width (default: the terminal's), whether to use only ASCII (`plain`), and whether to
    show the SDK's own steps.
    """
    lines = list(_lines(tree, plain=plain, internal=internal))
    begin, end = tree["startedAt"], _latest(tree)
    width = max(_NARROWEST, width or shutil.get_terminal_size((100, 24)).columns)
    facts = max(len(line.facts) for line in lines)
    bar = max(10, min(_BAR, width // 4))
    room = max(20, width - bar - facts - 3)
    longest = min(room, max(len(line.text) for line in lines if line.node is not None))
    for line in lines:
        if line.node is None:
            yield click.style(_cut(line.text, width, plain), fg="red")
            continue
        text = _cut(line.text, longest, plain)
        colour = "red" if line.failed else _COLOURS.get(line.node["kind"])
        shown = click.style(text, fg=colour) + " " * (longest - len(text))
        drawn_bar = _bar(line.node, begin, end, bar, plain)
        yield f"{shown} {click.style(drawn_bar, fg=colour)} {line.facts}".rstrip()
    total = sums(tree)
    if total.calls:
        yield ""
        unpriced = f" ({total.unpriced:,} without a price)" if total.unpriced else ""
        yield (f"{_counted(total.calls, 'call')}, {total.tokens:,} tokens, {_money(total.dollars)}{unpriced}")


def sums(tree: dict[str, Any]) -> Sum:
    """Totals of a trace's model calls and paid requests. Counts each once, like the official client."""
    seen: set[str] = set()
    calls, tokens, dollars, unpriced = 0, 0, 0.0, 0
    queue = [tree]
    while queue:
        node = queue.pop()
        queue += node.get("children", [])
        if node["kind"] not in ("llm", "http") or node["id"] in seen:
            continue
        seen.add(node["id"])
        calls += 1
        tokens += _tokens(node)
        costs = _costs(node)
        dollars += sum(costs)
        unpriced += node["kind"] == "llm" and not costs and _tokens(node) > 0
    return Sum(calls, tokens, dollars, unpriced)


def _lines(tree: dict[str, Any], *, plain: bool, internal: bool) -> Iterator[Line]:
    # Nodes and their prefixes. A loop, so that deep trees need no deep recursion.
    queue: list[tuple[dict[str, Any], bool, int, str, str]] = [(tree, failed(tree, None), 1, "", "")]
    branch, last, down, gap = ("|- ", "`- ", "|  ", "   ") if plain else ("├─ ", "└─ ", "│  ", "   ")
    while queue:
        node, bad, times, before, below = queue.pop()
        yield Line(f"{before}{_title(node, times, plain)}", node, bad, _facts(node))
        children = _children(node, internal)
        problem = _problem(node, bad)
        # A node below already shows this error.
        if problem is not None and not any(failed(child, node) for child, _ in children):
            rail = down if children else gap
            yield Line(f"{below}{rail}{'!' if plain else '✗'} {problem}", None, bad, "")
        shown = []
        for number, (child, count) in enumerate(children, 1):
            end = number == len(children)
            bad = failed(child, node)
            shown.append(
                (child, bad, count, below + (last if end else branch), below + (gap if end else down))
            )
        queue += reversed(shown)


def _children(node: dict[str, Any], internal: bool) -> list[tuple[dict[str, Any], int]]:
    """The children of a node, each with its number of attempts: every attempt repeats the child."""
    found: dict[str, tuple[dict[str, Any], int]] = {}
    for child in own_children(node):
        if child["kind"] == "internal_step" and not internal:
            continue
        key = f"{child['kind']} {child['id']} {child['name']}"
        found[key] = (child, found[key][1] + 1 if key in found else 1)
    return list(found.values())


def _title(node: dict[str, Any], times: int, plain: bool) -> str:
    kind, name = node["kind"], node["name"]
    given = node.get("input")
    if kind in ("step", "evaluator", "internal_step"):
        name = name.rpartition("#")[2]
    elif kind == "http" and isinstance(given, dict) and "url" in given:
        name = f"{given.get('method', '')} {given['url']}".strip()
    elif kind == "llm":
        model = _model(node)
        name = f"{name} {model}" if model else name
    again = f" {'x' if plain else '×'}{times}" if times > 1 else ""
    return f"{kind} {name}{again}"


def _facts(node: dict[str, Any]) -> str:
    told = [_length(node["endedAt"] - node["startedAt"]) if node.get("endedAt") else "…no end"]
    tokens = _tokens(node)
    if tokens:
        told.append(f"{tokens:,} tokens")
    told += map(_money, _costs(node))
    answer = node.get("output", node.get("error"))
    if node["kind"] == "http" and isinstance(answer, dict) and "status" in answer:
        told.append(_cut(str(answer["status"]), 20, False))
    return "  ".join(told)


def _problem(node: dict[str, Any], bad: bool) -> str | None:
    """How a node failed or, if it succeeded in the end, how it failed before."""
    if "error" not in node:
        return None
    error = node["error"]
    text = error if isinstance(error, str) else str(error)
    if isinstance(error, dict):
        inner = error
        while inner.get("name") in ("ActivityFailure", "ApplicationFailure", "ChildWorkflowFailure"):
            below = inner.get("cause")
            if not isinstance(below, dict):
                break
            inner = below if below.get("name") != "TemporalFailure" else {**below, "name": inner.get("type")}
        name, message = inner.get("name"), inner.get("message")
        if message is not None:
            text = f"{name}: {message}" if name else str(message)
        elif "status" in error:
            text = f"{error['status']} {error.get('statusText', '')}".strip()
    text = " ".join(text.split())
    return text if bad else f"before that: {text}"


def _bar(node: dict[str, Any], begin: float, end: float, width: int, plain: bool) -> str:
    """A bar for the time of a node within the whole trace. It is never empty."""
    whole = max(end - begin, 1)
    first = min(max((node["startedAt"] - begin) / whole, 0), 1) * width
    last = min(max(((node.get("endedAt") or end) - begin) / whole, 0), 1) * width
    if plain:
        start = min(int(first), width - 1)
        return (" " * start + "#" * max(1, round(last) - start)).ljust(width)
    cells = []
    for cell in range(width):
        covered = max(0.0, min(last, cell + 1) - max(first, cell))
        # The only block character that fills the right part of a cell is the half.
        right = first > cell and last >= cell + 1
        cells.append(_HALVES[round(covered * 2)] if right else _EIGHTHS[round(covered * 8)])
    if not any(cell != " " for cell in cells):
        cells[min(int(first), width - 1)] = "▏"
    return "".join(cells)


def _latest(tree: dict[str, Any]) -> float:
    latest, queue = tree["startedAt"], [tree]
    while queue:
        node = queue.pop()
        latest = max(latest, node["startedAt"], node.get("endedAt") or 0)
        queue += node.get("children", [])
    return float(latest)


def _attribute(node: dict[str, Any], key: str) -> dict[str, Any]:
    attributes = node.get("attributes")
    found = attributes.get(key) if isinstance(attributes, dict) else None
    return found if isinstance(found, dict) else {}


def _amount(values: dict[str, Any], key: str) -> float:
    """A number, or 0 if the value is not a number."""
    return _number(values.get(key))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return 0
    return value


def _costs(node: dict[str, Any]) -> list[float]:
    """The known costs of a model call or a request.

    From 0.13 on, a model call has its cost in a separate attribute, and often in the old one too.
    """
    found = []
    for keys in (("llm:generation:cost", "llm:usage"), ("http:request:cost",)):
        totals = [_attribute(node, key).get("total") for key in keys]
        known = next((total for total in totals if total is not None), None)
        if known is not None:
            found.append(_number(known))
    return found


def _tokens(node: dict[str, Any]) -> int:
    output = node.get("output")
    usage = output.get("usage") if isinstance(output, dict) else None
    used = _attribute(node, "llm:generation:usage")
    return int(
        (_amount(usage, "totalTokens") if isinstance(usage, dict) else 0)
        or _amount(used, "total")
        or _amount(_attribute(node, "llm:usage"), "tokensUsed")
    )


def _model(node: dict[str, Any]) -> str:
    for key in ("llm:generation:usage", "llm:usage"):
        model = _attribute(node, key).get("modelId")
        if model is not None:
            return str(model)
    given = node.get("input")
    if isinstance(given, dict):
        # A prompt is an object since 0.13. Before, it was a name.
        for prompt in (given.get("prompt"), given.get("loadedPrompt")):
            config = prompt.get("config") if isinstance(prompt, dict) else None
            if isinstance(config, dict) and config.get("model"):
                return str(config["model"])
    return ""


def _length(milliseconds: float) -> str:
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} m" if hours else f"{minutes} m {rest:02} s"


def _money(dollars: float) -> str:
    return f"${dollars:.4f}" if dollars < 1 else f"${dollars:,.2f}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number:,} {what}s"


def _cut(text: str, width: int, plain: bool) -> str:
    text = "".join(one if one.isprintable() else " " for one in text)
    if plain:
        text = text.encode("ascii", "replace").decode()
    return text if len(text) <= width else text[: width - 1] + ("~" if plain else "…")
