"""Every construct of YAML scripts."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.contract.errors import WorkflowUpdateFailedError
from output_mock.scripts.yaml.document import read
from tests.client import Client
from tests.conftest import Connect

Play = Callable[[str], Client]


def mocked(text: str) -> OutputMock:
    return OutputMock(seed=7, scripts=[read(textwrap.dedent(text), "script.yaml")])


@pytest.fixture
def play() -> Play:
    """Makes clients of fakes with the text of a YAML file as script."""
    return lambda text: Client(mocked(text))


def steps(text: str) -> str:
    """A file with one workflow `w` that does these steps, and returns what `result` holds."""
    inner = textwrap.indent(textwrap.dedent(text).strip("\n"), "      ")
    return f"workflows:\n  - name: w\n    steps:\n{inner}\n"


# --- files -----------------------------------------------------------------------------------------------


DESIGN = """\
    # workflows.yaml
    workflows:
      - name: summarize_url
        returns: {summary: short}
      - name: content_pipeline
        aliases: [pipeline_v1]
        input_schema: {type: object, required: [topic], properties: {topic: {type: string}}}
        steps:
          - step: research
            takes: 10m
            returns: [a, b]
          - wait_for_signal: approve
            timeout: 24h
        returns: {topic: "{{ input.topic }}", by: "{{ signals.approve.by }}"}
    """


@pytest.mark.parametrize("name", ["workflows.yaml", "workflows.yml"])
def test_a_yaml_file_is_a_script(tmp_path: Path, connect: Connect, name: str) -> None:
    file = tmp_path / name
    file.write_text(textwrap.dedent(DESIGN))
    client = connect(OutputMock(scripts=[str(file)]))
    assert client.run("summarize_url", 1)["output"] == {"summary": "short"}
    client.start("pipeline_v1", {"topic": "bees"}, workflowId="w")
    client.post("/workflow/w/signal/approve", {"payload": {"by": "ana"}})
    assert client.until_closed("w") == "completed"
    assert client.get("/workflow/w/result").json["output"] == {"topic": "bees", "by": "ana"}
    status = client.get("/workflow/w/status").json
    assert status["completedAt"] - status["startedAt"] == 600_000
    answer = client.post("/workflow/run", {"workflowName": "pipeline_v1", "input": {"topic": 1}})
    assert answer.json["error"]["name"] == "ValidationError"


def test_a_yaml_file_can_be_served_together_with_a_python_file(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(
        "workflows: [{name: parent, steps: [{child: child, as: c}], returns: '{{ steps.c }}'}]"
    )
    (tmp_path / "two.py").write_text(
        "from output_mock import Script\nscript = Script()\nscript.workflow('child').returns(5)\n"
    )
    client = Client(OutputMock(scripts=[tmp_path / "one.yaml", tmp_path / "two.py"]))
    assert client.run("parent")["output"] == 5


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "bom.yaml"
    file.write_bytes(b"\xef\xbb\xbfworkflows: [{name: w, returns: \xc3\xbc}]")
    assert Client(OutputMock(scripts=[file])).run("w")["output"] == "ü"


def test_the_catalog_shows_the_definitions_of_the_file(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            description: What it is
            aliases: [other, another]
            input_schema: {type: object, properties: {n: {type: number}}, required: [n]}
            output_schema: {type: number}
            path: /somewhere.js
            returns: 1
        """)
    (entry,) = client.get("/workflow/catalog").json["workflows"]
    assert (entry["name"], entry["description"], entry["path"]) == ("w", "What it is", "/somewhere.js")
    assert entry["aliases"] == ["other", "another"]
    assert entry["inputSchema"]["required"] == ["n"]
    assert entry["outputSchema"]["type"] == "number"


def test_a_workflow_without_a_description_has_none_in_the_catalog(play: Play) -> None:
    (entry,) = play("workflows: [{name: w, returns: 1}]").get("/workflow/catalog").json["workflows"]
    assert "description" not in entry


def test_one_alias_needs_no_list(play: Play) -> None:
    assert play("workflows: [{name: w, aliases: other, returns: 1}]").run("other")["output"] == 1


