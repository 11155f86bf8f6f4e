"""Mistakes in YAML scripts are all reported at once, each with its place and a suggestion."""

from __future__ import annotations

import difflib
import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from output_mock import OutputMock, Script
from output_mock.scripts.file_error import ScriptFileError
from output_mock.scripts.loading import load_file
from output_mock.scripts.yaml import source
from output_mock.scripts.yaml.document import read
from output_mock.scripts.yaml.language import ACTIONS, NODES, document
from output_mock.scripts.yaml.source import Node, Source
from tests.client import Client
from tests.docs.pages import EVERYTHING

# Every kind of YAML that the examples and the script of the recordings use.
TEXTS = [(Path(__file__).parents[1] / "fidelity" / "pack.yaml").read_text(encoding="utf-8")]
TEXTS += re.findall(r"```yaml\n(.*?)```", EVERYTHING, re.DOTALL)


def mistakes(text: str) -> list[str]:
    """The mistakes in the text of a file, each as `line:column: message`."""
    try:
        read(textwrap.dedent(text), "f.yaml")
    except ScriptFileError as error:
        return [str(mistake).removeprefix("f.yaml:") for mistake in error.mistakes]
    return []


def only(text: str) -> str:
    found = mistakes(text)
    assert len(found) == 1, found
    return found[0]


def workflow(line: str) -> str:
    """A file whose fourth line is this; the workflow returns something."""
    return f"workflows:\n  - name: w\n    returns: 1\n    {line}\n"


def action(line: str) -> str:
    """A file whose fourth line is an action."""
    return f"workflows:\n  - name: w\n    steps:\n      - {line}\n"


def value(text: str) -> str:
    """A file whose third line returns this, from column 14 on."""
    return f"workflows:\n  - name: w\n    returns: {text}\n"


# --- YAML itself -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: the file is empty; begin it with `workflows:`"),
        ("# nothing\n", "1:1: the file is empty; begin it with `workflows:`"),
        (
            "workflows:\n\t- name: w\n",
            "2:1: this is not valid YAML: found character '\\t' that cannot start any token",
        ),
        ("workflows:\n\t- name: w\n", "; indent with spaces, not with tabs"),
        (value("{{ input.a }} text"), "put text with {{ … }} in quotes"),
        (value("{{ input.a }}"), '3:14: YAML takes {{ … }} for an object; put it in quotes: "{{ … }}"'),
        (value("'text"), "; a quote is missing"),
        (value("a: b: c"), "3:15: this is not valid YAML: mapping values are not allowed here"),
        ("workflows:\n  - name: w\n   returns: 1\n", "3:4: this is not valid YAML: "),
        (value("@x"), "cannot start any token"),
        ("a: 1\n---\nb: 2\n", "2:1: a file must be one document; remove this `---`"),
        (
            value("!!python/object:os.system x"),
            "3:14: tags such as !!python/object:os.system are not supported",
        ),
        (value("!!str 5"), "3:14: tags such as !!str are not supported; remove it"),
        (value("!mine 5"), "3:14: tags such as !mine are not supported; remove it"),
        (
            "workflows:\n  - !!str name: w\n    returns: 1\n",
            "2:5: tags such as !!str are not supported; remove it",
        ),
        (
            "a: &a {x: 1}\nb: {<<: *a}\n",
            "2:5: merge keys (<<) are not supported; write out what they stand for",
        ),
        (value("*nothing"), "3:14: *nothing refers to nothing; there is no &nothing above it"),
        (value("&a [*a]"), "3:18: *a repeats itself without end"),
        ("a: 1\nworkflows: []\na: 2\n", "3:1: 'a' is given twice; the first time in line 1"),
        (
            value("no"),
            '3:14: YAML 1.1 reads no as false, and YAML 1.2 as text; write false, or put it in quotes: "no"',
        ),
        (
            value("On"),
            '3:14: YAML 1.1 reads On as true, and YAML 1.2 as text; write true, or put it in quotes: "On"',
        ),
        (value("{on: 1}"), '3:15: YAML 1.1 reads on as true, and YAML 1.2 as text; put it in quotes: "on"'),
        (value("{no: 1}"), '3:15: YAML 1.1 reads no as false, and YAML 1.2 as text; put it in quotes: "no"'),
        (value("{~: 1}"), '3:15: a name must be text; put it in quotes: "~"'),
        (value("{[a]: 1}"), "3:15: a name must be text, not a list"),
        (value("1:30"), "3:14: YAML 1.1 reads 1:30 as another number than it looks like"),
        (value("010"), "3:14: YAML 1.1 reads 010 as another number than it looks like"),
        (value("0x10"), "3:14: YAML 1.1 reads 0x10 as another number than it looks like"),
        (value("1_000"), "3:14: YAML 1.1 reads 1_000 as another number than it looks like"),
        (value("1e3"), "3:14: YAML 1.1 reads 1e3 as text, and YAML 1.2 as a number; write 1000.0"),
        (value("1e400"), "3:14: 1e400 is not a number that JSON can express"),
        (value(".inf"), "3:14: .inf is not a number that JSON can express"),
        (value(".nan"), "3:14: .nan is not a number that JSON can express"),
        (value("9" * 400), "3:14: the number is too long"),
        (
            value("'\x07'"),
            '3:15: the character U+0007 cannot be in a YAML file; write it as an escape: "\\u0007"',
        ),
    ],
)
def test_values_that_yaml_misreads_are_reported_with_their_place(text: str, expected: str) -> None:
    assert any(expected in mistake for mistake in mistakes(text)), mistakes(text)


