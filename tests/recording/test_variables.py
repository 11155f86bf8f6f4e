"""Variables replace their names, and nothing else."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from output_mock.recording.variables import UnknownVariable, at, escaped, fill, fill_path, fill_text, names_in

braces = st.text(st.sampled_from("{}!ab_1 "), max_size=30)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), braces),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(braces, inner, max_size=3)),
    max_leaves=10,
)


@given(braces)
def test_filling_an_escaped_text_returns_the_text(text: str) -> None:
    assert fill_text(escaped(text), {}) == text
    assert list(names_in(escaped(text))) == []


@given(json_values)
def test_filling_needs_only_the_named_variables(value: Any) -> None:
    names = set(names_in(value))
    fill(value, dict.fromkeys(names, "x"))
    for name in names:
        with pytest.raises(UnknownVariable) as missing:
            fill(value, dict.fromkeys(names - {name}, "x"))
        assert missing.value.name == name


@given(st.text(), st.text())
def test_an_inserted_value_is_not_expanded_again(value: str, other: str) -> None:
    assert fill_text("<{{a}}{{b}}>", {"a": value, "b": other}) == f"<{value}{other}>"


@given(st.text())
def test_a_value_in_a_path_is_escaped_to_one_segment(value: str) -> None:
    path = fill_path("/workflow/{{id}}/status?x={{id}}", {"id": value})
    part = path.removeprefix("/workflow/").partition("/status?x=")[0]
    assert unquote(part) == value
    assert set("/?#& ").isdisjoint(part)


@given(json_values)
def test_a_text_that_is_one_variable_becomes_its_value(value: Any) -> None:
    assert fill({"a": ["{{x}}"]}, {"x": value}) == {"a": [value]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("runs.0.status", "running"),
        ("runs.0", {"status": "running"}),
        ("runs.1.status", None),
        ("runs.x", None),
        ("runs.-1", None),
        ("count.x", None),
        ("count", 1),
    ],
)
def test_a_path_into_a_body_finds_its_value_or_nothing(path: str, value: Any) -> None:
    assert at({"runs": [{"status": "running"}], "count": 1}, path) == value