def test_a_workflow_can_be_untraced_and_have_options(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            traced: false
            options: {retry: {maximumAttempts: 1}}
            steps:
              - {step: a, fails: [once, null]}
        """)
    result = client.run("w", workflowId="w")
    assert result["status"] == "failed"
    assert client.kinds("w").count("ACTIVITY_TASK_SCHEDULED") == 1


def test_the_catalogs_key_applies_to_workflows_without_their_own(play: Play) -> None:
    client = play("""
        catalogs: [one, two]
        namespace: mine
        worker_down: [away]
        workflows:
          - {name: both, returns: both}
          - {name: mine, catalogs: three, returns: three}
          - {name: twice, catalogs: [one, three], returns: twice}
        """)
    for catalog in ("one", "two"):
        assert client.run("both", catalog=catalog)["output"] == "both"
    assert client.run("mine", catalog="three", workflowId="m")["output"] == "three"
    assert sorted(client.get("/workflow/catalog/three").json["workflowNames"]) == ["mine", "twice"]
    assert sorted(client.get("/workflow/catalog/one").json["workflowNames"]) == ["both", "twice"]
    assert client.post("/workflow/start", {"workflowName": "both"}).status == 424
    assert client.get("/workflow/catalog/away").status == 409


def test_a_file_can_define_initial_runs(play: Play) -> None:
    client = play("""
        workflows:
          - {name: echo, returns: "{{ input }}"}
        begin_with:
          - {workflow: echo, input: {x: 1}, workflow_id: first}
          - {workflow: echo}
        """)
    assert client.until_closed("first") == "completed"
    assert client.get("/workflow/first/result").json["output"] == {"x": 1}
    assert len(client.get("/workflow/runs?workflowType=echo").json["runs"]) == 2


def test_a_file_can_schedule_a_signal(play: Play) -> None:
    client = play("""
        workflows:
          - name: review
            receives:
              - {signal: remind, after: 1h}
              - {signal: approve, payload: {by: ana}, after: 20h}
            steps:
              - wait_for_signal: remind
              - wait_for_signal: approve
                timeout: 24h
            returns: "{{ signals.approve.by }}"
        """)
    assert client.run("review", timeout=24 * 3600 * 1000)["output"] == "ana"


# --- answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("short", "short"),
        ("5", 5),
        ("-1.5", -1.5),
        ("true", True),
        ("null", None),
        ("~", None),
        ("[a, {b: c}]", ["a", {"b": "c"}]),
        ("2026-01-01", "2026-01-01"),
        ("'5'", "5"),
        ("'no'", "no"),
        ("{1: a, 2.5: b, true: c}", {"1": "a", "2.5": "b", "true": "c"}),
        ("'{{ input.n }}'", 3),
        ("'{{ input }}'", {"n": 3, "list": [1]}),
        ("'n is {{ input.n }}'", "n is 3"),
        ("'{{ input.n }}{{ input.list }}'", "3[1]"),
        ("' {{ input.n }} '", 3),
        ("[{a: '{{ input.list }}'}]", [{"a": [1]}]),
        ("'{{ run.workflow_id }} {{ run.workflow_name }} {{ run.catalog }}'", "wf w main"),
        ("'{{ run.start_time }}'", "2026-01-01T00:00:00.000Z"),
    ],
)
def test_a_workflow_returns_json_with_expressions(play: Play, text: str, expected: Any) -> None:
    client = play(f"workflows: [{{name: w, returns: {text}}}]")
    assert client.run("w", {"n": 3, "list": [1]}, workflowId="wf")["output"] == expected


def test_long_expressions_may_be_folded(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            returns: >-
              {{ input.n
                 + 1 }}
          - name: block
            returns: |
              {{ input.n + 1 }}
          - name: escaped
            returns: "{{ \\"a\\" ~ 'b' }}"
        """)
    assert client.run("w", {"n": 1})["output"] == 2
    assert client.run("block", {"n": 1})["output"] == 2
    assert client.run("escaped")["output"] == "ab"


def test_a_workflow_can_take_time_and_fail(play: Play) -> None:
    client = play("""
        workflows:
          - {name: slow, takes: 4m, returns: done}
          - {name: as_long_as_asked, takes: "{{ input.minutes }}m", returns: done}
          - {name: fails, takes: 2m, fails: no such page}
          - name: odd
            fails: {message: "{{ input }} is over", name: QuotaError, properties: {limit: 10},
                    cause: {message: inner, name: TypeError}}
          - {name: thrown, fails: {thrown: just text}}
        """)
    for name, given, length in [("slow", None, 240_000), ("as_long_as_asked", {"minutes": 3}, 180_000)]:
        client.run(name, given, workflowId=name)
        status = client.get(f"/workflow/{name}/status").json
        assert status["completedAt"] - status["startedAt"] == length
    assert client.run("fails")["error"] == {"message": "no such page", "name": "FatalError"}
    assert client.run("odd", "quota")["error"] == {
        "message": "quota is over",
        "cause": {"message": "inner", "name": "TypeError"},
        "limit": 10,
        "name": "QuotaError",
    }
    assert client.run("thrown")["error"]["message"].startswith("just text [A non-Error value was thrown")


