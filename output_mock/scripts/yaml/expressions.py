"""Expressions: the text between `{{` and `}}`.

They have the grammar of Jinja2's expressions and run in its sandbox, without everything that is not about
JSON: nothing can be called, a dot only looks up the entry of an object, and there are few filters and tests,
all our own. The size of what an expression builds is limited, and so is its time: there are no loops and no
powers, and the size of each part is checked.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, cast

from jinja2 import StrictUndefined, TemplateRuntimeError, TemplateSyntaxError, Undefined, nodes
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from output_mock.scripts.yaml import functions
from output_mock.scripts.yaml.functions import FILTERS, TESTS, FunctionError
from output_mock.suggestions import nearest

LONGEST_EXPRESSION = 2000
DEEPEST_EXPRESSION = 100
# The largest size of one value: the characters of its texts plus the number of its parts.
LARGEST_VALUE = 5_000_000


# All names that expressions can use; where an expression stands decides which of them are known.
NAMES = ("input", "state", "steps", "signals", "run", "payload", "before", "item", "index", "error")


class InvalidExpression(ValueError):
    """An expression that cannot be read, or that fails; the message says why."""


class Reference(NamedTuple):
    """A name that an expression uses, with the entry if that is known: `steps.draft`."""

    root: str
    entry: str | None


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja2's sandbox, emptied."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"+", "-"})

    def __init__(self) -> None:
        super().__init__(undefined=StrictUndefined, optimized=False, cache_size=0)
        self.globals.clear()
        self.filters = {name: _guarded(name, filter) for name, filter in FILTERS.items()}
        self.filters |= {name: _guarded(name, part) for name, part in _PARTS.items()}
        self.tests = {name: _guarded(name, test) for name, test in TESTS.items()}

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        return functions.calculated(operator, _there(left), _there(right))

    def call_unop(self, context: Any, operator: str, arg: Any) -> Any:
        return functions.signed(operator, _there(arg))

    # The expression is rewritten before it is compiled, so none of this is ever used.

    def getattr(self, obj: Any, attribute: str) -> NoReturn:
        raise FunctionError("there are no attributes")

    def getitem(self, obj: Any, argument: Any) -> NoReturn:
        raise FunctionError("there are no attributes")

    def call(self, context: Any, obj: Any, *args: Any, **kwargs: Any) -> NoReturn:
        raise FunctionError("nothing can be called")

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        return False


def _there(value: Any) -> Any:
    """The value. Raises an error with the reason if it is missing."""
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    return value


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter or test that refuses missing values, except those that test for them."""
    if name in functions.TAKE_WHAT_IS_MISSING:
        return function

    def guarded(*values: Any) -> Any:
        for value in values:
            _there(value)
        return function(*values)

    return guarded


# The filters that expressions are rewritten to. No expression can name them, as their names contain spaces.


def _entry(value: Any, key: Any, spelled: str) -> Any:
    if isinstance(value, Undefined):
        return value
    _there(key)
    if type(value) is dict and type(key) is str:
        if key in value:
            return value[key]
        return _missing(_no_entry(value, key, spelled))
    if type(value) in (list, str) and type(key) is int:
        if -len(value) <= key < len(value):
            return value[key]
        what = "items" if type(value) is list else "characters"
        return _missing(f"{spelled} has {len(value)} {what}, so there is no number {key}")
    if type(value) is dict:
        raise FunctionError(f"the names in {spelled} are text, not {functions.kind(key)}")
    if type(value) is list:
        return _missing(f"{spelled} is a list, and its items have numbers, not names such as {key!r}")
    return _missing(f"{spelled} is {functions.kind(value)}, and has no {key!r}")


def _missing(words: str) -> StrictUndefined:
    return StrictUndefined(hint=words, exc=_Missing)


class _Missing(TemplateRuntimeError):
    """Something was used that is missing."""


def _no_entry(value: dict[str, Any], key: str, spelled: str) -> str:
    if spelled == "steps":
        return f"nothing named {key!r} has been done yet"
    if spelled == "signals":
        return f"no signal {key!r} has come yet"
    there = ", ".join(list(value)[:5]) + (", …" if len(value) > 5 else "")
    hint = nearest(key, list(value)) or (f"; it has {there}" if there else "; it is empty")
    return f"{spelled} has no {key!r}{hint}"