@pytest.mark.parametrize("written", ["1e3", "1e-7", "-1e-07", "1e21", "1.5E30", "2.e9", ".5e1", "5e-324"])
def test_a_number_is_accepted_when_it_is_written_as_the_message_says(written: str) -> None:
    found = re.search(r"write (\S+), or", only(value(written)))
    assert found is not None
    node = Source(found[1], "f.yaml").root
    assert node is not None
    assert (node.value, type(node.value)) == (float(written), float)


def test_a_file_must_be_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "f.yaml"
    file.write_bytes(b"workflows:\n  - name: \xff\n")
    with pytest.raises(ScriptFileError, match=r"f\.yaml:2:1: the file is not UTF-8, as YAML must be"):
        load_file(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: " + "[" * 100 + "]" * 100, "values are nested more than 60 deep"),
        ("a: " + "{a: " * 100 + "}" * 100, "values are nested more than 60 deep"),
        ("a: [" + "1, " * 60_000 + "]", "the file holds more than 50000 values"),
        ("a: " + "x" * 1_000_001, "the file has more than 1000000 characters"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(
                f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefg", "bcdefgh", strict=True)
            ),
            "the file holds more than 50000 values",
        ),
    ],
)
def test_an_alias_bomb_is_refused(text: str, expected: str) -> None:
    assert expected in only(text)


PIECES = [*"abc:-,[]{}#&*!|>'\"%@` \n.0?\t", "\n  ", "\n- ", "\n  - ", ": ", "---", "|\n  x", "\u2028", "é"]
PIECES += ["😀", "\r\n", ">-\n  y\n\n  z", '"\\u00e9"', '"\\ud800"', "{{ a }}", "key: ", "''", "&x ", "*x"]


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=14).map("".join))
@example("&x \t")
@example("a: |#b")
@example("{a?b: c}")
@example("{a: , b: c}")
@example("---")
@example("\ufeff\ufeffa: b")
@example('a: "\\ud800"')
@example("! a")
def test_both_parsers_of_yaml_read_a_file_alike(text: str) -> None:
    """PyYAML is built without libyaml on some machines."""
    read_alike(text)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_both_parsers_of_yaml_read_the_examples_alike(text: str) -> None:
    read_alike(text)


def read_alike(text: str) -> None:
    fast = Source(text, "f.yaml")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(source, "_FAST_LOADER", None)
        slow = Source(text, "f.yaml")
    assert placed(fast.root) == placed(slow.root)
    assert fast.mistakes == slow.mistakes


def placed(node: Node | None) -> Any:
    """A value of the file with the places of all its parts."""
    if node is None:
        return None
    value = node.value
    if node.is_object:
        value = [(name, place, placed(inner)) for name, place, inner in node.items()]
    elif node.is_list:
        value = [placed(inner) for inner in value]
    return type(node.value), value, node.place, node.span