def test_the_first_matching_when_is_used(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            when:
              - match: {url: https://bad.example}
                fails: no such page
              - match: {deep: {a: 1}}
                if: "{{ input.n > 1 }}"
                returns: both
              - if: "{{ input.n is defined and input.n > 100 }}"
                takes: 1m
                returns: "many: {{ input.n }}"
              - match: text
                steps:
                  - {step: work, returns: worked}
                returns: "{{ steps.work }}"
            returns: anything else
        """)

    def output(given: Any) -> Any:
        return client.run("w", given)["output"]

    assert client.run("w", {"url": "https://bad.example", "x": 1})["status"] == "failed"
    assert output({"deep": {"a": 1}, "n": 2}) == "both"
    assert output({"deep": {"a": 1}, "n": 0}) == "anything else"
    assert output({"n": 101}) == "many: 101"
    assert output("text") == "worked"
    assert output(None) == "anything else"


def test_successive_runs_get_successive_answers(play: Play) -> None:
    client = play("""
        workflows:
          - name: publish
            when:
              - match: {to: blog}
                answers: [{returns: first}, {returns: later}]
            answers:
              - fails: busy
              - {takes: 1m, returns: done}
              - steps: [{step: work, returns: 3}]
                returns: "{{ steps.work }}"
        """)
    assert [client.run("publish", {})["status"] for _ in range(1)] == ["failed"]
    assert [client.run("publish", {})["output"] for _ in range(3)] == ["done", 3, 3]
    assert [client.run("publish", {"to": "blog"})["output"] for _ in range(3)] == ["first", "later", "later"]


def test_a_run_that_is_reset_keeps_its_answer(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            answers:
              - {steps: [{step: a}], returns: 1}
              - {steps: [{step: a}], returns: 2}
        """)
    client.run("w", workflowId="w")
    client.post("/workflow/w/reset", {"stepName": "a"})
    client.until_closed("w")
    assert client.get("/workflow/w/result").json["output"] == 1


# --- steps -----------------------------------------------------------------------------------------------


def test_a_step_has_the_scripted_input_duration_and_output(play: Play) -> None:
    client = play(
        steps("""
        - step: research
          input: {about: "{{ input.topic }}"}
          takes: "{{ input.minutes * 60 }}"
          returns: ["{{ input.topic }}", b]
        - {step: same, input: "{{ steps.research }}", returns: "{{ steps.research[0] }}", as: again}
        - return: ["{{ steps.research }}", "{{ steps.again }}"]
        """)
    )
    result = client.run("w", {"topic": "bees", "minutes": 2}, workflowId="w")
    assert result["output"] == [["bees", "b"], "bees"]
    assert '"input": [{"about": "bees"}]' in json.dumps(client.events("w"))
    status = client.get("/workflow/w/status").json
    assert status["completedAt"] - status["startedAt"] == 120_000


def test_a_step_without_returns_has_no_result(play: Play) -> None:
    client = play(steps("- step: quiet\n- return: '{{ steps.quiet }}'"))
    assert client.run("w")["output"] is None


@pytest.mark.parametrize(
    ("fails", "attempts", "outcome"),
    [
        ("rate limited", 3, "rate limited"),
        ("{message: gone, name: FatalError}", 1, "gone"),
        ("{message: gone, retryable: false}", 1, "gone"),
        ("[rate limited, null]", 2, None),
        ("[one, {message: two, name: X}]", 3, None),
        ("[a, b, c]", 3, "c"),
        ("null", 1, None),
        ("'{{ input.message }}'", 3, "from the input"),
        ("'{{ none }}'", 1, None),
        ("'{{ [input.message, null] }}'", 2, None),
        ('\'{{ {"message": input.message, "name": "FatalError"} }}\'', 1, "from the input"),
    ],
)
def test_a_step_fails_as_often_as_scripted(
    play: Play, fails: str, attempts: int, outcome: str | None
) -> None:
    client = play(steps(f"- {{step: a, fails: {fails}, returns: 1}}\n- return: '{{{{ steps.a }}}}'"))
    result = client.run("w", {"message": "from the input"}, workflowId="w")
    assert (result["error"] or {}).get("message") == outcome
    assert result["output"] == (None if outcome else 1)
    last = [one for one in client.events("w") if one["eventTypeName"] == "ACTIVITY_TASK_STARTED"][-1]
    assert f'"attempt":{attempts}' in json.dumps(last, separators=(",", ":"))


RETHROWN = {"rethrow: true": "s", 'fail: "{{ error.message }}"': None}


@pytest.mark.parametrize("ending", RETHROWN)
def test_a_rethrown_failure_remains_the_failure_of_its_step(ending: str) -> None:
    mock = mocked(
        steps(
            f"""
            - try:
                - {{step: s, fails: {{message: no credit, name: FatalError}}}}
              catch:
                - {{step: note, input: "{{{{ error.name }}}}"}}
                - {ending}
            """
        )
    )
    error = Client(mock).run("w")["error"]
    assert (error["message"], error.get("activityType", "").rpartition("#")[2] or None) == (
        "no credit",
        RETHROWN[ending],
    )


def test_a_catch_can_catch_a_stop_and_rethrow_it() -> None:
    script = """
        - try:
            - wait_for_signal: go
          catch:
            - {{step: clean_up, input: "{{{{ error.name }}}}"}}
            - if: "{{{{ input == 'pass on' }}}}"
              then: [{{rethrow: true}}]
          catch_stop: {}
    """
    for catches, given, status, cleaned in (
        ("true", "go on", "completed", ["CancelledFailure"]),
        ("true", "pass on", "cancelled", ["CancelledFailure"]),
        ("false", "go on", "cancelled", []),
    ):
        mock = mocked(steps(script.format(catches)))
        client = Client(mock)
        client.start("w", given, workflowId="w")
        client.patch("/workflow/w/stop")
        mock.clock.advance("1m")
        run = mock.runs["w"]
        scheduled = [
            event["payloads"]["input"][0] if "payloads" in event else event
            for event in client.get("/workflow/w/history?includePayloads=true").json["events"]
            if event["eventTypeName"] == "ACTIVITY_TASK_SCHEDULED"
        ]
        assert (run.status, len(scheduled[1:])) == (status, len(cleaned))


def test_a_step_can_script_its_trace() -> None:
    mock = mocked(
        steps(
            """
            - step: s
              takes: 10s
              trace:
                - llm: generateText
                  model: "{{ input.model }}"
                  provider: openai
                  prompt: sum@v1
                  variables: {topic: "{{ input.topic }}"}
                  result: short
                  usage: {input: "{{ 10 * 100 }}", output: 200}
                  price: {input: 3, output: 15}
                  takes: 4s
                - {http: "GET https://a.example/{{ input.topic }}", status: 404, cost: 0.5}
                - {event: charge, kind: payment, input: 1, output: 2, attributes: {paid: {total: 3}}}
                - {event: fails, kind: k, fails: {message: bad, name: E}}
            - {evaluate: e, value: true, trace: [{llm: judge, model: m}]}
            """
        )
    )
    Client(mock).run("w", {"model": "m-1", "topic": "bees"}, workflowId="w")
    tree = mock.runs["w"].trace
    assert tree is not None
    _, step, evaluator = tree["children"]
    call, request, charge, failed = step["children"]
    assert call["name"] == "generateText"
    assert call["endedAt"] - call["startedAt"] == 4000
    assert call["input"] == {
        "prompt": "sum@v1",
        "variables": {"topic": "bees"},
        "loadedPrompt": {"name": "sum@v1", "config": {"provider": "openai", "model": "m-1"}},
    }
    assert call["output"]["usage"]["totalTokens"] == 1200
    assert call["attributes"]["llm:usage"]["total"] == 0.006
    assert request["input"] == {"method": "GET", "url": "https://a.example/bees"}
    assert request["error"]["status"] == 404
    assert (charge["kind"], charge["input"], charge["output"]) == ("payment", 1, 2)
    assert charge["attributes"] == {"paid": {"type": "paid", "total": 3}}
    assert (failed["error"]["name"], failed["error"]["message"]) == ("E", "bad")
    assert evaluator["children"][0]["name"] == "judge"


def test_a_step_can_have_its_own_options_and_schemas(play: Play) -> None:
    client = play(
        steps("""
        - step: once
          options: {retry: {maximumAttempts: 1}}
          input: {n: 1, more: 2}
          input_schema: {type: object, properties: {n: {type: number}}, required: [n]}
          output_schema: {type: string}
          returns: 5
        """)
    )
    error = client.run("w")["error"]
    assert error["name"] == "ValidationError"
    assert "expected string, received number" in error["message"]


def test_an_evaluator_gives_a_verdict(play: Play) -> None:
    client = play(
        steps("""
        - evaluate: quality
          input: "{{ input }}"
          value: "{{ input | length > 3 }}"
          confidence: "{{ 0.9 }}"
          reasoning: length
          label: "q{{ 1 }}"
          feedback: [{issue: short}]
          dimensions: [{name: style, value: 1, confidence: 1}]
          fails: [busy, null]
          takes: 1s
          options: {retry: {initialInterval: 1s}}
          as: verdict
        - return: "{{ steps.verdict }}"
        """)
    )
    verdict = client.run("w", "long enough")["output"]
    assert (verdict["value"], verdict["confidence"], verdict["reasoning"]) == (True, 0.9, "length")
    assert (verdict["name"], verdict["feedback"]) == ("q1", [{"issue": "short"}])
    assert verdict["dimensions"][0]["name"] == "style"


PARENT = """
    workflows:
      - name: parent
        steps:
          - {child: child, input: {n: "{{ input }}"}, options: {retry: {maximumAttempts: 1}}}
          - {child: child, input: {n: 0}, as: second}
        returns: ["{{ steps.child }}", "{{ steps.second }}"]
      - name: child
        returns: "{{ input.n + 1 }}"
      - name: slow
        takes: 1h
        returns: 1
      - name: leaves
        steps:
          - {child: slow, input: 1, detached: true, wait: false}
          - {child: slow, wait: false}
          - sleep: 1s
        returns: left
      - name: leaves_unknown
        steps:
          - {child: unknown, wait: false}
    """


def test_children_run_and_return_their_output(play: Play) -> None:
    client = play(PARENT)
    assert client.run("parent", 5, workflowId="p")["output"] == [6, 1]
    assert client.kinds("p").count("CHILD_WORKFLOW_EXECUTION_COMPLETED") == 2


def test_a_detached_child_continues_when_its_parent_ends() -> None:
    mock = mocked(PARENT)
    client = Client(mock)
    assert client.run("leaves", workflowId="p")["output"] == "left"
    children = [run for run in mock.runs.values() if run.workflow == "slow"]
    assert [child.status for child in children] == ["running", "terminated"]
    mock.clock.advance("1h")
    assert children[0].status == "completed"


def test_a_detached_child_must_exist(play: Play) -> None:
    answer = play(PARENT).post("/workflow/run", {"workflowName": "leaves_unknown"})
    assert answer.json["error"] == "ScriptError"
    assert "there is no workflow 'unknown' in catalog 'main' to run as a child" in answer.json["message"]
    assert "(script.yaml, line 21, column 17)" in answer.json["message"]


def test_a_sleep_is_a_timer_in_the_history(play: Play) -> None:
    client = play(steps("- sleep: 1h30m\n- sleep: 30\n- sleep: '{{ input.s }}s'"))
    client.run("w", {"s": 15}, workflowId="w", timeout=10_000_000)
    status = client.get("/workflow/w/status").json
    assert status["completedAt"] - status["startedAt"] == 5_445_000
    assert client.kinds("w").count("TIMER_FIRED") == 3


# --- waits, state, branches ------------------------------------------------------------------------------


def test_a_workflow_can_wait_for_a_signal_and_keep_its_payload(play: Play) -> None:
    client = play(
        steps("""
        - {wait_for_signal: go, as: first}
        - wait_for_signal: go
          then:
            - {step: went, input: "{{ signals.go }}"}
        - return: ["{{ steps.first }}", "{{ signals.go }}"]
        """)
    )
    client.start("w", workflowId="w")
    client.post("/workflow/w/signal/go", {"payload": {"n": 1}})
    client.post("/workflow/w/signal/go", {"payload": {"n": 2}})
    assert client.until_closed("w") == "completed"
    assert client.get("/workflow/w/result").json["output"] == [{"n": 1}, {"n": 2}]


def test_a_signal_that_does_not_come_in_time_fails_the_run_or_takes_a_branch(play: Play) -> None:
    client = play("""
        workflows:
          - name: fails
            steps: [{wait_for_signal: go, timeout: 1m}]
          - name: branches
            steps:
              - wait_for_signal: go
                timeout: "{{ input }}"
                then: [{return: came}]
                on_timeout: [{step: remind}]
            returns: did not come
          - name: handled
            state: {n: 0}
            signals: {go: {set: {n: 1}}}
            steps: [{wait_for_signal: go, timeout: 1m}]
        """)
    assert client.run("fails")["error"]["message"] == "no signal 'go' within 1m"
    assert client.run("branches", "30s", workflowId="b")["output"] == "did not come"
    assert any("branches#remind" in json.dumps(one) for one in client.events("b"))
    assert client.run("handled")["error"]["message"] == "no signal 'go' within 1m"
    client.start("branches", "1h", workflowId="came")
    client.post("/workflow/came/signal/go")
    client.until_closed("came")
    assert client.get("/workflow/came/result").json["output"] == "came"


def test_a_signal_with_a_handler_can_be_waited_for_too(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            state: {seen: []}
            signals:
              go:
                set: {seen: "{{ state.seen + [payload.n] }}"}
                steps: [{step: noted, input: "{{ payload }}"}]
            steps:
              - wait_for_signal: go
              - {wait_for_signal: go, as: second}
            returns: ["{{ state.seen }}", "{{ signals.go.n }}", "{{ steps.second.n }}"]
        """)
    client.start("w", workflowId="w")
    for n in (1, 2):
        client.post("/workflow/w/signal/go", {"payload": {"n": n}})
    assert client.until_closed("w") == "completed"
    assert client.get("/workflow/w/result").json["output"] == [[1, 2], 2, 2]
    assert sum("w#noted" in json.dumps(one) for one in client.events("w")) == 2


def test_a_signal_with_a_handler_wakes_one_of_several_waits(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            signals: {go: {}}
            steps:
              - parallel: [{wait_for_signal: go}, {wait_for_signal: go}]
                as: both
            returns: "{{ steps.both }}"
        """)
    client.start("w", workflowId="w")
    client.get("/workflow/w/status")
    client.post("/workflow/w/signal/go", {"payload": {"n": 1}})
    assert client.get("/workflow/w/status").json["status"] == "running"
    client.post("/workflow/w/signal/go", {"payload": {"n": 2}})
    assert client.until_closed("w") == "completed"
    assert client.get("/workflow/w/result").json["output"] == [{"n": 1}, {"n": 2}]


WAITS = """
    workflows:
      - name: w
        state: {ready: false, from_input: "{{ input.n }}"}
        signals: {go: {set: {ready: true}}}
        steps:
          - wait_until: "{{ state.ready }}"
            timeout: 1h
            then: [{return: "{{ state.from_input }}"}]
            on_timeout: [{return: too late}]
      - name: fails
        steps: [{wait_until: false, timeout: 90s}]
      - name: goes_on
        steps: [{wait_until: "{{ input.n == 1 }}"}]
        returns: went on
    """


def test_a_workflow_can_wait_for_a_condition(play: Play) -> None:
    client = play(WAITS)
    client.start("w", {"n": 5}, workflowId="w")
    client.post("/workflow/w/signal/go")
    client.until_closed("w")
    assert client.get("/workflow/w/result").json["output"] == 5
    assert client.run("w", {"n": 1}, timeout=10_000_000)["output"] == "too late"
    error = client.run("fails")["error"]
    assert error["message"] == "what was waited for did not happen within 90s"
    assert client.run("goes_on", {"n": 1})["output"] == "went on"


def test_set_evaluates_all_values_before_it_assigns_them(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            state: {a: 1, b: 2}
            steps:
              - set: {a: "{{ state.b }}", b: "{{ state.a }}"}
              - set: {a: "{{ [state.a, state] }}"}
            returns: "{{ state }}"
        """)
    assert client.run("w")["output"] == {"a": [2, {"a": 2, "b": 1}], "b": 1}


def test_each_run_has_its_own_state(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            state: {seen: []}
            steps: [{set: {seen: "{{ state.seen + [input] }}"}}]
            returns: "{{ state.seen }}"
        """)
    assert [client.run("w", n)["output"] for n in (1, 2)] == [[1], [2]]


@pytest.mark.parametrize(("given", "expected"), [(1, "low"), (5, "high"), (None, "none")])
def test_if_takes_one_branch_or_the_other(play: Play, given: Any, expected: str) -> None:
    client = play(
        steps("""
        - if: "{{ input is none }}"
          then: [{return: none}]
        - if: "{{ input < 3 }}"
          then: [{return: low}]
          else: [{return: high}]
        """).replace("return: none", "return: 'none'")
    )
    assert client.run("w", given)["output"] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("fast", "f"),
        (1, "one"),
        (1.5, "one and a half"),
        (True, "yes"),
        (None, "nothing"),
        ("other", "else"),
        ([1], "list"),
    ],
)
def test_switch_compares_values_as_text(play: Play, given: Any, expected: str) -> None:
    client = play(
        steps("""
        - switch: "{{ input }}"
          cases:
            fast: [{return: f}]
            1: [{return: one}]
            1.5: [{return: one and a half}]
            true: [{return: "yes"}]
            "null": [{return: nothing}]
            "[1]": [{return: list}]
          else: [{return: else}]
        """)
    )
    assert client.run("w", given)["output"] == expected