def _slice(value: Any, start: Any, stop: Any, step: Any) -> Any:
    if type(value) not in (list, str):
        raise FunctionError(f"{functions.kind(value)} has no parts; a list and a text have")
    for bound in (start, stop, step):
        if bound is not None and type(bound) is not int:
            raise FunctionError(f"parts go from and to whole numbers, not {functions.kind(bound)}")
    if step == 0:
        raise FunctionError("parts cannot go in steps of 0")
    return value[start:stop:step]


def _joined(*parts: Any) -> str:
    return str(functions.bounded("".join(functions.as_text(part) for part in parts)))


_PARTS: dict[str, Callable[..., Any]] = {" entry": _entry, " slice": _slice, " joined": _joined}


class Expression:
    """A compiled expression.

    Takes its text, without the braces. Raises `InvalidExpression` for an invalid one.
    """

    def __init__(self, text: str) -> None:
        self.text: str = text.strip()
        self.references: set[Reference] = set()
        if not self.text:
            raise InvalidExpression("there is no expression between the braces")
        if len(self.text) > LONGEST_EXPRESSION:
            raise InvalidExpression(f"it is longer than {LONGEST_EXPRESSION} characters")
        try:
            parser = Parser(_SANDBOX, self.text, state="variable")
            parsed = parser.parse_expression()
            if not parser.stream.eos:
                raise InvalidExpression(f"it should have ended before {parser.stream.current.value!r}")
            rewritten = _Rewriting(self.references).expression(parsed, 0)
            target = nodes.Name("result", "store")
            template = nodes.Template([nodes.Assign(target, rewritten)]).set_lineno(1)
            template.set_environment(_SANDBOX)
            self._template = _SANDBOX.from_string(cast(nodes.Template, template))
        except TemplateSyntaxError as error:
            raise InvalidExpression(_in_words(error.message or "its syntax is wrong")) from None
        except (RecursionError, MemoryError, ValueError, SyntaxError) as error:
            if isinstance(error, InvalidExpression):
                raise
            raise InvalidExpression("it is too deeply nested, or a number in it is too long") from None

    def value(self, names: Mapping[str, Any]) -> Any:
        """Evaluate the expression, with these values of its names, to a new JSON value.

        Raises `InvalidExpression` if it fails.
        """
        context = self._template.new_context({name: names.get(name) for name in NAMES})
        try:
            for _ in self._template.root_render_func(context):
                pass
            return settled(context.vars["result"])
        except (_Missing, FunctionError) as error:
            raise InvalidExpression(str(error)) from None
        except (TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise InvalidExpression(_python_in_words(error)) from None


_SANDBOX = _Sandbox()


@lru_cache(maxsize=1024)
def expression(text: str) -> Expression:
    """The compiled expression for a text. Each text is compiled once."""
    return Expression(text)


def settled(value: Any) -> Any:
    """A copy of the result of an expression. Raises `FunctionError` if it is missing or too large."""
    budget = LARGEST_VALUE

    def copied(one: Any, depth: int) -> Any:
        nonlocal budget
        budget -= len(one) if type(one) is str else 1
        if budget < 0 or depth > 200:
            raise FunctionError("its value is too large")
        kind = type(one)
        if kind is dict:
            fields = {}
            for key, item in one.items():
                if type(key) is not str:
                    raise FunctionError(f"the names in an object are text, not {functions.kind(key)}")
                budget -= len(key)
                fields[key] = copied(item, depth + 1)
            return fields
        if kind is list:
            return [copied(item, depth + 1) for item in one]
        if isinstance(one, Undefined):
            _there(one)
        if one is not None and kind not in (str, int, float, bool):
            raise FunctionError("its value is not JSON")
        return one

    return copied(value, 0)


_UNDEFINED = "undefined"
_TESTS = {"eq": _UNDEFINED, "ne": "defined"}


def _tested_for_undefined(node: Any) -> Any:
    """The test that a comparison with `undefined` stands for; None for any other comparison."""
    if len(node.ops) != 1 or node.ops[0].op not in _TESTS:
        return None
    sides = [node.expr, node.ops[0].expr]
    others = [one for one in sides if not (isinstance(one, nodes.Name) and one.name == _UNDEFINED)]
    if len(others) != 1:
        return None
    return nodes.Test(others[0], _TESTS[node.ops[0].op], [], [], None, None)


class _Rewriting:
    """Rewrites the allowed parts of an expression into a form that never uses Python's own operations."""

    def __init__(self, references: set[Reference]) -> None:
        self._references = references

    def expression(self, node: Any, depth: int) -> Any:
        """The rewritten form. Raises `InvalidExpression` for parts that are not allowed."""
        if depth > DEEPEST_EXPRESSION:
            raise InvalidExpression("it is too deeply nested")
        handler = getattr(self, f"_{type(node).__name__.lower()}", None)
        if handler is None:
            raise InvalidExpression(f"{type(node).__name__} is not supported in expressions")
        return handler(node, depth + 1)

    def _const(self, node: Any, depth: int) -> Any:
        value = node.value
        if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 1024:
            raise InvalidExpression("a number in it is too long")
        if isinstance(value, complex) or value in (float("inf"), float("-inf")):
            raise InvalidExpression("a number in it is too large")
        return node

    def _name(self, node: Any, depth: int) -> Any:
        if node.name in ("null", "None"):
            return nodes.Const(None)
        if node.name == _UNDEFINED:
            raise InvalidExpression(
                "undefined can only be compared, as in `input.x == undefined`; otherwise write `is undefined`"
            )
        if node.name not in NAMES:
            hint = nearest(node.name, NAMES) or "; text needs quotes in an expression"
            raise InvalidExpression(f"there is nothing named {node.name!r}{hint}")
        self._references.add(Reference(node.name, None))
        return nodes.Name(node.name, "load")

    def _list(self, node: Any, depth: int) -> Any:
        return nodes.List([self.expression(item, depth) for item in node.items])

    _tuple = _list

    def _dict(self, node: Any, depth: int) -> Any:
        return nodes.Dict(
            [
                nodes.Pair(self.expression(pair.key, depth), self.expression(pair.value, depth))
                for pair in node.items
            ]
        )

    def _getattr(self, node: Any, depth: int) -> Any:
        return self._looked_up(node, nodes.Const(node.attr), depth)

    def _getitem(self, node: Any, depth: int) -> Any:
        if isinstance(node.arg, nodes.Slice):
            bounds = [
                nodes.Const(None) if bound is None else self.expression(bound, depth)
                for bound in (node.arg.start, node.arg.stop, node.arg.step)
            ]
            return _part(self.expression(node.node, depth), " slice", *bounds)
        return self._looked_up(node, self.expression(node.arg, depth), depth)

    def _looked_up(self, node: Any, key: Any, depth: int) -> Any:
        if isinstance(node.node, nodes.Name) and isinstance(key, nodes.Const) and isinstance(key.value, str):
            self._references.add(Reference(node.node.name, key.value))
        inner = self.expression(node.node, depth)
        return _part(inner, " entry", key, nodes.Const(_spelled(node.node)))

    def _filter(self, node: Any, depth: int) -> Any:
        return self._applied(nodes.Filter, node, FILTERS, "filter", depth)

    def _test(self, node: Any, depth: int) -> Any:
        return self._applied(nodes.Test, node, TESTS, "test", depth)

    def _applied(self, kind: Any, node: Any, known: Mapping[str, Any], what: str, depth: int) -> Any:
        if node.name not in known:
            there = nearest(node.name, list(known)) or f"; there are {', '.join(known)}"
            raise InvalidExpression(f"there is no {what} {node.name!r}{there}")
        if node.kwargs or node.dyn_args is not None or node.dyn_kwargs is not None:
            raise InvalidExpression(f"{node.name} takes its values in order, without names and *")
        parameters = list(inspect.signature(known[node.name]).parameters.values())[1:]
        least = sum(parameter.default is parameter.empty for parameter in parameters)
        given = len(node.args or ())
        if not least <= given <= len(parameters):
            wanted = str(least) if least == len(parameters) else f"{least} to {len(parameters)}"
            raise InvalidExpression(f"{what} {node.name} takes {wanted} values in parentheses, not {given}")
        args = [self.expression(arg, depth) for arg in node.args or ()]
        return kind(self.expression(node.node, depth), node.name, args, [], None, None)

    def _compare(self, node: Any, depth: int) -> Any:
        tested = _tested_for_undefined(node)
        if tested is not None:
            return self.expression(tested, depth)
        ops = [nodes.Operand(operand.op, self.expression(operand.expr, depth)) for operand in node.ops]
        return nodes.Compare(self.expression(node.expr, depth), ops)

    def _binary(self, node: Any, depth: int) -> Any:
        return type(node)(self.expression(node.left, depth), self.expression(node.right, depth))

    _and = _or = _add = _sub = _mul = _div = _floordiv = _mod = _binary

    def _pow(self, node: Any, depth: int) -> Any:
        raise InvalidExpression("there is no operator for powers; multiply")

    def _unary(self, node: Any, depth: int) -> Any:
        return type(node)(self.expression(node.node, depth))

    _not = _neg = _pos = _unary

    def _concat(self, node: Any, depth: int) -> Any:
        first, *rest = [self.expression(part, depth) for part in node.nodes]
        return _part(first, " joined", *rest)

    def _condexpr(self, node: Any, depth: int) -> Any:
        otherwise = nodes.Const(None) if node.expr2 is None else self.expression(node.expr2, depth)
        return nodes.CondExpr(
            self.expression(node.test, depth), self.expression(node.expr1, depth), otherwise
        )

    def _call(self, node: Any, depth: int) -> Any:
        called = node.node
        name = getattr(called, "attr", None) or getattr(called, "name", None)
        hint = f"; there is a filter of that name: {_spelled_or(called, 'value')} | {name}"
        raise InvalidExpression(f"nothing can be called{hint if name in FILTERS else ''}")


def _part(value: Any, name: str, *args: Any) -> Any:
    return nodes.Filter(value, name, list(args), [], None, None)


def _spelled(node: Any) -> str:
    """The value whose entry is looked up, as the author wrote it."""
    if isinstance(node, nodes.Name):
        return str(node.name)
    if isinstance(node, nodes.Getattr):
        return f"{_spelled(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{_spelled(node.node)}[{json.dumps(node.arg.value)}]"
    return "it"


def _spelled_or(node: Any, otherwise: str) -> str:
    return _spelled(node.node) if isinstance(node, nodes.Getattr) else otherwise


def _in_words(problem: str) -> str:
    problem = problem.rstrip(".")
    if problem.startswith("unexpected char"):
        return problem
    return problem.replace("end of template", "the end").replace("end of print statement", "the end")


def _python_in_words(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "it is too deeply nested"
    found = re.fullmatch(r"'(\S+)' not supported between instances of '(\w+)' and '(\w+)'", str(error))
    if found:
        sign, left, right = found.groups()
        return f"{functions.type_name(left)} and {functions.type_name(right)} cannot be compared with {sign}"
    if "is not iterable" in str(error) or "requires string as left operand" in str(error):
        return "`in` looks for an item in a list, a name in an object, or a text in a text"
    return str(error)


def parts(text: str) -> Iterator[tuple[str, bool, int]]:
    """Split a text into parts: the text of each, whether it is an expression, and where it begins.

    Raises `InvalidExpression` for braces that are not closed.
    """
    position = 0
    while (begin := text.find("{{", position)) >= 0:
        if begin > position:
            yield text[position:begin], False, position
        end = _end_of(text, begin + 2)
        yield text[begin + 2 : end], True, begin
        position = end + 2
    if position < len(text):
        yield text[position:], False, position


_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[(\[{]|[)\]}]|['"]""", re.DOTALL)


def _end_of(text: str, begin: int) -> int:
    depth = 0
    position = begin
    while True:
        found = _TOKEN.search(text, position)
        if found is None:
            raise InvalidExpression("{{ has no }}")
        token = found[0]
        if token in ("'", '"'):
            raise InvalidExpression(f"the quote {token} has no end")
        if token in "([{":
            depth += 1
        elif token in ")]}":
            if not depth and text.startswith("}}", found.start()):
                return found.start()
            depth -= 1
        position = found.end()