# --- the language ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[]", "1:1: the file is an object with workflows, catalogs, worker_down, namespace, …, not a list"),
        ("workflow: []", "1:1: the file has no key 'workflow'; did you mean 'workflows'?"),
        ("workflows: []", "1:12: there is no workflow; add one with `- name: hello`"),
        ("catalogs: [a]", "1:1: the file needs `workflows:`"),
        (
            "workflows: {name: w}",
            "1:12: workflows must be a list of workflows, not an object; begin each with a dash",
        ),
        (
            "workflows: [w]",
            "1:13: a workflow is an object with name, description, aliases, catalogs, …, not the text 'w'",
        ),
        ("workflows: [{returns: 1}]", "1:13: a workflow needs `name:`"),
        (
            "workflows: [{name: w}]",
            "1:13: a workflow needs `steps:`, `returns:`, `fails:`, `takes:`, `answers:` or `when:`",
        ),
        ("workflows: [{name: two words, returns: 1}]", "1:20: 'two words' cannot be the name of a workflow"),
        (
            "workflows: [{name: 5, returns: 1}]",
            '1:20: name must be the name of a workflow, not the number 5; put it in quotes: "5"',
        ),
        ("workflows: [{name: '', returns: 1}]", "1:20: name must be the name of a workflow, but it is empty"),
        (
            "workflows: [{name: '{{ input }}', returns: 1}]",
            "1:20: name is the same for every run, so it cannot have expressions",
        ),
        ("workflows: [{name: w, aliases: [1a], returns: 1}]", "1:33: '1a' cannot be the name of a workflow"),
        (
            "workflows:\n- {name: w, returns: 1}\n- {name: w, returns: 1}",
            "3:10: 'w' already names the workflow 'w', in line 2",
        ),
        (
            "workflows:\n- {name: v, aliases: w, returns: 1}\n- {name: w, returns: 1}",
            "3:10: 'w' already names the workflow 'v', in line 2",
        ),
        (workflow("retruns: 5"), "4:5: a workflow has no key 'retruns'; did you mean 'returns'?"),
        (workflow("zzz: 5"), "4:5: a workflow has no key 'zzz'; it can have name, description"),
        (workflow("fails: x"), "4:5: a workflow cannot have both `returns:` and `fails:`"),
        (workflow("answers: [{returns: 1}]"), "4:5: a workflow cannot have both `returns:` and `answers:`"),
        (
            workflow("answers: []\n    traced: maybe"),
            "5:13: traced must be true or false, not the text 'maybe'",
        ),
        (
            workflow("description: 5"),
            '4:18: description must be text, not the number 5; put it in quotes: "5"',
        ),
        (
            workflow("input_schema: {type: objct}"),
            "4:26: input_schema: $.type: 'objct' is not a type; did you mean \"object\"?",
        ),
        (
            workflow("input_schema: {type: object, properties: {a: {minimum: x}}}"),
            "4:60: input_schema: $.properties.a.minimum: 'x' is not of type 'number'",
        ),
        (
            workflow("output_schema: [a]"),
            "4:20: output_schema must be a JSON Schema, such as {type: object}, not a list",
        ),
        (
            workflow("options: {activityOptions: {}}"),
            "4:15: options has no key 'activityOptions'; write what is in it directly into the options",
        ),
        (workflow("options: {retries: 1}"), "4:15: options has no key 'retries'; did you mean 'retry'?"),
        (
            workflow("options: {retry: {maxAttempts: 1}}"),
            "4:23: retry has no key 'maxAttempts'; did you mean 'maximumAttempts'?",
        ),
        (
            workflow("options: {retry: {maximumAttempts: 0}}"),
            "4:14: options: maximumAttempts must be 1 or more, not 0",
        ),
        (
            workflow("options: {startToCloseTimeout: soon}"),
            "4:36: startToCloseTimeout: 'soon' is not a duration that the SDK takes",
        ),
        (
            workflow("options: {startToCloseTimeout: 1h30m}"),
            "4:36: startToCloseTimeout: '1h30m' is not a duration that the SDK takes",
        ),
        (
            workflow("options: {heartbeatTimeout: 1w}"),
            "4:33: heartbeatTimeout: '1w' is not a duration that the SDK takes",
        ),
        (
            workflow("options: {retry: {maximumInterval: 5s}}"),
            "4:14: options: maximumInterval (5s) is shorter than initialInterval (10s)",
        ),
        (
            workflow("options: {startToCloseTimeout: '{{ input }}'}"),
            "4:36: startToCloseTimeout: '{{ input }}' is not a duration that the SDK takes",
        ),
        (workflow("state: [a]"), "4:12: state must be an object of names and values, not a list"),
        (workflow("state: {'{{ a }}': 1}"), "4:13: a name cannot have expressions"),
        (
            workflow("when: [{match: {a: 1}}]"),
            "4:12: a when needs `steps:`, `returns:`, `fails:`, `takes:` or `answers:`",
        ),
        (workflow("when: [{returns: 1}]"), "4:12: a when needs `match:` or `if:`"),
        (
            workflow("when: [{match: '{{ input }}', returns: 1}]"),
            "4:20: match is used as it is written, so it cannot have expressions",
        ),
        (
            workflow("when: [{match: {a: ['{{ input }}']}, returns: 1}]"),
            "4:25: match is used as it is written, so it cannot have expressions",
        ),
        (
            workflow("when: [{if: input.n > 1, returns: 1}]"),
            '4:17: if must be an expression; write "{{ input.n > 1 }}"',
        ),
        (
            workflow("when: [{if: 'a {{ input.n }}', returns: 1}]"),
            "4:17: if must be one expression, with nothing before or after it",
        ),
        (workflow("when: [{if: [a], returns: 1}]"), '4:17: if must be an expression, "{{ … }}", not a list'),
        (
            workflow("queries: {q: '{{ state }}'}"),
            "4:18: q is a query, an object with when, returns, fails, not the text '{{ state }}'",
        ),
        (workflow("updates: {u: {refuse: {if: true}}}"), "4:27: a refusal needs `message:`"),
        (
            workflow("updates: {u: {refuse: {if: true, message: [a]}}}"),
            "4:47: message must be text, not a list",
        ),
        (
            workflow("signals: {s: {returns: 1}}"),
            "4:19: a signal's handler has no key 'returns'; it can have set, steps",
        ),
        (
            workflow("signals: {s: {steps: [{return: 1}]}}"),
            "4:27: `return:` ends a run, which a handler of a signal, query or update cannot do",
        ),
        (workflow("updates: {s: {steps: [{continue_as_new: 1}]}}"), "4:27: `continue_as_new:` ends a run"),
        (action("step: a\n        take: 1m"), "5:9: a step has no key 'take'; did you mean 'takes'?"),
        (
            action("step: a\n        takes: 10 minutes"),
            "5:16: takes: '10 minutes' is not a duration; write it like '500ms', '10s'",
        ),
        (action("step: a\n        takes: -1"), "5:16: takes: a duration cannot be negative: -1"),
        (action("sleep: -1 hour"), "4:16: sleep: '1 hour' is not a duration"),
        (
            action("sleep: [1]"),
            "4:16: sleep: a duration is written like '10s', '45m' or '24h', not as a list",
        ),
        (action("sleep:"), "sleep: a duration is written like '10s', '45m' or '24h', not as nothing"),
        (action("stp: draft"), "4:9: this does not say what to do: there is no 'stp'; did you mean 'step'?"),
        (
            action("zzz: draft"),
            "4:9: this does not say what to do; an action has one of step, evaluate, child",
        ),
        (
            action("draft"),
            "4:9: an action must be an object such as `step: draft`, "
            "not the text 'draft'; for a step, write `step: draft`",
        ),
        (action("sleep"), "not the text 'sleep'; write `sleep: …`"),
        (
            action("step: a\n        sleep: 1m"),
            "5:9: an action does one thing, and this one has `step:` and `sleep:`",
        ),
        (
            "workflows: [{name: w, steps: {step: a}}]",
            "1:30: steps must be a list of actions, not an object; begin each with a dash",
        ),
        (
            action("step: a\n        fails: 5"),
            "5:16: fails must be text, an object with message and name, or a list of those, "
            "one for each attempt, not the number 5",
        ),
        (
            action("step: a\n        fails: [5]"),
            "5:17: each attempt must be text or an object with which it fails, or null if it succeeds, "
            "not the number 5",
        ),
        (
            action("step: a\n        fails: {mesage: x}"),
            "5:17: a failure has no key 'mesage'; did you mean 'message'?",
        ),
        (
            action("step: a\n        fails: {message: x, thrown: y}"),
            "a failure cannot have both `message:` and `thrown:`",
        ),
        (action("fail: [a]"), "4:15: fail must be text, or an object with message and name, not a list"),
        (action("fail:"), "fail must be text, or an object with message and name, not nothing"),
        (action("if: true"), "4:9: an if needs `then:`"),
        (
            action("switch: a\n        cases: [a]"),
            "5:16: cases must be an object of values and actions, not a list",
        ),
        (
            action("for_each: abc\n        do: []"),
            '4:19: for_each must be a list, or one expression, "{{ … }}", whose value is a list',
        ),
        (
            action("parallel: {step: a}"),
            "4:19: parallel must be a list of actions and lists of actions, not an object",
        ),
        (action("parallel: [a]"), "4:20: an action must be an object"),
        (
            action("set: {a: 1}"),
            "4:15: there is no state 'a'; give it a first value under `state:`",
        ),
        (action("set: [a]"), "4:14: set must be an object of state and its new values, not a list"),
        (action("child: some thing"), "4:16: 'some thing' cannot be the name of a workflow"),
        (action("step: a\n        as: b-c"), "5:13: 'b-c' cannot be the name of a result"),
        (
            "workflows: [{name: w, returns: 1}]\nbegin_with: [{input: 1}]",
            "2:14: a first run needs `workflow:`",
        ),
        (
            "workflows: [{name: w, returns: 1}]\nbegin_with: [{workflow: w, input: '{{ x }}'}]",
            "2:35: input is used as it is written, so it cannot have expressions",
        ),
        (
            "workflows: [{name: w, returns: 1}]\ncatalogs: [[a]]",
            "2:12: catalogs must be the name of a catalog, not a list",
        ),
    ],
)
def test_unknown_constructs_are_reported_with_their_place(text: str, expected: str) -> None:
    assert any(expected in mistake for mistake in mistakes(text)), mistakes(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (value('"{{ inptu }}"'), "3:15: {{ inptu }}: there is nothing named 'inptu'; did you mean 'input'?"),
        (value('"a {{ input }} {{ x }}"'), "3:29: {{ x }}: there is nothing named 'x'; text needs quotes"),
        (value('"{{ x }} {{ x }}"'), "3:23: {{ x }}: there is nothing named 'x'"),
        (
            value('"{{ input | uper }}"'),
            "3:15: {{ input | uper }}: there is no filter 'uper'; did you mean 'upper'?",
        ),
        (value('"{{ input"'), "3:14: {{ has no }}"),
        (
            value('"{% if input %}a{% endif %}"'),
            "3:15: {% … blocks are not supported, only {{ … }}; to write {% itself, use {{ '{%' }}",
        ),
        (value('"{# comment #}"'), "3:15: {# … blocks are not supported"),
        (value('{"{{ input }}": 1}'), "3:15: a name cannot have expressions"),
        (
            value('"{{ state.stage }}"'),
            "there is no state 'stage'; give it a first value under `state:`",
        ),
        (
            workflow("state: {stage: 1}\n    queries: {q: {returns: '{{ state.stagee }}'}}"),
            "there is no state 'stagee'; did you mean 'stage'?",
        ),
        (value('"{{ steps.a }}"'), "3:15: {{ steps.a }}: no step here is named 'a'"),
        (
            action("step: research\n      - step: b\n        input: '{{ steps.reserch }}'"),
            "6:17: {{ steps.reserch }}: no step here is named 'reserch'; did you mean 'research'?",
        ),
        (
            action("step: a\n        as: x\n      - return: '{{ steps.a }}'"),
            "no step here is named 'a'; the steps are x",
        ),
        (
            action("for_each: [1]\n        do: [{step: inner}]\n      - return: '{{ steps.inner }}'"),
            "no step here is named 'inner'",
        ),
        (value('"{{ signals.go }}"'), "nothing here receives a signal 'go'"),
        (
            action("wait_for_signal: approve\n      - return: '{{ signals.aprove.by }}'"),
            "5:18: {{ signals.aprove.by }}: nothing here receives a signal 'aprove'; did you mean 'approve'?",
        ),
        (value('"{{ run.workflowId }}"'), "run has no 'workflowId'; did you mean 'workflow_id'?"),
        (value('"{{ run.zzz }}"'), "run has no 'zzz'; it has workflow_id, run_id"),
        (value('"{{ payload }}"'), "{{ payload }}: payload is only known under queries, signals and updates"),
        (value('"{{ item }}"'), "{{ item }}: item is only known in the `do:` of a for_each"),
        (value('"{{ error }}"'), "{{ error }}: error is only known in the `catch:` of a try"),
        (
            workflow("signals: {s: {set: {a: '{{ before }}'}}}\n    state: {a: 1}"),
            "before is only known in an update's `returns:` and `fails:`",
        ),
        (
            workflow("state: {a: '{{ state.b }}', b: 1}"),
            "state is only known once the run has begun, not in `state:` itself",
        ),
        (workflow("state: {a: '{{ steps.b }}'}"), "steps is only known once the run has begun"),
        (
            "workflows:\n- name: w\n  input_schema: {type: object, properties: {topic: {type: string}}}\n"
            "  returns: '{{ input.tpoic }}'",
            "4:13: {{ input.tpoic }}: the input_schema has no 'tpoic'; did you mean 'topic'?",
        ),
    ],
)
def test_expressions_are_checked_for_names_that_the_file_defines(text: str, expected: str) -> None:
    assert any(expected in mistake for mistake in mistakes(text)), mistakes(text)


