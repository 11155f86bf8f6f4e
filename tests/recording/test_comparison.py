"""The comparison of two responses finds every difference, and no others."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from output_mock.recording.comparison import HEADERS, Mode, differences
from output_mock.recording.masks import Masks

JSON_TYPE = {"content-type": "application/json; charset=utf-8"}
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
    max_leaves=10,
)


def answer(body: Any) -> dict[str, Any]:
    return Masks({}).answer({"status": 200, "headers": JSON_TYPE, "json": body})


def compared(recorded: Any, got: Any, mode: Mode = "exact", unstable: tuple[str, ...] = ()) -> list[str]:
    return [str(difference) for difference in differences(answer(recorded), answer(got), mode, unstable)]


def page(*kinds: str) -> dict[str, Any]:
    return {"events": [{"eventId": str(n), "eventTypeName": kind} for n, kind in enumerate(kinds, 1)]}


@given(json_values)
def test_a_response_does_not_differ_from_itself(body: Any) -> None:
    assert compared(body, body) == []


def test_ids_and_clocks_may_differ() -> None:
    recorded = {"runId": "01a20ae8-7a5d-731e-b90c-0994b2793fea", "startedAt": 1795479337565}
    got = {"runId": "5e0b1ae8-7a5d-4f1e-a90c-0994b2793abc", "startedAt": 1767225600000}
    assert compared(recorded, got) == []


@pytest.mark.parametrize(
    ("recorded", "got", "line"),
    [
        ({"status": "a"}, {"status": "b"}, 'body.status: recorded "a", got "b"'),
        ({"error": None}, {}, "body.error: recorded null, missing"),
        ({}, {"error": None}, "body.error: not recorded, got null"),
        ({"completedAt": None}, {"completedAt": ""}, 'body.completedAt: recorded null, got ""'),
        ({"output": [1, 2]}, {"output": [1]}, "body.output: recorded 2 items, got 1; only recorded [1] 2"),
        ({"output": "1"}, {"output": 1}, 'body.output: recorded "1", got 1'),
        ({"output": True}, {"output": 1}, "body.output: recorded true, got 1"),
        ({"output": [{"a": 1}]}, {"output": [{"a": 2}]}, "body.output[0].a: recorded 1, got 2"),
        ([], {}, "body: recorded [], got {}"),
        (
            {"data": "eyJhIjoxfQ=="},
            {"data": "eyJhIjoyfQ=="},
            "body.data.<payload>.a: recorded 1, got 2",
        ),
    ],
)
def test_a_difference_in_a_body_is_found_and_named(recorded: Any, got: Any, line: str) -> None:
    assert compared(recorded, got) == [line]


def test_whole_numbers_are_equal_in_any_notation() -> None:
    assert compared({"output": 1}, {"output": 1.0}) == []


@pytest.mark.parametrize("header", HEADERS)
def test_an_api_header_is_compared(header: str) -> None:
    recorded, got = ({"status": 200, "headers": headers, "text": ""} for headers in ({header: "x"}, {}))
    assert [str(one) for one in differences(recorded, got)] == [f'headers.{header}: recorded "x", missing']


def test_a_proxy_header_is_not_compared() -> None:
    recorded, got = ({"status": 200, "headers": headers, "text": ""} for headers in ({"server": "x"}, {}))
    assert differences(recorded, got) == []


@pytest.mark.parametrize(
    ("recorded", "got"),
    [
        ({"skipped": "{{id}} has no value"}, {"status": 200, "headers": {}, "text": ""}),
        ({"broken_off": "the connection was closed"}, {"status": 200, "headers": {}, "text": ""}),
        (
            {"status": 200, "headers": {}, "text": "a"},
            {"status": 200, "headers": {}, "text": "a", "broken_off": "the connection was closed"},
        ),
        (
            {"status": 200, "headers": {}, "text": "a"},
            {"status": 200, "headers": {}, "text": "a", "not_reached": True},
        ),
    ],
)
def test_a_missing_response_is_a_difference(recorded: Any, got: Any) -> None:
    assert differences(recorded, recorded) == []
    assert differences(recorded, got) != []
    assert differences(got, recorded) != []


def test_unordered_events_may_change_their_order_but_not_their_content() -> None:
    assert compared(page("A", "B"), page("B", "A"), "unordered") == []
    assert compared(page("A", "B"), page("B", "A")) != []
    assert compared(page("A", "B"), page("B", "B"), "unordered") != []


def test_histories_of_different_length_are_aligned_before_comparing() -> None:
    recorded = {"events": [*page("A", "B")["events"], {"eventId": "3", "eventTypeName": "C", "x": 1}]}
    got = {"events": [{"eventId": "1", "eventTypeName": "NEW"}, *recorded["events"][:2]]}
    got["events"].append({"eventId": "4", "eventTypeName": "C", "x": 2})
    assert compared(recorded, got) == [
        "body.events: recorded 3 items, got 4; only got [0] NEW",
        "body.events[2].x: recorded 1, got 2",
    ]


def test_many_extra_items_in_a_list_are_counted() -> None:
    (line,) = compared({"a": list(range(10))}, {"a": []})
    assert line.endswith("only recorded [0] 0, [1] 1, [2] 2, [3] 3, [4] 4, [5] 5 and 4 more")


def test_only_the_first_event_is_compared_when_their_number_is_random() -> None:
    assert compared(page("A", "B"), page("A"), "first_event") == []
    assert compared(page("A"), page("B"), "first_event") != []


def test_unrelated_runs_of_a_server_are_ignored_but_their_fields_are_compared() -> None:
    def runs(*fields: str) -> dict[str, Any]:
        return {"runs": [dict.fromkeys(fields, 1)] * 2, "count": len(fields)}

    assert compared(runs("a", "b"), {**runs("a", "b"), "count": 9}) == []
    assert compared(runs("a", "b"), runs("a")) != []


def test_a_stream_may_be_cut_into_other_frames() -> None:
    def stream(*cuts: list[int]) -> dict[str, Any]:
        frames = [{"event": "history", "id": str(n), "data": cut} for n, cut in enumerate(cuts)]
        done = {"event": "done", "data": {}}
        return {"status": 200, "headers": {}, "stream": [{"comment": "keepalive"}, *frames, done]}

    assert differences(stream([1, 2], [3]), stream([1], [2, 3])) == []
    assert differences(stream([1, 2], [3]), stream([1, 2])) != []


def test_the_events_of_a_stream_are_unordered_when_their_order_is_random() -> None:
    def stream(length: int, *kinds: str) -> dict[str, Any]:
        about = {"event": "workflow", "data": {"historyLength": length}}
        return {
            "status": 200,
            "headers": {},
            "stream": [about, {"event": "history", "data": page(*kinds)["events"]}],
        }

    one, other = stream(2, "A", "B"), stream(3, "B", "A", "WORKFLOW_TASK_STARTED")
    assert differences(one, other, "unordered") == []
    assert differences(one, other) != []
    assert differences(one, stream(2, "A", "A"), "unordered") != []


def test_the_length_of_a_history_is_ignored_when_its_order_is_random() -> None:
    one, other = ({"workflow": {"historyLength": n}, **page("A")} for n in (3, 4))
    assert compared(one, other, "unordered") == []
    assert compared(one, other) != []


@pytest.mark.parametrize("place", ["/body/a", "/body/a/b", "/body"])
def test_unstable_places_and_everything_below_them_are_ignored(place: str) -> None:
    assert compared({"a": {"b": 1}}, {"a": {"b": 2}}, unstable=(place,)) == []


@pytest.mark.parametrize("place", ["/body/a/bc", "/body/ab", "/status"])
def test_places_next_to_an_unstable_one_are_compared(place: str) -> None:
    assert compared({"a": {"b": 1}}, {"a": {"b": 2}}, unstable=(place,)) != []


def test_a_fully_masked_field_may_have_any_value_but_must_exist() -> None:
    """Recordings stay valid when a later release masks less."""
    assert compared({"stack": "<stack>"}, {"stack": {"data": "WyJhIl0="}}) == []
    assert compared({"stack": "<stack>"}, {"stack": None}) != []
    assert compared({"stack": "<stack>"}, {}) != []
    assert compared({"stuck": "<stuck>"}, {"stuck": 1}) != []


# Values of masked fields are all the same.
@given(st.text(min_size=1).filter(lambda name: Masks({}).value({name: 1}) == {name: 1}))
def test_any_key_can_be_addressed_by_a_pointer(name: str) -> None:
    (one,) = differences(answer({"x": {name: 1}}), answer({"x": {name: 2}}))
    assert compared({"x": {name: 1}}, {"x": {name: 2}}, unstable=(one.pointer,)) == []


@pytest.mark.parametrize(
    "body",
    [
        {"events": {}},
        {"events": None},
        {"events": [], "frames": [1, {}, {"event": "workflow"}]},
        {"events": [1], "frames": {}, "workflow": []},
        {"events": [{"eventTypeName": {}}], "runs": [1, 2]},
    ],
)
@pytest.mark.parametrize("mode", ["exact", "unordered", "first_event"])
def test_a_response_of_wrong_types_can_be_compared(body: Any, mode: Mode) -> None:
    assert compared(body, body, mode) == []
    assert compared(body, {**body, "events": [{"other": 1}]}, mode) != []


def test_control_characters_in_key_names_are_escaped() -> None:
    (line,) = compared({"\x1b[2J\u009b": 1}, {"\x1b[2J\u009b": 2})
    assert line.isprintable()
