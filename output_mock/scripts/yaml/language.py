"""The language of YAML scripts: every key, what its value can be, and what it means.

The reader, the JSON Schema and the interpreter all use these tables.
"""

from __future__ import annotations

from typing import Any

from output_mock.callbacks.scripted import TROUBLES, ScriptedAnswer
from output_mock.scripts.yaml.kinds import (
    Choice,
    Condition,
    Duration,
    FieldType,
    Flag,
    Items,
    JSONSchema,
    JSONSchemaOf,
    Key,
    ListOf,
    Literal,
    Map,
    Message,
    Names,
    ObjectType,
    Options,
    ParsedMapping,
    SDKDuration,
    Text,
    Value,
)
from output_mock.scripts.yaml.reader import Reader
from output_mock.scripts.yaml.source import Node
from output_mock.sdk.http_requests import METHODS
from output_mock.suggestions import nearest

_IDENTIFIER = "^[a-zA-Z_][a-zA-Z0-9_]*$"
TEXT, FLAG, VALUE, MESSAGE, LITERAL = Text(), Flag(), Value(), Message(), Literal()
CONDITION, SCHEMA, DURATION, LENGTH = Condition(), JSONSchemaOf(), Duration(), Duration(fixed=True)
SDK_DURATION, PAUSE = SDKDuration(), Duration(pause=True)
NAME = Text("a name")
RESULT_NAME = Text("the name of a result", _IDENTIFIER)
WORKFLOW_NAME = Text("the name of a workflow", _IDENTIFIER)
CATALOGS = Names(Text("the name of a catalog"))


# Actions: each has one keyword, which says what it is, and further keys.


class Steps(FieldType):
    """A list of actions."""

    def schema(self) -> JSONSchema:
        return {"$ref": "#/$defs/steps"}

    def definition(self) -> JSONSchema:
        """What `schema` refers to."""
        return {"type": "array", "items": {"$ref": "#/$defs/action"}}

    def read(self, node: Node, reader: Reader, key: str) -> list[ParsedMapping]:
        if not node.is_list:
            hint = "; begin each with a dash" if node.is_object else ""
            reader.mistake(node.place, f"{key} must be a list of actions, not {node.kind}{hint}")
            return []
        found = [self.action(item, reader) for item in node.value]
        return [said for said in found if said is not None]

    def action(self, node: Node, reader: Reader) -> ParsedMapping | None:
        """One action, or None if it is unclear which."""
        if not node.is_object:
            hint = ""
            if node.is_text:
                word = node.value
                hint = f"; write `{word}: …`" if word in ACTIONS else f"; for a step, write `step: {word}`"
            reader.mistake(
                node.place, f"an action must be an object such as `step: draft`, not {node.kind}{hint}"
            )
            return None
        keywords = [name for name in node.value if name in ACTIONS]
        if len(keywords) == 1:
            said = ACTIONS[keywords[0]].read(node, reader, keywords[0])
            reader.acted(keywords[0], said)
            return said
        if keywords:
            place = node.value[keywords[1]][0]
            reader.mistake(
                place,
                f"an action does one thing, and this one has `{keywords[0]}:` and `{keywords[1]}:`; "
                "begin another one with a dash",
            )
            return None
        reader.mistake(node.place, self._says_nothing(node))
        return None

    def _says_nothing(self, node: Node) -> str:
        for name in node.value:
            close = nearest(name, list(ACTIONS))
            if close:
                return f"this does not say what to do: there is no {name!r}{close}"
        return f"this does not say what to do; an action has one of {', '.join(ACTIONS)}"