@pytest.mark.parametrize(
    "schema",
    [
        "{type: object}",
        "{type: object, properties: {a: {}}, additionalProperties: true}",
        "{type: object, properties: {a: {}}, patternProperties: {x: {}}}",
        "{anyOf: [{type: object}]}",
        "{}",
    ],
)
def test_expressions_may_use_any_key_of_an_open_input_schema(schema: str) -> None:
    assert (
        mistakes(f"workflows: [{{name: w, input_schema: {schema}, returns: '{{{{ input.other }}}}'}}]") == []
    )


def test_all_mistakes_are_reported_at_once_in_order() -> None:
    found = mistakes("""\
        workflows:
          - name: content pipeline
            alias: [a]
            options: {retry: {maximumAttempt: 3}}
            steps:
              - step: research
                takes: 10 minuten
                returns: no
              - wait_for_signal: approve
                timeout: 24x
              - stp: draft
            returns: "{{ steps.reserch }} {{ signals.aprove }}"
          - name: empty
        """)
    places = [tuple(map(int, mistake.split(":")[:2])) for mistake in found]
    assert places == sorted(places)
    assert [line for line, _ in places] == [2, 3, 4, 7, 8, 10, 11, 12, 12, 13]


def test_the_error_of_a_file_lists_every_mistake_on_its_own_line() -> None:
    with pytest.raises(ScriptFileError) as caught:
        read("workflows: [{name: w, zzz: 1}]", "f.yaml")
    assert str(caught.value).splitlines() == [str(mistake) for mistake in caught.value.mistakes]
    assert [(one.file, one.line, one.column) for one in caught.value.mistakes] == [
        ("f.yaml", 1, 13),
        ("f.yaml", 1, 23),
    ]