def test_a_switch_without_a_matching_case_continues(play: Play) -> None:
    client = play(steps("- switch: '{{ input }}'\n  cases: {a: [{fail: bad}]}\n- return: went on"))
    assert client.run("w", "b")["output"] == "went on"


def test_for_each_repeats_its_steps_for_every_item(play: Play) -> None:
    text = """
        - for_each: "{{{{ input }}}}"
          {}do:
            - {{step: read, input: "{{{{ item }}}}", returns: "{{{{ index }}}}: {{{{ item }}}}", takes: 1m}}
            - {{step: again, input: "{{{{ steps.read }}}}", returns: "{{{{ steps.read }}}}!"}}
          as: all
        - return: "{{{{ steps.all }}}}"
        """
    for at_once, minutes in [("", 2), ("at_once: true\n          ", 1)]:
        client = play(steps(text.format(at_once)))
        assert client.run("w", ["a", "b"], workflowId="w")["output"] == ["0: a!", "1: b!"]
        status = client.get("/workflow/w/status").json
        assert status["completedAt"] - status["startedAt"] == minutes * 60_000
    assert play(steps(text.format(""))).run("w", [])["output"] == []


def test_for_each_accepts_a_literal_list_and_can_be_nested(play: Play) -> None:
    client = play(
        steps("""
        - for_each: [a, b]
          do:
            - for_each: [1, "{{ index + 5 }}"]
              do: [{step: s, returns: "{{ item }}"}]
              as: inner
            - {step: t, returns: ["{{ item }}", "{{ steps.inner }}"]}
          as: all
        - return: "{{ steps.all }}"
        """)
    )
    assert client.run("w")["output"] == [["a", [1, 5]], ["b", [1, 6]]]