class Branches(FieldType):
    """What happens at the same time: actions, or lists of actions."""

    def schema(self) -> JSONSchema:
        branch = {"anyOf": [{"$ref": "#/$defs/action"}, {"$ref": "#/$defs/steps"}]}
        return {"type": "array", "items": branch}

    def read(self, node: Node, reader: Reader, key: str) -> list[list[ParsedMapping]]:
        if not node.is_list:
            reader.mistake(
                node.place, f"{key} must be a list of actions and lists of actions, not {node.kind}"
            )
            return []
        found = []
        for item in node.value:
            if item.is_list:
                found.append(STEPS.read(item, reader, key))
            else:
                said = STEPS.action(item, reader)
                found.append([] if said is None else [said])
        return found


class Settings(Map):
    """State and its new values."""

    def read(self, node: Node, reader: Reader, key: str) -> dict[str, Any]:
        if node.is_object:
            for name, place, _ in node.items():
                reader.has_set(name, place)
        return super().read(node, reader, key)


class Fails(FieldType):
    """How something fails: text, an object, or, with `each`, a list with one entry for each attempt."""

    def __init__(self, *, each: bool = False) -> None:
        self.each = each

    def schema(self) -> JSONSchema:
        one = [{"type": "string"}, (STEP_FAILURE if self.each else FAILURE).schema()]
        if not self.each:
            return {"anyOf": one}
        return {
            "anyOf": [*one, {"type": "null"}, {"type": "array", "items": {"anyOf": [*one, {"type": "null"}]}}]
        }

    def read(self, node: Node, reader: Reader, key: str) -> Any:
        if node.is_object:
            return (STEP_FAILURE if self.each else FAILURE).read(node, reader, key)
        if node.is_text or (self.each and node.value is None):
            return reader.template(node)
        if self.each and node.is_list:
            return [self._one(item, reader, key) for item in node.value]
        forms = "text, an object with message and name, or a list of those, one for each attempt"
        if not self.each:
            forms = "text, or an object with message and name"
        reader.mistake(node.place, f"{key} must be {forms}, not {node.kind}")
        return reader.template(node)

    def _one(self, node: Node, reader: Reader, key: str) -> Any:
        if node.is_object:
            return STEP_FAILURE.read(node, reader, key)
        if not (node.is_text or node.value is None):
            reader.mistake(
                node.place,
                f"each attempt must be text or an object with which it fails, or null if it "
                f"succeeds, not {node.kind}",
            )
        return reader.template(node)


class Rethrow(FieldType):
    """The word `true`, inside a catch."""

    def schema(self) -> JSONSchema:
        return {"const": True}

    def read(self, node: Node, reader: Reader, key: str) -> bool:
        if node.value is not True:
            reader.mistake(node.place, f"{key} must be true, not {node.kind}")
        elif "error" not in reader.known_names:
            reader.mistake(node.place, "`rethrow:` only works in a catch; there is nothing to rethrow here")
        return True


class Inside(FieldType):
    """A list of what happens inside a step, each with one keyword that says what it is."""

    def schema(self) -> JSONSchema:
        return {"type": "array", "items": {"anyOf": [shape.schema() for shape in NODES.values()]}}

    def read(self, node: Node, reader: Reader, key: str) -> list[ParsedMapping]:
        if not node.is_list:
            hint = "; begin each with a dash" if node.is_object else ""
            reader.mistake(node.place, f"{key} must be a list of {', '.join(NODES)}, not {node.kind}{hint}")
            return []
        found = []
        for item in node.value:
            names = [name for name in item.value if name in NODES] if item.is_object else []
            if len(names) != 1:
                reader.mistake(
                    item.place, f"each thing that happens inside a step must have one of {', '.join(NODES)}"
                )
                continue
            found.append(NODES[names[0]].read(item, reader, names[0]))
        return found


STEPS = Steps()
FAIL, FAILS = Fails(), Fails(each=True)