def test_a_repeated_mistake_is_reported_once() -> None:
    text = "workflows:\n- name: w\n  steps:\n  - &a {stp: x}\n  - *a\n"
    assert only(text).startswith("4:5: ")


# --- while it is played ----------------------------------------------------------------------------------


def script_error(client: Client, given: Any = None, workflow: str = "w") -> str:
    answer = client.post("/workflow/run", {"workflowName": workflow, "input": given})
    assert (answer.status, answer.json["error"]) == (500, "ScriptError"), answer.text
    message: str = answer.json["message"]
    return message


def client_of(text: str) -> Client:
    return Client(OutputMock(scripts=[read(textwrap.dedent(text), "f.yaml")]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            value('"{{ input.tpoic }}"'),
            "workflow 'w': {{ input.tpoic }}: input has no 'tpoic'; did you mean 'topic'? "
            "(f.yaml, line 3, column 15)",
        ),
        (
            value('"a {{ input.topic + 1 }}"'),
            "{{ input.topic + 1 }}: text + a number cannot be calculated; "
            "write text ~ value to put things together as text (f.yaml, line 3, column 17)",
        ),
        (
            action("sleep: '{{ input.topic }}'"),
            "'bees' is not a duration; write it like '500ms', '10s', '45m', '24h' or '1h30m' "
            "(f.yaml, line 4, column 17)",
        ),
        (
            action("for_each: '{{ input.topic }}'\n        do: []"),
            "`for_each:` needs a list, not text (f.yaml, line 4, column 19)",
        ),
        (
            action("step: a\n        fails: '{{ 5 }}'"),
            "a failure must be text, or an object with some of message, name, cause, retryable, properties, "
            "thrown, not 5 (f.yaml, line 5, column 17)",
        ),
        (
            action("fail: '{{ none }}'"),
            "a failure needs a message, but its value is null (f.yaml, line 4, column 16)",
        ),
        (action("fail: {message: '{{ 5 }}'}"), "the message and the name of a failure must be text"),
        (
            action("evaluate: a\n        feedback: '{{ 5 }}'"),
            "`feedback:` must be a list of objects (f.yaml, line 5, column 19)",
        ),
        (
            action("child: somewhere"),
            "there is no workflow 'somewhere' in catalog 'main' to run as a child; it has w "
            "(f.yaml, line 4, column 16)",
        ),
        (
            action("wait_until: '{{ input.x }}'"),
            "{{ input.x }}: input has no 'x'; it has topic (f.yaml, line 4, column 22)",
        ),
        (
            action("parallel:\n        - step: a\n        - return: '{{ steps.a.x }}'"),
            "nothing named 'a' has been done yet (f.yaml, line 6, column 20)",
        ),
        (
            action("step: s\n        trace: [{http: 'https://a.example'}]"),
            "`http:` needs a method and a URL, such as GET https://search.example/?q=bees (f.yaml, line 5",
        ),
        (
            action("step: s\n        trace: [{llm: g, model: m, usage: {inputs: 1}}]"),
            "llm('g'): usage has 'inputs'; it is input, cached_input, output, reasoning (f.yaml, line 5, col",
        ),
        (workflow("when: [{if: '{{ input.x }}', returns: 1}]"), "{{ input.x }}: input has no 'x'"),
        (workflow("state: {a: '{{ input.x }}'}"), "{{ input.x }}: input has no 'x'"),
        (
            "workflows: [{name: w, when: [{match: {topic: ants}, returns: 1}]}]",
            'workflow \'w\' (f.yaml, line 1, column 13) has no answer for the input {"topic": "bees"}; '
            'the nearest is when({"topic": "ants"}): input.topic is "bees", not "ants"',
        ),
        (
            "workflows: [{name: w, when: [{if: '{{ false }}', returns: 1}]}]",
            "give it a `returns:` or another `when:`",
        ),
    ],
)
def test_a_mistake_at_run_time_names_file_and_line(text: str, words: str) -> None:
    assert words in script_error(client_of(text), {"topic": "bees"})


def test_a_run_started_without_waiting_reports_its_mistake_too() -> None:
    mock = OutputMock(scripts=[read(action("sleep: 1h\n      - return: '{{ input.x }}'"), "f.yaml")])
    client = Client(mock)
    client.start("w", {}, workflowId="w")
    assert client.until_closed("w") == "failed"
    assert "(f.yaml, line 5, column 18)" in client.get("/workflow/w/result").json["message"]
    assert ["(f.yaml, line 5, column 18)" in str(error) for error in mock.script_errors] == [True]