def test_parallel_branches_run_concurrently(play: Play) -> None:
    client = play(
        steps("""
        - parallel:
            - {step: a, takes: 2m, returns: 1}
            - - {step: b, takes: 1m, returns: 2}
              - {step: c, takes: 1m, input: "{{ steps.b }}", returns: 3}
            - sleep: 1m
          as: all
        - return: ["{{ steps.all }}", "{{ steps.a }}", "{{ steps.b }}", "{{ steps.c }}"]
        """)
    )
    assert client.run("w", workflowId="w")["output"] == [[1, 3, None], 1, 2, 3]
    status = client.get("/workflow/w/status").json
    assert status["completedAt"] - status["startedAt"] == 120_000


TRIES = """
    workflows:
      - name: w
        steps:
          - try:
              - if: "{{ input == 'step' }}"
                then: [{step: s, fails: {message: bad, name: FatalError, properties: {code: 7}}}]
              - if: "{{ input == 'child' }}"
                then: [{child: fails}]
              - if: "{{ input == 'signal' }}"
                then: [{wait_for_signal: go, timeout: 1m}]
              - if: "{{ input == 'condition' }}"
                then: [{wait_until: false, timeout: 1m}]
              - if: "{{ input == 'fail' }}"
                then: [{fail: {message: given up, name: QuitError}}]
              - if: "{{ input == 'later' }}"
                then: [{wait_until: false}]
              - return: nothing failed
            catch:
              - {step: tell, input: "{{ error }}"}
              - return: "{{ error }}"
      - name: fails
        fails: cannot
    """


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("step", {"code": 7, "name": "FatalError", "message": "bad"}),
        ("child", {"name": "FatalError", "message": "cannot", "status": "failed"}),
        ("signal", {"name": "TimeoutError", "message": "no signal 'go' within 1m"}),
        ("condition", {"name": "TimeoutError", "message": "what was waited for did not happen within 1m"}),
        ("fail", {"name": "QuitError", "message": "given up"}),
        ("none", "nothing failed"),
    ],
)
def test_try_catches_failures(play: Play, given: str, expected: Any) -> None:
    assert play(TRIES).run("w", given)["output"] == expected