_SAID = [("message", "name", "thrown")]
_THROWN = [("thrown", "message"), ("thrown", "name"), ("thrown", "properties"), ("thrown", "cause")]
FAILURE = ObjectType(
    "failure",
    "a failure",
    "How something fails: the error's message, its name, and what else there is to it.",
    {
        "message": Key(MESSAGE, "The error's message."),
        "name": Key(
            MESSAGE,
            "The error's class. FatalError and ValidationError are never tried again. "
            "Default: FatalError where a run fails, Error elsewhere.",
        ),
        "retryable": Key(FLAG, "Whether it may be tried again. Default: true, except for the fatal errors."),
        "properties": Key(VALUE, "Further properties of the error: an object."),
        "thrown": Key(VALUE, "A value that is thrown in place of an error, as `throw 'words'` does."),
    },
    needs=_SAID,
    excludes=_THROWN,
)
FAILURE.keys["cause"] = Key(FAILURE, "The error that caused this one.")
STEP_FAILURE = ObjectType(
    "step_failure",
    "a failure",
    "How a step or an evaluator fails: as any failure, and for which inputs.",
    {
        **FAILURE.keys,
        "if": Key(CONDITION, "When it fails. When the condition is false, it works. Default: always."),
    },
    needs=_SAID,
    excludes=_THROWN,
)

RETRY = ObjectType(
    "retry",
    "retry",
    "How often and how soon a failed step is tried again.",
    {
        "initialInterval": Key(SDK_DURATION, "The wait before the second attempt. Default: 10s."),
        "backoffCoefficient": Key(
            LITERAL, "The factor by which the wait grows with each attempt. Default: 2."
        ),
        "maximumInterval": Key(SDK_DURATION, "The longest wait. Default: 2m."),
        "maximumAttempts": Key(LITERAL, "How many attempts there are. Default: 3."),
        "nonRetryableErrorTypes": Key(LITERAL, "Names of errors after which the step is not tried again."),
    },
)
OPTIONS = Options(
    "options",
    "options",
    "Options of steps, with the names that they have in the SDK.",
    {
        "startToCloseTimeout": Key(SDK_DURATION, "How long one attempt may take. Default: 20m."),
        "heartbeatTimeout": Key(SDK_DURATION, "How long a step may send no heartbeat. Default: 5m."),
        "scheduleToCloseTimeout": Key(SDK_DURATION, "How long all attempts together may take."),
        "scheduleToStartTimeout": Key(SDK_DURATION, "How long a step may wait for a worker to take it."),
        "retry": Key(RETRY, "How a failed step is tried again."),
        "priority": Key(LITERAL, "The priority of the step's task."),
        "activityId": Key(TEXT, "The activity's id in the history."),
        "summary": Key(TEXT, "Accepted, but it has no effect in the fake."),
        "cancellationType": Key(TEXT, "Accepted, but it has no effect in the fake."),
    },
)

_NODE = {
    "fails": Key(FAIL, "How it fails. The step itself fails only if it has `fails:`, too."),
    "takes": Key(DURATION, "How long it takes. Default: an equal share of the rest of the step's time."),
}
NODES: dict[str, ObjectType] = {
    shape.name: shape
    for shape in (
        ObjectType(
            "llm",
            "a model's call",
            "A call of a language model.",
            {
                "llm": Key(
                    MESSAGE,
                    "The function that is called: generateText, streamText, Agent.generate, ….",
                    required=True,
                ),
                "model": Key(MESSAGE, "The model's name.", required=True),
                "provider": Key(MESSAGE, "The model's provider. Default: anthropic."),
                "prompt": Key(MESSAGE, "The name of the prompt file."),
                "variables": Key(VALUE, "The prompt's variables: an object."),
                "result": Key(VALUE, "The model's answer."),
                "usage": Key(
                    VALUE, "The numbers of tokens: an object with input, cached_input, output, reasoning."
                ),
                "price": Key(VALUE, "Dollars for a million tokens, for each of these kinds."),
                "version": Key(
                    MESSAGE, "The version of the LLM package whose trace format is written: '0.11' or '0.13'."
                ),
                **_NODE,
            },
        ),
        ObjectType(
            "http",
            "a request",
            "An HTTP request.",
            {
                "http": Key(MESSAGE, "The method and the URL: GET https://….", required=True),
                "status": Key(VALUE, "The status of the response. Default: 200."),
                "cost": Key(VALUE, "What the request cost, in dollars."),
                **_NODE,
            },
        ),
        ObjectType(
            "event",
            "an event",
            "Anything else that a step writes into the trace.",
            {
                "event": Key(MESSAGE, "The event's name.", required=True),
                "kind": Key(MESSAGE, "The event's kind.", required=True),
                "input": Key(VALUE, "The event's input."),
                "output": Key(VALUE, "The event's output."),
                "attributes": Key(VALUE, "The event's attributes: an object with one object for each type."),
                **_NODE,
            },
        ),
    )
}
_TRACE = Key(Inside(), "What each attempt does inside, for the trace: calls of models, requests.")
_AS = Key(RESULT_NAME, "The name of the result. Expressions get it as steps.NAME.")
_TIMEOUT = Key(DURATION, "How long to wait. After that the run fails, unless there is `on_timeout:`.")
_HEADERS = Key(
    Map(MESSAGE, "names and values"), "The request's headers; `$NAME` stands for the environment's value."
)
_ON_TIMEOUT = Key(STEPS, "What to do when the timeout has passed. After it the run continues.")