HANDLERS = """
    workflows:
      - name: w
        state: {n: 0}
        queries: {q: {returns: "{{ payload.x }}"}}
        signals: {s: {set: {n: "{{ payload.x }}"}}}
        updates:
          u: {returns: "{{ payload.x }}"}
          v: {refuse: {if: "{{ payload.x > 1 }}", message: "no"}}
        steps: [{wait_until: false}]
    """


@pytest.mark.parametrize(
    ("path", "words"),
    [("query/q", "line 5, column 29"), ("update/u", "line 8, column 21")],
)
def test_a_mistake_in_a_handler_names_its_file_and_line(path: str, words: str) -> None:
    client = client_of(HANDLERS)
    client.start("w", workflowId="w")
    client.get("/workflow/w/status")
    answer = client.post(f"/workflow/w/{path}", {"payload": {"y": 1}})
    assert answer.json["error"] == "ScriptError"
    assert words in answer.json["message"]
    assert "payload has no 'x'; it has y" in answer.json["message"]


def test_a_query_that_no_when_fits_is_a_mistake_with_the_nearest_one() -> None:
    client = client_of(
        """
        workflows:
          - name: w
            queries:
              q:
                when:
                  - {match: {part: {n: 1}}, returns: one}
                  - {if: "{{ payload | length == 0 }}", returns: two}
              empty: {}
            steps: [{wait_until: false}]
        """
    )
    client.start("w", workflowId="w")
    assert client.post("/workflow/w/query/q", {"payload": {"part": {"n": 1}}}).json == "one"
    assert client.post("/workflow/w/query/q", {"payload": {}}).json == "two"
    assert client.post("/workflow/w/query/empty").status == 200
    answer = client.post("/workflow/w/query/q", {"payload": {"part": {"n": 3}}})
    assert (answer.status, answer.json["error"]) == (500, "ScriptError")
    assert answer.json["message"].startswith("query 'q' of workflow 'w' (")
    assert answer.json["message"].endswith(
        'line 6, column 9) has no answer for the payload {"part": {"n": 3}}; the nearest is '
        'when({"part": {"n": 1}}): payload.part.n is 3, not 1'
    )


def test_a_mistake_in_a_signal_handler_ends_the_run() -> None:
    client = client_of(HANDLERS)
    client.start("w", workflowId="w")
    client.get("/workflow/w/status")
    client.post("/workflow/w/signal/s", {"payload": {}})
    assert client.until_closed("w") == "failed"
    assert "line 6, column 29" in client.get("/workflow/w/result").json["message"]


def test_an_update_validator_with_a_mistake_refuses_the_update() -> None:
    client = client_of(HANDLERS)
    client.start("w", workflowId="w")
    answer = client.post("/workflow/w/update/v", {"payload": {}})
    assert answer.json["error"] == "WorkflowUpdateFailedError"
    assert client.get("/workflow/w/status").json["status"] == "running"


def test_an_initial_run_of_an_unknown_workflow_names_its_place() -> None:
    script = read("workflows: [{name: w, returns: 1}]\nbegin_with: [{workflow: ww}]", "f.yaml")
    with pytest.raises(
        ValueError, match=r"no workflow 'ww' in catalog 'main'; did you mean 'w'\? \(f\.yaml, line 2"
    ):
        OutputMock(scripts=[script])


# --- the same in Python ----------------------------------------------------------------------------------


def test_an_initial_run_of_an_unknown_workflow_is_reported_with_file_and_line() -> None:
    script = Script()
    script.workflow("summarize").returns(1)
    script.begin_with("summarise")
    with pytest.raises(
        ValueError, match="no workflow 'summarise' in catalog 'main'; did you mean 'summarize'"
    ) as caught:
        OutputMock(scripts=[script])
    assert __file__ in str(caught.value)
    mock = OutputMock()
    mock.workflow("summarize").returns(1)
    with pytest.raises(ValueError, match="it has summarize") as caught:
        mock.begin_with("other")
    assert __file__ in str(caught.value)
    with pytest.raises(ValueError, match="there is no catalog 'mian'; did you mean 'main'"):
        mock.begin_with("summarize", catalog="mian")


def test_an_initial_run_that_the_versions_cannot_start_is_refused_with_the_reason() -> None:
    script = Script()
    script.workflow("summarize").returns(1)
    script.begin_with("summarize")
    with pytest.raises(
        ValueError, match=r"'summarize' cannot start: a server of .* finds no workflows"
    ) as caught:
        OutputMock(scripts=[script], api_version="0.11", sdk_version="0.8")
    assert __file__ in str(caught.value)


@pytest.mark.parametrize("returned", [object(), {1, 2}, b"bytes", {"deep": [object()]}])
def test_an_answer_that_is_not_json_is_refused_with_its_place(returned: Any) -> None:
    mock = OutputMock()
    with pytest.raises(TypeError, match="what workflow 'w' returns is of the type") as caught:
        mock.workflow("w").returns(returned)
    assert __file__ in str(caught.value)


def test_a_script_cannot_define_a_workflow_twice() -> None:
    script = Script()

    @script.workflow("w")
    async def first(ctx: Any, input: Any) -> Any:
        return 1

    async def second(ctx: Any, input: Any) -> Any:
        return 2

    with pytest.raises(ValueError, match=r"workflow 'w' \(.*line \d+\): it already has a script, 'first'"):
        script.workflow("w")(second)
    # The same name in another catalog is another workflow.
    script.workflow("w", catalog="other")(second)
    # A test may replace the script of its fake.
    mock = OutputMock(scripts=[script])
    mock.workflow("w")(first)
    mock.workflow("w")(second)
    assert Client(mock).run("w")["output"] == 2