def test_a_catch_does_not_catch_a_stop_by_default(play: Play) -> None:
    client = play(TRIES)
    client.start("w", "later", workflowId="w")
    client.get("/workflow/w/status")
    client.patch("/workflow/w/stop")
    assert client.until_closed("w") == "cancelled"


@pytest.mark.parametrize(
    ("fail", "expected"),
    [
        ("gone", {"name": "FatalError", "message": "gone"}),
        ("'{{ input }} is gone'", {"name": "FatalError", "message": "it is gone"}),
        ("{message: gone, name: ValidationError}", {"name": "ValidationError", "message": "gone"}),
    ],
)
def test_a_run_can_fail_at_any_step(play: Play, fail: str, expected: Any) -> None:
    client = play(steps(f"- if: true\n  then: [{{fail: {fail}}}]\n- step: never"))
    assert client.run("w", "it")["error"] == expected


def test_a_run_can_complete_at_any_step(play: Play) -> None:
    client = play(steps("- for_each: [1, 2]\n  do:\n    - return: '{{ item }}'\n- step: never"))
    assert client.run("w", workflowId="w")["output"] == 1
    assert not any("w#never" in json.dumps(one) for one in client.events("w"))


def test_a_run_can_continue_as_new(play: Play) -> None:
    client = play(
        steps("""
        - if: "{{ input.n | default(0) < 3 }}"
          then:
            - continue_as_new: {n: "{{ input.n | default(0) + 1 }}"}
        - return: "{{ input.n }}"
        """)
    )
    assert client.run("w", {})["output"] == 3