ACTIONS: dict[str, ObjectType] = {
    shape.name: shape
    for shape in (
        ObjectType(
            "step",
            "a step",
            "Runs a step (an activity). Expressions get its result as steps.NAME.",
            {
                "step": Key(NAME, "The step's name.", required=True),
                "input": Key(VALUE, "The step's input."),
                "returns": Key(VALUE, "The step's result."),
                "fails": Key(
                    FAILS,
                    "How the step fails: always, or when `if:` is true; or a list, one entry for each "
                    "attempt, where null means success.",
                ),
                "takes": Key(DURATION, "How long each attempt takes."),
                "options": Key(OPTIONS, "Options of this step: timeouts and retries."),
                "input_schema": Key(SCHEMA, "The JSON Schema that the step's input must fit."),
                "output_schema": Key(SCHEMA, "The JSON Schema that the step's output must fit."),
                "trace": _TRACE,
                "as": _AS,
            },
        ),
        ObjectType(
            "evaluate",
            "an evaluator",
            "Runs an evaluator. Its result, steps.NAME, has value, confidence, reasoning, and so on.",
            {
                "evaluate": Key(NAME, "The evaluator's name.", required=True),
                "input": Key(VALUE, "The evaluator's input."),
                "value": Key(VALUE, "The verdict."),
                "confidence": Key(VALUE, "How sure the evaluator is, from 0 to 1. Default: 1."),
                "reasoning": Key(VALUE, "Why the evaluator decided so."),
                "label": Key(MESSAGE, "The result's `name`."),
                "feedback": Key(VALUE, "What could be better: a list of objects."),
                "dimensions": Key(VALUE, "Further results below this one: a list of objects."),
                "fails": Key(FAILS, "How the evaluator fails, as for a step."),
                "takes": Key(DURATION, "How long each attempt takes."),
                "options": Key(OPTIONS, "Options of this step: timeouts and retries."),
                "trace": _TRACE,
                "as": _AS,
            },
        ),
        ObjectType(
            "child",
            "a child",
            "Runs another workflow of the same catalog as a child. Expressions get its output as steps.NAME.",
            {
                "child": Key(WORKFLOW_NAME, "The workflow's name.", required=True),
                "input": Key(VALUE, "The child's input."),
                "detached": Key(FLAG, "Whether the child continues when its parent ends. Default: false."),
                "wait": Key(FLAG, "Whether to wait for the child's output. Default: true."),
                "options": Key(OPTIONS, "Options of the child's steps."),
                "as": _AS,
            },
        ),
        ObjectType(
            "send_http_request",
            "a request",
            "Sends a request to your application, as the SDK's sendHttpRequest does. With `as:`, expressions "
            "get the answer: status, ok and so on.",
            {
                "send_http_request": Key(MESSAGE, "The URL.", required=True),
                "method": Key(Choice(METHODS), "The method. Default: GET."),
                "payload": Key(VALUE, "What is sent, with POST, PUT, PATCH and DELETE."),
                "headers": _HEADERS,
                "include_headers": Key(FLAG, "Whether the answer has its `headers`. Default: false."),
                "include_body": Key(FLAG, "Whether the answer has its `body`. Default: false."),
                "as": _AS,
            },
        ),
        ObjectType(
            "send_post_request_and_await_webhook",
            "a question",
            "Sends the workflow id and a payload to your application, and waits until it answers through "
            "/feedback, as the SDK's sendPostRequestAndAwaitWebhook does. With `as:`, expressions get the "
            "payload of that answer.",
            {
                "send_post_request_and_await_webhook": Key(MESSAGE, "The URL.", required=True),
                "payload": Key(VALUE, "What is sent."),
                "headers": _HEADERS,
                "timeout": _TIMEOUT,
                "then": Key(STEPS, "What to do when the answer has come."),
                "on_timeout": _ON_TIMEOUT,
                "as": _AS,
            },
        ),
        ObjectType(
            "sleep",
            "a sleep",
            "Waits for some time: a timer.",
            {
                "sleep": Key(
                    PAUSE,
                    "How long: 500ms, 10s, 1h30m, 7d, or a number of seconds. 0 or less is a millisecond.",
                    required=True,
                )
            },
        ),
        ObjectType(
            "wait_for_signal",
            "a wait for a signal",
            "Waits for the next signal of this name. A signal that came earlier counts. Expressions get "
            "its payload as signals.NAME.",
            {
                "wait_for_signal": Key(NAME, "The signal's name.", required=True),
                "timeout": _TIMEOUT,
                "then": Key(STEPS, "What to do when the signal has come."),
                "on_timeout": _ON_TIMEOUT,
                "as": _AS,
            },
        ),
        ObjectType(
            "wait_until",
            "a wait",
            "Waits until a condition is true, because a signal or an update has changed the state.",
            {
                "wait_until": Key(CONDITION, "The condition.", required=True),
                "timeout": _TIMEOUT,
                "then": Key(STEPS, "What to do when the condition is true."),
                "on_timeout": _ON_TIMEOUT,
            },
        ),
        ObjectType(
            "set",
            "a set",
            "Changes the run's state.",
            {"set": Key(Settings(VALUE, "state and its new values"), "The new values.", required=True)},
        ),
        ObjectType(
            "if",
            "an if",
            "Chooses between two lists of actions.",
            {
                "if": Key(CONDITION, "The condition.", required=True),
                "then": Key(STEPS, "What to do when the condition is true.", required=True),
                "else": Key(STEPS, "What to do when the condition is false."),
            },
        ),
        ObjectType(
            "switch",
            "a switch",
            "Chooses actions by a value.",
            {
                "switch": Key(VALUE, "The value. It is compared with the cases as text.", required=True),
                "cases": Key(Map(STEPS, "values and actions"), "The actions for each value.", required=True),
                "else": Key(STEPS, "The actions for all other values."),
            },
        ),
        ObjectType(
            "for_each",
            "a for_each",
            "Does the same for every item of a list. With `as:`, its result is the list of results.",
            {
                "for_each": Key(Items(), "The list.", required=True),
                "do": Key(
                    STEPS,
                    "What to do for each item. Expressions get item and index. Results of steps are known "
                    "only in here.",
                    required=True,
                    names=("item", "index"),
                    own_results=True,
                ),
                "at_once": Key(FLAG, "Whether to do it for all items at the same time. Default: false."),
                "as": _AS,
            },
        ),
        ObjectType(
            "parallel",
            "a parallel",
            "Does several things at the same time, and waits for all of them.",
            {
                "parallel": Key(Branches(), "Actions, or lists of actions.", required=True),
                "as": _AS,
            },
        ),
        ObjectType(
            "try",
            "a try",
            "Catches the failure of a step, a child or a wait.",
            {
                "try": Key(STEPS, "What to do.", required=True),
                "catch": Key(
                    STEPS,
                    "What to do when it fails. Expressions get error.name and error.message.",
                    required=True,
                    names=("error",),
                ),
                "catch_stop": Key(
                    FLAG,
                    "Whether the catch also takes a stop of the run, as error.name CancelledFailure. "
                    "Default: false.",
                ),
            },
        ),
        ObjectType(
            "rethrow",
            "a rethrow",
            "In a `catch`: fails with what was caught, unchanged. A step's failure stays a step's failure.",
            {"rethrow": Key(Rethrow(), "Always true.", required=True)},
        ),
        ObjectType(
            "fail",
            "a fail",
            "Fails the run. In a `try`, continues with its `catch`.",
            {"fail": Key(FAIL, "How the run fails.", required=True)},
        ),
        ObjectType(
            "return",
            "a return",
            "Completes the run at once.",
            {"return": Key(VALUE, "The output.", required=True)},
        ),
        ObjectType(
            "continue_as_new",
            "a continue_as_new",
            "Ends the run and starts the next run of the chain.",
            {"continue_as_new": Key(VALUE, "The next run's input. Empty for none.", required=True)},
        ),
    )
}