# --- the schema ------------------------------------------------------------------------------------------

SCHEMA = document()
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_a_valid_json_schema_and_explains_every_key() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    for name, shape in {"file": SCHEMA, **SCHEMA["$defs"]}.items():
        if name != "steps":
            assert shape["description"], name
        for key, described in shape.get("properties", {}).items():
            assert described["description"], f"{name}.{key}"


def agree(data: Any) -> tuple[bool, bool]:
    """Whether the schema and the reader each accept a document."""
    try:
        read(yaml.safe_dump(data, allow_unicode=True), "f.yaml")
    except ScriptFileError:
        return VALIDATOR.is_valid(data), False
    return VALIDATOR.is_valid(data), True


def of_action(said: Any) -> Any:
    return {"workflows": [{"name": "w", "state": {"a": 1}, "steps": [said]}]}


def of_workflow(**said: Any) -> Any:
    return {"workflows": [{"name": "w", "state": {"a": 1}, **said}]}


X = "{{ input.x }}"
VALID = [
    of_workflow(returns=X),
    of_workflow(returns=None, aliases="v", catalogs=["a"], traced=False, path="p", description="d"),
    of_workflow(
        takes=X, steps=[], fails={"message": X, "name": X, "retryable": True, "cause": {"thrown": 1}}
    ),
    of_workflow(answers=[{"returns": 1}, {"fails": "x", "takes": 5}]),
    of_workflow(when=[{"match": {}, "returns": 1}, {"if": X, "answers": [{"returns": 1}]}]),
    of_workflow(returns=1, options={"retry": {"maximumAttempts": 2}, "startToCloseTimeout": "90m"}),
    of_workflow(returns=1, queries={"q": {}, "r": {"when": [{"if": True, "fails": "x"}], "returns": 1}}),
    of_workflow(returns=1, signals={"s": {"set": {"a": X}, "steps": []}}),
    of_workflow(returns=1, updates={"u": {"refuse": {"if": X, "message": "m"}}, "v": {"refuse": []}}),
    of_workflow(returns=1, on_stop=[{"step": "s"}]),
    of_workflow(
        returns=1, receives=[{"signal": "s", "after": "1h"}, {"signal": "t", "payload": 1, "after": 2}]
    ),
    {"workflows": [{"name": "w", "returns": 1}], "catalogs": "a", "worker_down": ["b"], "namespace": "n"},
    {
        "workflows": [{"name": "w", "returns": 1}],
        "begin_with": [{"workflow": "w", "input": 1, "workflow_id": "i"}],
    },
    of_action({"step": "s", "input": X, "fails": [None, "x", {"message": "m"}], "takes": 1.5, "as": "r"}),
    of_action({"step": "s", "input_schema": {"type": "string"}, "output_schema": {}, "returns": X}),
    of_action({"step": "s", "fails": None}),
    of_action(
        {
            "step": "s",
            "trace": [
                {"llm": X, "model": X, "provider": "p", "prompt": "p", "variables": {"a": X}, "result": 1},
                {"llm": "g", "model": "m", "usage": {"input": X}, "price": {"input": 3}, "fails": "x"},
                {"llm": "g", "model": "m", "version": "0.13"},
                {"http": "GET {{ input.u }}", "status": X, "cost": 0.1, "takes": X},
                {"event": "e", "kind": "k", "input": 1, "output": X, "attributes": {"a": {}}},
            ],
        }
    ),
    of_action({"evaluate": "e", "value": X, "confidence": 1, "label": "l", "dimensions": [], "feedback": []}),
    of_action({"evaluate": "e", "reasoning": X, "input": 1, "takes": 1, "fails": "x", "options": {}}),
    of_action({"child": "c", "detached": True, "wait": False, "options": {}}),
    of_action({"sleep": X}),
    of_action({"wait_for_signal": "s", "timeout": "1m", "then": [], "on_timeout": []}),
    of_action({"wait_until": X, "timeout": X}),
    of_action(
        {
            "send_http_request": X,
            "method": "PUT",
            "payload": X,
            "headers": {"A": X},
            "include_body": True,
            "include_headers": False,
        }
    ),
    of_action({"send_post_request_and_await_webhook": "http://a.b", "on_timeout": [], "as": "answer"}),
    of_action({"set": {"a": X}}),
    of_action({"if": True, "then": [], "else": []}),
    of_action({"switch": X, "cases": {"a": []}, "else": []}),
    of_action({"for_each": X, "do": [], "at_once": True, "as": "r"}),
    of_action({"for_each": [], "do": []}),
    of_action({"parallel": [{"step": "a"}, [{"step": "b"}]]}),
    of_action({"try": [], "catch": []}),
    of_action({"try": [], "catch": [{"rethrow": True}], "catch_stop": True}),
    of_action({"fail": "x"}),
    of_action({"return": None}),
    of_action({"continue_as_new": None}),
]
INVALID = [
    None,
    [],
    {},
    {"workflows": {}},
    {"workflows": [None]},
    of_workflow(),
    of_workflow(returns=1, fails="x"),
    of_workflow(returns=1, answers=[]),
    of_workflow(answers=[{}]),
    of_workflow(answers=[{"returns": 1, "fails": "x"}]),
    of_workflow(when=[{"returns": 1}]),
    of_workflow(when=[{"match": 1}]),
    of_workflow(returns=1, unknown=1),
    of_workflow(returns=1, traced="yes"),
    of_workflow(returns=1, aliases=["a b"]),
    of_workflow(returns=1, state=[]),
    of_workflow(returns=1, input_schema=[]),
    of_workflow(returns=1, options={"unknown": 1}),
    of_workflow(returns=1, options={"startToCloseTimeout": X}),
    of_workflow(returns=1, queries={"q": "x"}),
    of_workflow(returns=1, queries={"q": {"returns": 1, "fails": "x"}}),
    of_workflow(returns=1, updates={"u": {"refuse": {"if": X}}}),
    of_workflow(takes="soon"),
    of_workflow(takes=-1),
    of_workflow(takes=None),
    of_workflow(fails=["x"]),
    of_workflow(fails={"message": "m", "thrown": 1}),
    of_workflow(fails={"properties": {}}),
    of_workflow(name="a b", returns=1),
    of_workflow(returns=1, receives=[{"signal": "s"}]),
    of_workflow(returns=1, receives=[{"signal": "s", "after": X}]),
    of_workflow(returns=1, receives={"signal": "s", "after": "1h"}),
    of_workflow(name=X, returns=1),
    {"workflows": [{"name": "w", "returns": 1}], "begin_with": [{"input": 1}]},
    of_action("s"),
    of_action({}),
    of_action({"step": "s", "sleep": 1}),
    of_action({"step": ""}),
    of_action({"step": X}),
    of_action({"step": "s", "fails": 5}),
    of_action({"step": "s", "trace": {"llm": "g", "model": "m"}}),
    of_action({"step": "s", "trace": ["llm"]}),
    of_action({"step": "s", "trace": [{"llm": "g"}]}),
    of_action({"step": "s", "trace": [{"model": "m"}]}),
    of_action({"step": "s", "trace": [{"llm": "g", "model": "m", "http": "GET x"}]}),
    of_action({"step": "s", "trace": [{"llm": "g", "model": "m", "tokens": 5}]}),
    of_action({"step": "s", "trace": [{"event": "e"}]}),
    of_action({"step": "s", "as": "a b"}),
    of_action({"evaluate": "e", "label": 1}),
    of_action({"child": "c", "detached": "x"}),
    of_action({"wait_until": "x"}),
    of_action({"if": True}),
    of_action({"switch": 1}),
    of_action({"switch": 1, "cases": []}),
    of_action({"for_each": "x", "do": []}),
    of_action({"parallel": {}}),
    of_action({"try": []}),
    of_action({"rethrow": False}),
    of_action({"send_http_request": "http://a.b", "method": "get"}),
    of_action({"send_http_request": "http://a.b", "include_headers": 1}),
    of_action({"try": [], "catch": [], "catch_stop": "yes"}),
    of_action({"fail": None}),
    of_action({"fail": []}),
]