def test_a_run_can_continue_as_new_without_an_input(play: Play) -> None:
    client = play(
        "workflows:\n  - name: w\n    steps:\n      - if: '{{ input is not none }}'\n"
        "        then:\n          - continue_as_new:\n    returns: '{{ input }}'\n"
    )
    assert client.run("w", 1)["output"] is None


# --- messages and stops ----------------------------------------------------------------------------------

MESSAGES = """
    workflows:
      - name: w
        state: {stage: draft, threshold: 0.8, log: []}
        queries:
          getProgress: {returns: "{{ state }}"}
          research: {returns: "{{ steps.research | default('not yet') }}"}
          picky:
            when:
              - {match: {verbose: true}, returns: ["{{ state.stage }}", "{{ payload }}"]}
              - {if: "{{ payload.fail | default(false) }}", fails: "no {{ payload.fail }}"}
            returns: short
          broken: {fails: {message: query broke}}
          nothing: {}
        signals:
          note: {set: {log: "{{ state.log + [payload.text] }}"}}
          finish: {set: {stage: done}}
        updates:
          setThreshold:
            refuse:
              - {if: "{{ payload.threshold is not number }}", message: threshold must be a number}
              - {if: "{{ payload.threshold > 1 }}", message: "{{ payload.threshold }} is more than 1"}
            set: {threshold: "{{ payload.threshold }}"}
            returns: {before: "{{ before.threshold }}", now: "{{ state.threshold }}"}
          broken: {fails: {message: "update broke", name: UpdateError}}
          silent: {set: {stage: silent}}
          waits:
            steps:
              - {step: prepare, input: "{{ payload }}", returns: prepared}
              - wait_until: "{{ state.stage == 'done' }}"
            returns: ["{{ steps.prepare }}", "{{ before.stage }}"]
        steps:
          - {step: research, takes: 1m, returns: found}
          - wait_until: "{{ state.stage == 'done' }}"
        returns: "{{ state.log }}"
    """


def test_queries_are_answered_from_the_state(connect: Connect) -> None:
    client = connect(mocked(MESSAGES))
    client.start("w", workflowId="w")

    def ask(name: str, payload: Any = None) -> Any:
        answer = client.post(f"/workflow/w/query/{name}", {"payload": payload} if payload else {})
        return answer.json if answer.status == 200 and answer.body else (answer.status, answer.text)

    assert ask("research") == "not yet"
    assert ask("getProgress") == {"stage": "draft", "threshold": 0.8, "log": []}
    assert ask("research") == "found"
    assert ask("picky", {"verbose": True, "x": 1}) == ["draft", {"verbose": True, "x": 1}]
    assert ask("picky") == "short"
    assert "no way" in ask("picky", {"fail": "way"})[1]
    assert "query broke" in ask("broken")[1]
    assert ask("nothing") == (200, "")
    client.post("/workflow/w/signal/note", {"payload": {"text": "a"}})
    client.post("/workflow/w/signal/note", {"payload": {"text": "b"}})
    client.post("/workflow/w/signal/finish")
    assert client.until_closed("w") == "completed"
    assert client.get("/workflow/w/result").json["output"] == ["a", "b"]
    assert ask("getProgress")["stage"] == "done"


def test_updates_can_be_refused_set_state_and_return_values(connect: Connect) -> None:
    mock = mocked(MESSAGES)
    client = connect(mock)
    client.start("w", workflowId="w")

    def update(name: str, payload: Any = None) -> Any:
        answer = client.post(f"/workflow/w/update/{name}", {"payload": payload} if payload else {})
        return answer.json if answer.status == 200 and answer.body else answer.text

    assert update("setThreshold", {"threshold": 0.5}) == {"before": 0.8, "now": 0.5}
    for payload in ({"threshold": "x"}, None, {"threshold": 5}):
        assert "WorkflowUpdateFailedError" in update("setThreshold", payload)
    # The API does not return the reason.
    for name, given, reason in [
        ("setThreshold", {"threshold": "x"}, "threshold must be a number"),
        ("setThreshold", {}, "threshold must be a number"),
        ("setThreshold", {"threshold": 5}, "5 is more than 1"),
        ("broken", {}, "update broke"),
    ]:
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            mock.world.update("w", name, given)
        assert refused.value.reason == reason
    assert update("silent") is None
    client.post("/workflow/w/signal/finish")
    assert client.until_closed("w") == "completed"