# What a workflow does


def _answer(what: str) -> dict[str, Key]:
    return {
        "takes": Key(DURATION, "How long to wait before anything else."),
        "steps": Key(STEPS, "The actions, one after the other."),
        "returns": Key(VALUE, f"The output of {what}, once the steps are done."),
        "fails": Key(FAIL, f"How {what} fails, once the steps are done."),
    }


_ONE_ANSWER = ("steps", "returns", "fails", "takes")
ANSWER = ObjectType(
    "answer",
    "an answer",
    "What one run does.",
    _answer("that run"),
    needs=[_ONE_ANSWER],
    excludes=[("returns", "fails")],
)
_ANSWERS = Key(
    ListOf(ANSWER, "answers"),
    "What successive runs do: the first run does the first entry, and so on. The last entry is repeated.",
)
_NOT_BOTH = [("returns", "fails"), *(("answers", key) for key in _ONE_ANSWER)]
_MATCH = "What the {} must have: an object with entries (others are ignored), or any other JSON."
WHEN = ObjectType(
    "when",
    "a when",
    "What a run does if its input matches.",
    {
        "match": Key(LITERAL, _MATCH.format("input")),
        "if": Key(CONDITION, "The condition."),
        **_answer("such a run"),
        "answers": _ANSWERS,
    },
    needs=[("match", "if"), (*_ONE_ANSWER, "answers")],
    excludes=_NOT_BOTH,
)
QUERY_WHEN = ObjectType(
    "query_when",
    "a when",
    "The answer to queries whose payload matches.",
    {
        "match": Key(LITERAL, _MATCH.format("payload")),
        "if": Key(CONDITION, "The condition."),
        "returns": Key(VALUE, "The answer."),
        "fails": Key(FAIL, "How the query fails."),
    },
    needs=[("match", "if"), ("returns", "fails")],
    excludes=[("returns", "fails")],
)
QUERY = ObjectType(
    "query",
    "a query",
    "How a query is answered. Without any key, the answer is empty. If no `when` fits and there is no other "
    "answer, that is a mistake in the script.",
    {
        "when": Key(ListOf(QUERY_WHEN, "answers"), "Answers to certain payloads. The first match wins."),
        "returns": Key(VALUE, "The answer."),
        "fails": Key(FAIL, "How the query fails."),
    },
    excludes=[("returns", "fails")],
)
_SET = Key(Settings(VALUE, "state and its new values"), "Changes the run's state.")
SIGNAL = ObjectType(
    "signal",
    "a signal's handler",
    "What happens when this signal comes.",
    {"set": _SET, "steps": Key(STEPS, "Actions that run beside the run's own steps.", handler=True)},
)
REFUSE = ObjectType(
    "refuse",
    "a refusal",
    "When an update is refused.",
    {
        "if": Key(CONDITION, "The condition for refusing the update.", required=True),
        "message": Key(MESSAGE, "The message to the client.", required=True),
    },
)
UPDATE = ObjectType(
    "update",
    "an update",
    "What an update does, and how it is answered.",
    {
        "refuse": Key(ListOf(REFUSE, "refusals", or_one=True), "When the update is refused, and why."),
        "set": _SET,
        "steps": Key(STEPS, "Actions that run before the answer.", handler=True),
        "returns": Key(VALUE, "The answer; `before` is the state before `set`.", names=("before",)),
        "fails": Key(FAIL, "How the update fails.", names=("before",)),
    },
    excludes=[("returns", "fails")],
)
_PAYLOAD = ("payload",)
RECEIVED = ObjectType(
    "received",
    "a signal that comes",
    "A signal that every run gets by itself, some time after its start.",
    {
        "signal": Key(TEXT, "The signal's name.", required=True),
        "payload": Key(LITERAL, "The signal's payload."),
        "after": Key(LENGTH, "How long after the start of the run the signal comes.", required=True),
    },
)
WORKFLOW = ObjectType(
    "workflow",
    "a workflow",
    "A workflow: what the catalog says about it, and what it does.",
    {
        "name": Key(WORKFLOW_NAME, "The workflow's name.", required=True),
        "description": Key(TEXT, "The description in the catalog."),
        "aliases": Key(Names(WORKFLOW_NAME), "Other names of the workflow."),
        "catalogs": Key(CATALOGS, "The catalogs that offer the workflow. Default: the file's `catalogs:`."),
        "input_schema": Key(SCHEMA, "The JSON Schema of the input."),
        "output_schema": Key(SCHEMA, "The JSON Schema of the output."),
        "options": Key(OPTIONS, "Options of the workflow's steps."),
        "traced": Key(FLAG, "Whether runs have a trace. Default: true."),
        "path": Key(TEXT, "The path that the catalog shows."),
        "state": Key(
            Map(VALUE, "names and values"),
            "The variables of a run and their first values. `set` can change only these.",
            names=("only", "input", "run"),
        ),
        "queries": Key(Map(QUERY, "names and answers"), "How queries are answered.", names=_PAYLOAD),
        "signals": Key(
            Map(SIGNAL, "names and what they do"),
            "What signals do, if no wait_for_signal waits for them.",
            names=_PAYLOAD,
        ),
        "updates": Key(Map(UPDATE, "names and what they do"), "What updates do.", names=_PAYLOAD),
        "receives": Key(ListOf(RECEIVED, "signals"), "Signals that every run gets by itself."),
        "when": Key(ListOf(WHEN, "answers"), "What runs with certain inputs do. The first match wins."),
        **_answer("the workflow"),
        "answers": _ANSWERS,
        "on_stop": Key(
            STEPS,
            "What to do when the run is stopped. Then it ends as cancelled, unless there is a `return`.",
        ),
    },
    needs=[(*_ONE_ANSWER, "answers", "when")],
    excludes=_NOT_BOTH,
)
FIRST_RUN = ObjectType(
    "first_run",
    "a first run",
    "A run that exists from the start.",
    {
        "workflow": Key(WORKFLOW_NAME, "The workflow's name.", required=True),
        "input": Key(LITERAL, "The run's input."),
        "workflow_id": Key(TEXT, "The run's workflow id. Default: a new one."),
        "catalog": Key(TEXT, "The catalog. Default: the server's own."),
    },
)