@pytest.mark.parametrize("data", VALID, ids=range(len(VALID)))
def test_the_schema_accepts_what_the_reader_accepts(data: Any) -> None:
    assert agree(data) == (True, True)


@pytest.mark.parametrize("data", INVALID, ids=range(len(INVALID)))
def test_the_schema_refuses_what_the_reader_refuses(data: Any) -> None:
    assert agree(data) == (False, False)


def test_every_action_is_covered_by_the_schema_comparison() -> None:
    asked = json.dumps(VALID)
    for shape in NODES.values():
        for key in shape.keys:
            assert f'"{key}"' in asked, key
    for keyword, shape in ACTIONS.items():
        assert f'[{{"{keyword}": ' in asked
        for key in shape.keys:
            assert f'"{key}"' in asked, key


LEAVES = st.sampled_from([None, True, False, 0, 5, 1.5, "", "x", "1m", X, "{{ 1 }}", [], {}, ["x"], {"x": 1}])
WORDS = sorted(
    {key for shape in (*ACTIONS.values(), *NODES.values()) for key in shape.keys}
    - {"input_schema", "output_schema", "options"}
)


def objects(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)


@settings(max_examples=200)
@given(
    objects(
        st.recursive(LEAVES, lambda inner: st.one_of(st.lists(objects(inner), max_size=2), objects(inner)))
    )
)
def test_schema_and_reader_agree_on_any_document(said: dict[str, Any]) -> None:
    data = of_action(said)
    by_schema, by_reader = agree(data)
    if by_reader:
        assert by_schema
    elif by_schema:
        # Only the reader resolves names in expressions and in `set:`.
        (problems,) = [mistakes(yaml.safe_dump(data))]
        assert all(": there is no state" in problem or "only known" in problem for problem in problems), (
            problems
        )


STEPS = "".join(f"    - {{step: s{number}}}\n" for number in range(200))
WRONG = "".join(f"    - {{step: t, input: '{{{{ steps.s{number}x }}}}'}}\n" for number in range(200, 600))
CHILDREN = "".join(f"    - {{child: s{number}x}}\n" for number in range(400))
NAMES = "".join(f"- {{name: s{number}, returns: 1}}\n" for number in range(200))


@pytest.mark.parametrize(
    "text",
    [
        f"workflows:\n- name: w\n  steps:\n{STEPS}{WRONG}",
        f"workflows:\n{NAMES}- name: w\n  steps:\n{CHILDREN}",
    ],
    ids=["steps", "children"],
)
def test_a_file_with_many_wrong_names_is_not_compared_name_by_name(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = 0
    really = difflib.get_close_matches

    def counting(name: str, known: list[str], **how: Any) -> list[str]:
        nonlocal compared
        compared += len(known)
        return really(name, known, **how)

    monkeypatch.setattr(difflib, "get_close_matches", counting)
    try:
        script = read(text, "f.yaml")
        told = script.mentions().loose_ends(script.mentions().called)
    except ScriptFileError as error:
        told = list(error.mistakes)
    assert len(told) == 400
    assert "did you mean" in told[0].message
    assert compared <= 50_000