def test_an_update_can_run_steps_before_it_returns(play: Play) -> None:
    client = play(MESSAGES)
    client.start("w", workflowId="w")
    client.get("/workflow/w/status")
    client.post("/workflow/w/signal/finish")
    answer = client.post("/workflow/w/update/waits", {"payload": {"a": 1}})
    assert answer.json == ["prepared", "done"]


STOPS = """
    workflows:
      - name: w
        steps:
          - {step: first, returns: 1}
          - wait_until: false
        on_stop:
          - {step: clean_up, input: "{{ steps.first }}"}
          - if: "{{ input == 'complete' }}"
            then: [{return: cleaned}]
          - if: "{{ input == 'fail' }}"
            then: [{fail: not clean}]
    """


@pytest.mark.parametrize(
    ("given", "status", "output"),
    [("stop", "cancelled", None), ("complete", "completed", "cleaned"), ("fail", "failed", None)],
)
def test_a_run_cleans_up_when_it_is_stopped(play: Play, given: str, status: str, output: Any) -> None:
    mock = mocked(STOPS)
    client = Client(mock)
    client.start("w", given, workflowId="w")
    client.get("/workflow/w/status")
    client.patch("/workflow/w/stop")
    assert client.until_closed("w") == status
    assert mock.runs["w"].output == output
    assert any("w#clean_up" in json.dumps(one) for one in client.events("w"))


def test_yaml_anchors_can_be_reused(play: Play) -> None:
    client = play("""
        workflows:
          - name: w
            steps:
              - &work {step: work, returns: {a: 1}}
              - *work
            returns: "{{ steps.work }}"
        """)
    assert client.run("w", workflowId="w")["output"] == {"a": 1}
    assert sum("w#work" in json.dumps(one) for one in client.events("w")) == 2


def test_a_reset_runs_the_steps_again(play: Play) -> None:
    client = play(MESSAGES)
    client.start("w", workflowId="w")
    client.post("/workflow/w/signal/note", {"payload": {"text": "a"}})
    for _ in range(3):
        client.get("/workflow/w/status")
    assert client.post("/workflow/w/reset", {"stepName": "research"}).status == 200
    client.post("/workflow/w/signal/finish")
    assert client.until_closed("w") == "completed"
    assert client.get("/workflow/w/result").json["output"] == ["a"]


# --- what is loaded when ---------------------------------------------------------------------------------


def test_no_yaml_is_imported_before_a_yaml_file_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "from output_mock import Script\nscript = Script()\nscript.workflow('a').returns(1)\n"
    )
    (tmp_path / "two.yaml").write_text("workflows: [{name: b, returns: '{{ input }}'}]")
    code = (
        "import sys\nimport output_mock.cli, output_mock.cli.watch\nfrom output_mock import OutputMock\n"
        "mock = OutputMock(scripts=['one.py'])\n"
        "def loaded(): return sorted(name for name in sys.modules if 'yaml' in name or name in "
        "('jinja2.sandbox', 'jinja2.nativetypes'))\n"
        "assert loaded() == [], loaded()\n"
        "mock.load('two.yaml')\nassert 'yaml' in loaded()\nprint('good')\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (ended.stdout, ended.stderr) == ("good\n", "")


def test_a_sleep_with_a_negative_duration_takes_a_millisecond(play: Play) -> None:
    client = play(steps("- sleep: '{{ input.wait - 10 }}'\n- sleep: -3\n- sleep: '-1h'"))
    client.run("w", {"wait": 3}, workflowId="wf")
    status = client.get("/workflow/wf/status").json
    assert status["completedAt"] - status["startedAt"] == 3


def test_a_step_fails_for_the_inputs_named_in_its_failure(play: Play) -> None:
    client = play(
        steps("""
            - for_each: "{{ input.amounts }}"
              do:
                - try:
                    - step: charge
                      input: "{{ item }}"
                      options: {retry: {maximumAttempts: 1}}
                      fails: {message: "{{ item }} is too much", name: PaymentError, if: "{{ item > 100 }}"}
                      returns: paid
                  catch: [{set: {told: "{{ error.name ~ ': ' ~ error.message }}"}}]
              as: results
        """)
        .replace("- name: w\n", "- name: w\n    state: {told: nothing}\n")
        .rstrip()
        + '\n    returns: {results: "{{ steps.results }}", told: "{{ state.told }}"}\n'
    )
    assert client.run("w", {"amounts": [5, 200]})["output"] == {
        "results": ["paid", None],
        "told": "PaymentError: 200 is too much",
    }


@pytest.mark.parametrize(
    ("given", "output"),
    [({"mode": "x"}, "given"), ({"mode": None}, "given"), ({}, "missing"), (None, "missing")],
)
def test_a_when_can_require_that_a_key_is_undefined(play: Play, given: Any, output: str) -> None:
    client = play("""\
        workflows:
          - name: w
            when:
              - if: "{{ input.mode == undefined }}"
                returns: missing
              - if: "{{ input.mode != undefined }}"
                returns: given
    """)
    assert client.run("w", given)["output"] == output