CALLBACK = ObjectType(
    "callback",
    "a callback",
    "The answer to requests that workflows send.",
    {
        "url": Key(TEXT, "The URL of the requests. `*` at its end stands for any rest.", required=True),
        "method": Key(Choice(METHODS), "The method of the requests. Default: any."),
        "status": Key(LITERAL, "The status of the answer. Default: 200."),
        "json": Key(LITERAL, "The answer's body as JSON."),
        "body": Key(TEXT, "The answer's body as text."),
        "headers": Key(Map(TEXT, "names and values"), "The answer's headers."),
        "times": Key(LITERAL, "How many requests it answers. Default: all."),
        "after": Key(LENGTH, "How long the answer takes. Workflows wait 30 s."),
        "fails": Key(Choice(TROUBLES), "Why there is no answer."),
    },
    excludes=[("json", "body"), *(("fails", key) for key in ("status", "json", "body", "headers"))],
)


class ScriptedCallbacks(ListOf):
    """Answers to requests that workflows send."""

    def __init__(self) -> None:
        super().__init__(CALLBACK, "callbacks")

    def read(self, node: Node, reader: Reader, key: str) -> list[ScriptedAnswer]:
        found: list[ScriptedAnswer] = []
        before = len(reader.source.mistakes)
        callbacks = super().read(node, reader, key)
        if len(reader.source.mistakes) > before:
            return found
        for said in callbacks:
            try:
                found.append(_scripted_answer(said))
            except ValueError as error:
                reader.mistake(said.place, str(error))
        return found


