"""Runs the workflows of a YAML file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from output_mock.durations import Duration, nanoseconds, pause
from output_mock.javascript_json import UNDEFINED, null_if_undefined
from output_mock.places import Place
from output_mock.scripts.builder import contains, next_scripted_answer, no_answer
from output_mock.scripts.parts import Part, matching
from output_mock.scripts.yaml import functions
from output_mock.scripts.yaml.kinds import ParsedMapping
from output_mock.scripts.yaml.templates import ExpressionError, Names, Template
from output_mock.sdk import trace_nodes
from output_mock.sdk.context import SignalTimeout
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import ChildFailure, Failure, StepFailure
from output_mock.sdk.llm_calls import llm

if TYPE_CHECKING:
    from output_mock.sdk.context import Context
    from output_mock.sdk.trace_nodes import TraceNode as Inside

_DOES = ("takes", "steps", "returns", "fails", "answers")
_FAILURE_KEYS = ("message", "name", "cause", "retryable", "properties", "thrown")

# The name for the caught error, which no expression can use.
_CAUGHT = "what was caught"


class PlayedWorkflow:
    """A workflow of a file. Its `play` is a script like any other.

    Takes the parsed workflow, and the same as plain JSON.
    """

    def __init__(self, said: ParsedMapping, written: Any) -> None:
        self.said = said
        self.written = written
        self.name: str = said["name"]
        self.place: Place = said.place
        self.has_answer: bool = any(key in said for key in _DOES)

    @property
    def parts(self) -> list[Part]:
        """The `when`s, and the answers to all other inputs."""
        said = self.said
        parts = [Part(when, _matching(when), _answers(when)) for when in said.get("when", ())]
        return [*parts, Part(said, None, _answers(said))] if self.has_answer else parts

    async def play(self, ctx: Context, given: Any) -> Any:
        return await _Interpreter(self, ctx, given).play()


def _matching(when: ParsedMapping) -> str:
    match = [matching(when["match"])] if "match" in when else []
    return " ".join([*match, *(["when with an `if:`"] if "if" in when else [])])


def _answers(said: ParsedMapping) -> list[str]:
    return [str(one.place) for one in said.get("answers") or [said]]


class _Return(Exception):
    """Ends a run with an output."""

    def __init__(self, output: Any) -> None:
        super().__init__()
        self.output = output


class _Interpreter:
    """One run of a workflow."""

    def __init__(self, workflow: PlayedWorkflow, ctx: Context, given: Any) -> None:
        self._workflow = workflow
        self._said = workflow.said
        self._ctx = ctx
        info = ctx.info
        run = {
            "workflow_id": info.workflow_id,
            "run_id": info.run_id,
            "workflow_name": info.workflow_name,
            "catalog": info.catalog,
            "start_time": info.start_time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        self._state: dict[str, Any] = {}
        self._signals: dict[str, Any] = {}
        self._names: Names = {
            "input": given,
            "run": run,
            "state": self._state,
            "steps": {},
            "signals": self._signals,
        }
        # Signals that a handler has received and that an action may be waiting for.
        self._received: dict[str, list[Any]] = {}
        # Children that the run does not wait for.
        self._left: list[asyncio.Future[Any]] = []

    async def play(self) -> Any:
        said = self._said
        self._set(said.get("state") or {}, self._names)
        self._listen()
        try:
            try:
                return await self._answer(await next_scripted_answer(self._ctx, self._pick))
            except asyncio.CancelledError:
                await self._block(said.get("on_stop", ()), self._names)
                raise
        except _Return as end:
            return end.output

    # Which answer

    def _pick(self) -> tuple[object, list[ParsedMapping]]:
        said, given = self._said, self._names["input"]
        for when in said.get("when", ()):
            if self._fits(when, given, self._names):
                return when, when.get("answers") or [when]
        if self._workflow.has_answer:
            return said, said.get("answers") or [said]
        raise self._unanswered(given, said)

    def _unanswered(self, given: Any, said: ParsedMapping, *, query: str | None = None) -> ScriptError:
        matches = [when["match"] for when in said["when"] if "match" in when]
        hint = "give it a `returns:` or another `when:`"
        problem = no_answer(self._workflow.name, str(said.place), given, matches, hint, query=query)
        return ScriptError(problem, workflow_id=self._ctx.info.workflow_id)

    def _fits(self, when: ParsedMapping, given: Any, names: Names) -> bool:
        if "match" in when and not contains(given, when["match"]):
            return False
        return "if" not in when or bool(self._value(when["if"], names))

    async def _answer(self, answer: ParsedMapping) -> Any:
        names = self._names
        if "takes" in answer and nanoseconds(length := self._duration(answer["takes"], names)):
            await self._ctx.sleep(length)
        await self._block(answer.get("steps", ()), names)
        if "fails" in answer:
            raise self._failure(answer["fails"], names, "FatalError")
        return self._value(answer["returns"], names) if "returns" in answer else None

    # Messages

    def _listen(self) -> None:
        for name, query in self._said.get("queries", {}).items():
            self._ctx.on_query(name, self._asked(name, query))
        for name, signal in self._said.get("signals", {}).items():
            self._ctx.on_signal(name, self._signalled(name, signal))
        for name, update in self._said.get("updates", {}).items():
            validator = self._validated(update) if "refuse" in update else None
            self._ctx.on_update(name, self._updated(update), validator=validator)

    def _asked(self, name: str, query: ParsedMapping) -> Callable[[Any], Any]:
        def answer(payload: Any) -> Any:
            names = {**self._names, "payload": payload}
            fitting = (when for when in query.get("when", ()) if self._fits(when, payload, names))
            said = next(fitting, query)
            if said.keys() == {"when"}:
                raise self._unanswered(payload, query, query=name)
            if "fails" in said:
                raise self._failure(said["fails"], names, "Error")
            return self._value(said["returns"], names) if "returns" in said else UNDEFINED

        return answer

    def _signalled(self, name: str, signal: ParsedMapping) -> Callable[[Any], Any]:
        def receive(payload: Any) -> Any:
            names = {**self._names, "payload": payload}
            self._signals[name] = payload
            self._received.setdefault(name, []).append(payload)
            self._set(signal.get("set", {}), names)
            return self._block(signal["steps"], names) if "steps" in signal else None

        return receive

    def _validated(self, update: ParsedMapping) -> Callable[[Any], None]:
        def validate(payload: Any) -> None:
            names = {**self._names, "payload": payload}
            for refusal in update["refuse"]:
                if self._value(refusal["if"], names):
                    raise ValueError(self._text(refusal["message"], names))

        return validate

    def _updated(self, update: ParsedMapping) -> Callable[[Any], Any]:
        def begun(payload: Any) -> Names:
            names = {**self._names, "payload": payload, "before": dict(self._state)}
            self._set(update.get("set", {}), names)
            return names

        def answered(names: Names) -> Any:
            if "fails" in update:
                raise self._failure(update["fails"], names, "Error")
            return self._value(update["returns"], names) if "returns" in update else None

        async def later(payload: Any) -> Any:
            names = begun(payload)
            await self._block(update["steps"], names)
            return answered(names)

        return later if "steps" in update else lambda payload: answered(begun(payload))

    # Actions

    async def _block(self, actions: Any, names: Names) -> Any:
        """Do one action after the other. The result is that of the last one."""
        result = None
        for said in actions:
            result = await _ACTIONS[said.shape.name](self, said, names)
            name = said.get("as") or (said[said.shape.name] if said.shape.name in _NAMED else None)
            if name is not None:
                names["steps"][name] = result
        return result

    async def _step(self, said: ParsedMapping, names: Names) -> Any:
        options: dict[str, Any] = {
            key: said[key] for key in ("options", "input_schema", "output_schema") if key in said
        }
        if "returns" in said:
            options["returns"] = self._value(said["returns"], names)
        return null_if_undefined(
            await self._ctx.step(
                said["step"], self._given(said, names), **options, **self._attempts(said, names)
            )
        )

    async def _evaluate(self, said: ParsedMapping, names: Names) -> Any:
        options = {
            key: self._value(said[key], names)
            for key in ("value", "confidence", "reasoning", "feedback", "dimensions")
            if key in said
        }
        for key in ("feedback", "dimensions"):
            items = options.get(key, [])
            if not (isinstance(items, list) and all(isinstance(item, dict) for item in items)):
                raise self._mistake(f"`{key}:` must be a list of objects", said.place_of(key))
        if "label" in said:
            options["label"] = self._text(said["label"], names)
        if "options" in said:
            options["options"] = said["options"]
        return await self._ctx.evaluate(
            said["evaluate"], self._given(said, names), **options, **self._attempts(said, names)
        )

    async def _child(self, said: ParsedMapping, names: Names) -> Any:
        running = self._ctx.child(
            said["child"],
            self._given(said, names),
            detached=said.get("detached", False),
            options=said.get("options"),
        )
        try:
            if said.get("wait", True):
                return null_if_undefined(await running)
            left = asyncio.ensure_future(running)
            self._left.append(left)
            # Let it begin, so that the failure of a child that cannot begin shows here.
            await asyncio.sleep(0)
            if left.done() and not left.cancelled():
                left.result()
            return None
        except (LookupError, RecursionError) as problem:
            raise self._mistake(problem.args[0], said.place_of("child")) from None

    async def _send_http_request(self, said: ParsedMapping, names: Names) -> Any:
        included = {"include_headers": "includeHeaders", "include_body": "includeBody"}
        return await self._ctx.send_http_request(
            self._text(said["send_http_request"], names),
            **({"method": said["method"]} if "method" in said else {}),
            **self._sent(said, names),
            response_options={option: said[key] for key, option in included.items() if key in said},
        )

    async def _ask(self, said: ParsedMapping, names: Names) -> Any:
        timeout = self._timeout(said, names)
        try:
            payload = await self._ctx.send_post_request_and_await_webhook(
                self._text(said["send_post_request_and_await_webhook"], names),
                **self._sent(said, names),
                timeout=timeout,
            )
        except SignalTimeout:
            if "on_timeout" not in said:
                raise
            return await self._block(said["on_timeout"], names)
        if "as" in said:
            # Also what follows may speak of it.
            names["steps"][said["as"]] = payload
        await self._block(said.get("then", ()), names)
        return payload

    def _sent(self, said: ParsedMapping, names: Names) -> dict[str, Any]:
        headers = {name: self._text(value, names) for name, value in said.get("headers", {}).items()}
        return {
            "payload": self._value(said["payload"], names) if "payload" in said else UNDEFINED,
            "headers": headers or None,
        }

    async def _sleep(self, said: ParsedMapping, names: Names) -> None:
        await self._ctx.sleep(self._duration(said["sleep"], names, pause))

    async def _wait_for_signal(self, said: ParsedMapping, names: Names) -> Any:
        name = said["wait_for_signal"]
        timeout = self._timeout(said, names)
        try:
            payload = await self._next_signal(name, timeout)
        except SignalTimeout:
            if "on_timeout" not in said:
                raise
            return await self._block(said["on_timeout"], names)
        self._signals[name] = payload
        await self._block(said.get("then", ()), names)
        return payload

    async def _next_signal(self, name: str, timeout: Duration | None) -> Any:
        if name not in self._said.get("signals", {}):
            return await self._ctx.wait_for_signal(name, timeout=timeout)
        # The handler gets it first, and leaves it here.
        received = self._received.setdefault(name, [])
        while await self._ctx.condition(lambda: bool(received), timeout=timeout):
            # Another branch may have been quicker.
            if received:
                return received.pop(0)
        raise SignalTimeout(f"no signal {name!r} within {timeout}")

    async def _wait_until(self, said: ParsedMapping, names: Names) -> Any:
        condition: Template = said["wait_until"]
        timeout = self._timeout(said, names)
        if await self._ctx.condition(lambda: bool(self._value(condition, names)), timeout=timeout):
            return await self._block(said.get("then", ()), names)
        if "on_timeout" in said:
            return await self._block(said["on_timeout"], names)
        raise Failure(f"what was waited for did not happen within {timeout}", "TimeoutError", retryable=False)

    async def _set_state(self, said: ParsedMapping, names: Names) -> None:
        self._set(said["set"], names)

    async def _if(self, said: ParsedMapping, names: Names) -> Any:
        holds = bool(self._value(said["if"], names))
        return await self._block(said["then"] if holds else said.get("else", ()), names)

    async def _switch(self, said: ParsedMapping, names: Names) -> Any:
        value = self._value(said["switch"], names)
        case = value if isinstance(value, str) else functions.as_text(value)
        return await self._block(said["cases"].get(case, said.get("else", ())), names)

    async def _for_each(self, said: ParsedMapping, names: Names) -> Any:
        items = self._value(said["for_each"], names)
        if not isinstance(items, list):
            raise self._mistake(
                f"`for_each:` needs a list, not {functions.kind(items)}", said.place_of("for_each")
            )

        def once(index: int, item: Any) -> Any:
            inner = {**names, "item": item, "index": index, "steps": dict(names["steps"])}
            return self._block(said["do"], inner)

        if said.get("at_once"):
            return list(await asyncio.gather(*(once(index, item) for index, item in enumerate(items))))
        return [await once(index, item) for index, item in enumerate(items)]

    async def _parallel(self, said: ParsedMapping, names: Names) -> Any:
        return list(await asyncio.gather(*(self._block(branch, names) for branch in said["parallel"])))

    async def _try(self, said: ParsedMapping, names: Names) -> Any:
        try:
            return await self._block(said["try"], names)
        except (StepFailure, ChildFailure, SignalTimeout, Failure) as failure:
            caught: BaseException = failure
            shown = _as_json(failure)
        except asyncio.CancelledError as stop:
            if not said.get("catch_stop"):
                raise
            caught = stop
            shown = {"name": "CancelledFailure", "message": "Workflow cancelled"}
        return await self._block(said["catch"], {**names, "error": shown, _CAUGHT: caught})

    async def _rethrow(self, said: ParsedMapping, names: Names) -> None:
        caught: BaseException = names[_CAUGHT]
        raise caught

    async def _fail(self, said: ParsedMapping, names: Names) -> None:
        raise self._failure(said["fail"], names, "FatalError")

    async def _return(self, said: ParsedMapping, names: Names) -> None:
        raise _Return(self._value(said["return"], names))

    async def _continue_as_new(self, said: ParsedMapping, names: Names) -> None:
        template: Template = said["continue_as_new"]
        given = self._value(template, names)
        self._ctx.continue_as_new(UNDEFINED if template.is_constant and given is None else given)

    # What actions say

    def _given(self, said: ParsedMapping, names: Names) -> Any:
        return self._value(said["input"], names) if "input" in said else UNDEFINED

    def _attempts(self, said: ParsedMapping, names: Names) -> dict[str, Any]:
        options: dict[str, Any] = {}
        if "takes" in said:
            options["takes"] = self._duration(said["takes"], names)
        if "fails" in said:
            options["fails"] = self._failures(said["fails"], names)
        if "trace" in said:
            options["trace"] = [self._node(one, names) for one in said["trace"]]
        return options

    def _node(self, said: ParsedMapping, names: Names) -> Inside:
        """What happens inside a step."""
        what = said.shape.name
        given: dict[str, Any] = {}
        for key, value in said.items():
            if key == "fails":
                given[key] = self._failure(value, names, "Error")
            elif key == "takes":
                given[key] = self._duration(value, names)
            elif key in _WORDS:
                given[key] = self._text(value, names)
            else:
                given[key] = self._value(value, names)
        name = given.pop(what)
        try:
            if what == "llm":
                return llm(name, **given)
            if what == "event":
                return trace_nodes.event(given.pop("kind"), name, **given)
            method, _, url = name.strip().partition(" ")
            if not url:
                raise ValueError(
                    "`http:` needs a method and a URL, such as GET https://search.example/?q=bees"
                )
            return trace_nodes.http(method, url.strip(), **given)
        except (ValueError, TypeError) as error:
            raise self._mistake(str(error), said.place) from None

    def _failures(self, fails: Any, names: Names) -> Failure | list[Failure | None] | None:
        if isinstance(fails, list):
            return [self._failure_or_none(one, names, "Error") for one in fails]
        if isinstance(fails, Template):
            value = self._value(fails, names)
            if isinstance(value, list):
                return [self._failure_of(one, fails.place, "Error") for one in value]
            return self._failure_of(value, fails.place, "Error")
        return self._failure_or_none(fails, names, "Error")

    def _failure(self, fails: Any, names: Names, name: str) -> Failure:
        failure = self._failure_or_none(fails, names, name)
        if failure is None:
            raise self._mistake("a failure needs a message, but its value is null", fails.place)
        return failure

    def _failure_or_none(self, fails: ParsedMapping | Template, names: Names, name: str) -> Failure | None:
        if isinstance(fails, Template):
            return self._failure_of(self._value(fails, names), fails.place, name)
        if "if" in fails and not self._value(fails["if"], names):
            return None
        said: dict[str, Any] = {}
        for key, value in fails.items():
            if key == "if":
                continue
            if isinstance(value, Template):
                said[key] = self._value(value, names)
            elif isinstance(value, ParsedMapping):
                said[key] = self._failure_or_none(value, names, "Error")
            else:
                said[key] = value
        return self._failure_of(said, fails.place, name)

    def _failure_of(self, value: Any, place: Place, name: str) -> Failure | None:
        if value is None:
            return None
        if isinstance(value, str):
            return Failure(value, name)
        if not isinstance(value, Mapping) or not set(value) <= set(_FAILURE_KEYS):
            keys = ", ".join(_FAILURE_KEYS)
            raise self._mistake(
                f"a failure must be text, or an object with some of {keys}, not "
                f"{functions.as_text(value)[:200]}",
                place,
            )
        if "thrown" in value:
            return Failure.value(value["thrown"])
        message, name = value.get("message", ""), value.get("name", name)
        properties = value.get("properties") or {}
        cause = value.get("cause")
        if not isinstance(cause, Failure):
            cause = self._failure_of(cause, place, "Error")
        if not (isinstance(message, str) and isinstance(name, str) and isinstance(properties, dict)):
            raise self._mistake(
                "the message and the name of a failure must be text, and its properties an object", place
            )
        failure = Failure(message, name, cause=cause, retryable=value.get("retryable"))
        failure.properties = properties
        return failure

    def _set(self, settings: Mapping[str, Template], names: Names) -> None:
        # Set all at once: each expression sees the state before.
        self._state.update({name: self._value(value, names) for name, value in settings.items()})

    def _timeout(self, said: ParsedMapping, names: Names) -> Duration | None:
        return self._duration(said["timeout"], names) if "timeout" in said else None

    def _duration(
        self, template: Template, names: Names, check: Callable[[Duration], int] = nanoseconds
    ) -> Duration:
        value: Duration = self._value(template, names)
        try:
            check(value)
        except ValueError as error:
            raise self._mistake(str(error), template.place) from None
        return value

    def _text(self, template: Template, names: Names) -> str:
        value = self._value(template, names)
        return value if isinstance(value, str) else functions.as_text(value)

    def _value(self, template: Template, names: Names) -> Any:
        try:
            return template.value(names)
        except ExpressionError as error:
            raise self._mistake(str(error), error.place) from None

    def _mistake(self, problem: str, place: Place) -> ScriptError:
        return ScriptError(
            f"workflow {self._workflow.name!r}: {problem} ({place})", workflow_id=self._ctx.info.workflow_id
        )


def _as_json(failure: StepFailure | ChildFailure | SignalTimeout | Failure) -> dict[str, Any]:
    """The caught error, as expressions see it."""
    if isinstance(failure, SignalTimeout):
        return {"name": "TimeoutError", "message": str(failure)}
    if isinstance(failure, ChildFailure):
        types = [link.type for link in failure.chain.chain() if link.type]
        name = types[-1] if types else "ChildFailure"
        return {"name": name, "message": failure.message, "status": failure.status}
    inner = failure.failure if isinstance(failure, StepFailure) else failure
    return {**inner.properties, "name": inner.name, "message": inner.message}


# The keys whose values are text, for things that happen inside a step.
_WORDS = frozenset({"llm", "model", "provider", "prompt", "http", "event", "kind"})
_NAMED = frozenset({"step", "evaluate", "child"})
_ACTIONS: dict[str, Callable[[_Interpreter, ParsedMapping, Names], Any]] = {
    "step": _Interpreter._step,
    "evaluate": _Interpreter._evaluate,
    "child": _Interpreter._child,
    "send_http_request": _Interpreter._send_http_request,
    "send_post_request_and_await_webhook": _Interpreter._ask,
    "sleep": _Interpreter._sleep,
    "wait_for_signal": _Interpreter._wait_for_signal,
    "wait_until": _Interpreter._wait_until,
    "set": _Interpreter._set_state,
    "if": _Interpreter._if,
    "switch": _Interpreter._switch,
    "for_each": _Interpreter._for_each,
    "parallel": _Interpreter._parallel,
    "try": _Interpreter._try,
    "fail": _Interpreter._fail,
    "rethrow": _Interpreter._rethrow,
    "return": _Interpreter._return,
    "continue_as_new": _Interpreter._continue_as_new,
}
