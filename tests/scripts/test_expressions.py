"""Expressions of YAML scripts: their values, their errors, and what they cannot reach."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_mock.scripts.yaml import expressions
from output_mock.scripts.yaml.expressions import NAMES, Expression, InvalidExpression, parts
from output_mock.scripts.yaml.functions import FILTERS, TESTS
from tests.conftest import no_hang

WORLD: dict[str, Any] = {
    "input": {
        "topic": "bees",
        "n": 3,
        "list": [1, 2, 3],
        "deep": {"a": [{"b": 1}]},
        "none": None,
        "yes": True,
    },
    "state": {"stage": "review", "notes": ["x"]},
    "steps": {"research": ["a", "b"], "my step": 1},
    "signals": {"approve": None},
    "run": {"workflow_id": "w"},
    "payload": None,
}


def value(text: str) -> Any:
    return Expression(text).value(WORLD)


def fault(text: str) -> str:
    with pytest.raises(InvalidExpression) as caught:
        value(text)
    return str(caught.value)


# --- what they come to -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("input", WORLD["input"]),
        ("input.topic", "bees"),
        ("input['topic']", "bees"),
        ("input.list[0]", 1),
        ("input.list[-1]", 3),
        ("input.list[1:]", [2, 3]),
        ("input.list[:2]", [1, 2]),
        ("input.list[::2]", [1, 3]),
        ("input.topic[1:3]", "ee"),
        ("input.topic[0]", "b"),
        ("input.deep.a[0].b", 1),
        ("steps['my step']", 1),
        ("input[input.topic] | default('none')", "none"),
        ("input.n + 1", 4),
        ("input.n - 1", 2),
        ("input.n * 2.5", 7.5),
        ("input.n / 2", 1.5),
        ("input.n // 2", 1),
        ("input.n % 2", 1),
        ("-input.n", -3),
        ("+input.n", 3),
        ("'a' + 'b'", "ab"),
        ("input.list + [4]", [1, 2, 3, 4]),
        (
            "input.topic ~ ' ' ~ input.n ~ ' ' ~ input.yes ~ input.none ~ input.list",
            "bees 3 truenull[1, 2, 3]",
        ),
        ("'ü' ~ {'a': 'ö'}", 'ü{"a": "ö"}'),
        ("{'a': input.n, 'b': [input.topic, (1, 2)]}", {"a": 3, "b": ["bees", [1, 2]]}),
        ("[]", []),
        ("input.n > 2 and input.n < 4", True),
        ("1 < input.n < 3", False),
        ("input.n == 3 or input.missing", True),
        ("not input.yes", False),
        ("2 in input.list", True),
        ("'topic' in input", True),
        ("'ee' not in input.topic", False),
        ("input.n != 3", False),
        ("'long' if input.n > 2 else 'short'", "long"),
        ("'long' if input.n > 5", None),
        ("null", None),
        ("none", None),
        ("true", True),
        ("'{{ }} {% %}'", "{{ }} {% %}"),
        ("input.none is none", True),
        ("input.none is null", True),
        ("input.missing is defined", False),
        ("input.missing is undefined", True),
        ("payload.threshold is number", False),
        ("payload.threshold is not number", True),
        ("input.n is number", True),
        ("input.yes is number", False),
        ("input.yes is boolean", True),
        ("1.5 is integer", False),
        ("input.topic is string", True),
        ("input.list is sequence", True),
        ("input is mapping", True),
        ("input.n is odd", True),
        ("input.n is even", False),
        ("input.n is divisibleby 3", True),
        ("signals.approve.by | default('somebody')", "somebody"),
        ("input.none | default(1)", None),
        ("input.topic | length", 4),
        ("input | length", 6),
        ("input.topic | upper", "BEES"),
        ("'BEES' | lower", "bees"),
        ("'two bees' | title", "Two Bees"),
        ("'  x ' | trim", "x"),
        ("'a b a' | replace('a', 'c')", "c b c"),
        ("'a b  c' | split", ["a", "b", "c"]),
        ("'a,b' | split(',')", ["a", "b"]),
        ("input.list | join('-')", "1-2-3"),
        ("input.list | join", "123"),
        ("input.list | first", 1),
        ("input.list | last", 3),
        ("'xyz' | last", "z"),
        ("input.list | sum", 6),
        ("input.list | min", 1),
        ("input.list | max", 3),
        ("[2, 1, 3] | sort", [1, 2, 3]),
        ("['b', 'a'] | sort | reverse", ["b", "a"]),
        ("'abc' | reverse", "cba"),
        ("[1, 2, 1, {'a': 1}, {'a': 1}] | unique", [1, 2, {"a": 1}]),
        ("input.deep.a | map('b')", [1]),
        ("input.deep | keys", ["a"]),
        ("{'a': 1} | values", [1]),
        ("-1.5 | abs", 1.5),
        ("1.26 | round", 1),
        ("1.26 | round(1)", 1.3),
        ("'12' | int", 12),
        ("1.9 | int", 1),
        ("'1.5' | float", 1.5),
        ("input.n | string", "3"),
        ("{'a': [1, null]} | json", '{"a":[1,null]}'),
    ],
)
def test_an_expression_evaluates_to_json(text: str, expected: Any) -> None:
    got = value(text)
    assert (got, type(got)) == (expected, type(expected))


def test_every_filter_and_test_is_covered() -> None:
    tried = str(test_an_expression_evaluates_to_json.pytestmark)  # type: ignore[attr-defined]
    for name in FILTERS:
        assert f"| {name}" in tried, name
    for name in TESTS:
        assert f"is {name}" in tried or f"is not {name}" in tried, name


def test_the_result_of_an_expression_is_a_copy() -> None:
    value("input.list").append(4)
    value("input.deep").clear()
    assert value("input.list") == [1, 2, 3]
    assert value("input.deep.a[0].b") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", [("plain", False, 0)]),
        ("a {{ b }} c", [("a ", False, 0), (" b ", True, 2), (" c", False, 9)]),
        ("{{ {'a': {'b': 1}} }}", [(" {'a': {'b': 1}} ", True, 0)]),
        ("{{ '}}' }}{{ \"}}\" }}", [(" '}}' ", True, 0), (' "}}" ', True, 10)]),
        (r"{{ 'it\'s }}' }}", [(r" 'it\'s }}' ", True, 0)]),
        ("}} {", [("}} {", False, 0)]),
    ],
)
def test_a_text_is_split_at_its_braces(text: str, expected: Any) -> None:
    assert list(parts(text)) == expected


# --- what they say when they fail ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("input.tpoic", "input has no 'tpoic'; did you mean 'topic'?"),
        ("input.deep.x.y", "input.deep has no 'x'; it has a"),
        ("state.zzz", "state has no 'zzz'; it has stage, notes"),
        ("signals.approve.by", "signals.approve is null, and has no 'by'"),
        ("signals.other", "no signal 'other' has come yet"),
        ("steps.draft", "nothing named 'draft' has been done yet"),
        ("input.list[3]", "input.list has 3 items, so there is no number 3"),
        ("input.topic[9]", "input.topic has 4 characters, so there is no number 9"),
        ("input.list.first", "input.list is a list, and its items have numbers, not names such as 'first'"),
        ("input.n.x", "input.n is a number, and has no 'x'"),
        ("input[1]", "the names in input are text, not a number"),
        ("[input.missing]", "input has no 'missing'"),
        ("{'a': input.missing}", "input has no 'missing'"),
        ("input.missing + 1", "input has no 'missing'"),
        ("input.missing ~ 'x'", "input has no 'missing'"),
        ("input.missing == 1", "input has no 'missing'"),
        ("1 if input.missing else 2", "input has no 'missing'"),
        ("input.missing | upper", "input has no 'missing'"),
        ("input.missing is none", "input has no 'missing'"),
        ("[input.missing] | json", "input has no 'missing'"),
        (
            "'a' + 1",
            "text + a number cannot be calculated; write text ~ value to put things together as text",
        ),
        ("'a' * 3", "text * a number cannot be calculated"),
        ("[1] * 3", "a list * a number cannot be calculated"),
        ("true + 1", "true or false + a number cannot be calculated"),
        ("'%s' % 'x'", "text % text cannot be calculated"),
        ("-input.topic", "- text cannot be calculated"),
        ("1 / 0", "it divides by 0"),
        ("1 % 0", "it divides by 0"),
        ("input.n > 'a'", "a number and text cannot be compared with >"),
        ("1 in 5", "`in` looks for an item in a list, a name in an object, or a text in a text"),
        ("1 in 'x'", "`in` looks for an item in a list, a name in an object, or a text in a text"),
        ("{1: 2}", "the names in an object are text, not a number"),
        ("input.n[1:]", "a number has no parts; a list and a text have"),
        ("input.list['a':]", "parts go from and to whole numbers, not text"),
        ("input.list[::0]", "parts cannot go in steps of 0"),
        ("input.n | length", "length takes text, a list or an object, not a number"),
        ("input.n | upper", "upper takes text, not a number"),
        ("'a' | split('')", "split takes a text that is not empty to split at"),
        ("'a' | join", "join takes a list, not text"),
        ("[] | first", "first takes something that is not empty"),
        ("[] | max", "max takes something that is not empty"),
        ("[1, 'a'] | sort", "sort takes a list of numbers or a list of texts"),
        ("['a'] | sum", "sum takes a number, not text"),
        ("[1] | map('a')", "map of a name takes an object, not a number"),
        ("[{'b': 1}] | map('a')", "item 0 has no 'a'"),
        ("1 | round(99)", "round takes 0 to 15 digits"),
        ("'x' | int", "int: 'x' is not a number"),
        ("'nan' | float", "float: 'nan' is not a number"),
        ("[1] | keys", "keys takes an object, not a list"),
    ],
)
def test_errors_are_described_in_json_terms(text: str, words: str) -> None:
    assert words in fault(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "there is no expression between the braces"),
        ("1 +", "unexpected"),
        ("input input", "it should have ended before 'input'"),
        ("inptu.x", "there is nothing named 'inptu'; did you mean 'input'?"),
        ("hello", "there is nothing named 'hello'; text needs quotes in an expression"),
        ("input | uper", "there is no filter 'uper'; did you mean 'upper'?"),
        ("input | zzz", "there is no filter 'zzz'; there are default, length"),
        ("input is strng", "there is no test 'strng'; did you mean 'string'?"),
        ("input | default", "filter default takes 1 values in parentheses, not 0"),
        ("input | join(1, 2)", "filter join takes 0 to 1 values in parentheses, not 2"),
        ("input | join(separator='x')", "join takes its values in order, without names and *"),
        ("input | join(*input)", "join takes its values in order, without names and *"),
        ("input.topic.upper()", "nothing can be called; there is a filter of that name: input.topic | upper"),
        ("length(input)", "nothing can be called; there is a filter of that name: value | length"),
        ("range(3)", "nothing can be called"),
        ("2 ** 3", "there is no operator for powers; multiply"),
        ("'a", "unexpected char"),
    ],
)
def test_syntax_errors_are_reported_before_the_script_runs(text: str, words: str) -> None:
    with pytest.raises(InvalidExpression) as caught:
        Expression(text)
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["{{ x", "{{ 'x }}", "a {{", "{{ [ }}"])
def test_unclosed_braces_and_quotes_are_refused(text: str) -> None:
    with pytest.raises(InvalidExpression, match=r"has no"):
        list(parts(text))


# --- that they reach nothing -----------------------------------------------------------------------------

ESCAPES = [
    "''.__class__",
    "''.__class__.__mro__[1].__subclasses__()",
    "''['__class__']",
    "''['__cla' ~ 'ss__']",
    "input.__class__",
    "input.__init__.__globals__",
    "input['__class__']",
    "input.keys",
    "input.items()",
    "input.update",
    "input.list.append(1)",
    "input.list.append",
    "input.topic.format",
    "'{0.__class__}'.format(input)",
    "'{0.__class__}' | format(input)",
    "'%s' | format(input)",
    "'%1000000d' % 1",
    "input | attr('__class__')",
    "input | map(attribute='__class__')",
    "input.deep.a | map('__class__')",
    "[input] | map('keys') | first",
    "input | selectattr('x')",
    "input | groupby('x')",
    "input | xmlattr",
    "input | pprint",
    "input | safe",
    "self",
    "self._TemplateReference__context",
    "self.__init__.__globals__",
    "cycler",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "joiner",
    "namespace",
    "namespace(a=1)",
    "lipsum",
    "lipsum.__globals__['os']",
    "dict",
    "dict(a=1)",
    "range",
    "config",
    "request",
    "g",
    "url_for.__globals__",
    "get_flashed_messages",
    "loop",
    "caller()",
    "varargs",
    "super()",
    "environment",
    "context",
    "_",
    "__import__('os')",
    "__builtins__",
    "None.__class__",
    "true.__class__",
    "1.0.__class__",
    "(1).real",
    "input.n.bit_length()",
    "().__class__",
    "{}.__class__",
    "[].__class__.__base__",
    "(input | string).__class__",
    "steps.__class__",
    "input.missing.__class__",
    "input.missing._undefined_message",
    "input.missing._fail_with_undefined_error()",
    "input is callable",
    "input is filter",
    "input | batch(2)",
    "'a' | urlize",
    "'a' | wordwrap",
    "'a' | center(1000000)",
    "'a' | indent(1000000)",
    " entry",
    "input | ' entry'",
    "caller.__closure__",
    "'\\x7b\\x7b self \\x7d\\x7d'.__class__",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_expressions_cannot_reach_python(text: str) -> None:
    try:
        got = value(text)
    except InvalidExpression:
        return
    raise AssertionError(f"{text} came to {got!r}")


def test_any_name_can_be_a_key_of_an_object() -> None:
    names = {"input": {"__class__": 1, "keys": 2, "_x": 3}}
    for text, expected in [("input.__class__", 1), ("input.keys", 2), ("input._x", 3)]:
        assert Expression(text).value(names) == expected


@pytest.mark.parametrize(
    "text",
    [
        "'a' * 1000000000",
        "[0] * 1000000000",
        "10 ** 10 ** 10",
        "1" + "0" * 1000,
        "9e999",
        "0x" + "f" * 1000,
        "(" * 900 + "1" + ")" * 900,
        "[" * 900 + "]" * 900,
        "not " * 450 + "1",
        "-" * 1900 + "1",
        "input" + ".a" * 900,
        "input" + "[0]" * 600,
        "input" + " | upper" * 220,
        "1 if 1 else " * 150 + "1",
        "1" + " + 1" * 450,
        "'x'" + " ~ 'x'" * 1000,
        "{'a':" * 300 + "1" + "}" * 300,
        "1 " + "and 1 " * 330,
        "a" * 10_000,
    ],
)
def test_endless_expressions_are_refused_at_once(text: str) -> None:
    with no_hang(), pytest.raises(InvalidExpression):
        value(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("input.text ~ input.text", "the text becomes longer than 1000000 characters"),
        ("input.text + input.text", "the text becomes longer than 1000000 characters"),
        ("input.text | replace('a', input.text)", "the text becomes longer than 1000000 characters"),
        ("input.many | join(input.text)", "the text becomes longer than 1000000 characters"),
        ("[input.text, input.text] | join", "the text becomes longer than 1000000 characters"),
        ("[input.text, input.text] | json", "the text becomes longer than 1000000 characters"),
        ("[input.text, input.text] | string", "the text becomes longer than 1000000 characters"),
        ("[input.text, input.text] | unique", "the text becomes longer than 1000000 characters"),
        ("input.text | split('a')", "the list becomes longer than 100000 items"),
        ("input.many + input.many", "the list becomes longer than 100000 items"),
        ("[" + ", ".join(["input.text"] * 9) + "]", "its value is too large"),
        ("input.large * input.large", "the number becomes too large"),
        ("input.big * input.big * input.big * input.big * input.big", "the number becomes too large"),
        ("[input.large, input.large] | sum", "the number becomes too large"),
        ("input.big / 0.0000001 * input.large", "the number becomes too large"),
    ],
)
def test_the_size_of_a_result_is_limited(text: str, words: str) -> None:
    names = {"input": {"text": "a" * 600_000, "many": [0] * 60_000, "large": 1.7e308, "big": 2**300}}
    with no_hang(), pytest.raises(InvalidExpression, match=words):
        Expression(text).value(names)


def test_a_value_with_many_shared_references_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "LARGEST_VALUE", 10_000)
    double = Expression("[state, state]")

    def doubled(state: Any, times: int) -> Any:
        for _ in range(times):
            state = double.value({"state": state})
        return state

    assert doubled(1, 3) == [[[1, 1], [1, 1]], [[1, 1], [1, 1]]]
    with pytest.raises(InvalidExpression, match="its value is too large"):
        doubled(1, 40)


OPERATORS = ["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", "in", "and", "or"]


@settings(max_examples=200)
@given(
    st.recursive(
        st.sampled_from([*NAMES, "1", "'a'", "null", "[]", "{}", "input.topic", "input.list", "self", "x"]),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(OPERATORS), inner).map(lambda three: f"({' '.join(three)})"),
            st.tuples(inner, st.sampled_from([*FILTERS, "attr", "format"])).map(
                lambda two: f"({two[0]} | {two[1]})"
            ),
            st.tuples(inner, st.sampled_from(["__class__", "topic", "format", "items"])).map(".".join),
            st.tuples(inner, inner).map(lambda two: f"{two[0]}[{two[1]}]"),
            inner.map(lambda one: f"{one}()"),
            inner.map(lambda one: f"[{one}, {{'k': {one}}}]"),
        ),
        max_leaves=8,
    )
)
def test_any_text_evaluates_to_json_or_to_an_error(text: str) -> None:
    try:
        got = value(text)
    except InvalidExpression:
        return
    assert is_json(got), got


def is_json(one: Any) -> bool:
    if type(one) is dict:
        return all(type(key) is str and is_json(item) for key, item in one.items())
    if type(one) is list:
        return all(map(is_json, one))
    return one is None or type(one) in (str, int, float, bool)