def _scripted_answer(said: ParsedMapping) -> ScriptedAnswer:
    given = {name: value for name, value in said.items() if name != "after"}
    if "after" in said:
        given["after"] = said["after"].value({})
    return ScriptedAnswer(**given, place=str(said.place))


class Workflows(ListOf):
    """The workflows of a file. Each has its own names."""

    def __init__(self) -> None:
        super().__init__(WORKFLOW, "workflows")

    def read(self, node: Node, reader: Reader, key: str) -> list[ParsedMapping]:
        if not node.is_list:
            super().read(node, reader, key)
            return []
        found: list[ParsedMapping] = []
        for item in node.value:
            with reader.workflow():
                said = WORKFLOW.read(item, reader, "a workflow")
                reader.finish(said)
            found.append(said)
        return found


FILE = ObjectType(
    "file",
    "the file",
    "Workflows for output-mock.",
    {
        "workflows": Key(Workflows(), "The workflows.", required=True),
        "catalogs": Key(CATALOGS, "The catalogs that offer the workflows. Default: the server's own."),
        "worker_down": Key(
            CATALOGS, "Catalogs whose worker is away: runs start there, but nothing happens in them."
        ),
        "namespace": Key(TEXT, "The Temporal namespace that stands in histories."),
        "callbacks": Key(ScriptedCallbacks(), "The answers to requests that the workflows send."),
        "begin_with": Key(ListOf(FIRST_RUN, "runs"), "Runs that exist from the start."),
    },
)
SHAPES = (
    *(WORKFLOW, ANSWER, WHEN, QUERY, QUERY_WHEN, SIGNAL, UPDATE, REFUSE, RECEIVED, FIRST_RUN, CALLBACK),
    *(FAILURE, STEP_FAILURE, OPTIONS, RETRY),
    *NODES.values(),
    *ACTIONS.values(),
)


def document() -> JSONSchema:
    """The JSON Schema of the files."""
    definitions: dict[str, Any] = {shape.name: shape.definition() for shape in SHAPES}
    definitions["steps"] = STEPS.definition()
    definitions["action"] = {
        "description": "One action of a run.",
        "anyOf": [shape.schema() for shape in ACTIONS.values()],
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Scripts of output-mock",
        **FILE.definition(),
        "$defs": definitions,
    }


__all__ = ["ACTIONS", "FILE", "NODES", "document"]
