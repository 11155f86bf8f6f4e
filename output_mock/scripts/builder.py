"""Workflows in one line: `mock.workflow("report").takes("45m").returns({"pages": 3})`."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from output_mock.durations import Duration, nanoseconds
from output_mock.javascript_json import UNDEFINED, as_double
from output_mock.scripts.definition import ScheduledSignal, ScriptFunction, WorkflowDefinition
from output_mock.scripts.parts import Part, matching, parts_of
from output_mock.sdk.errors import ScriptError
from output_mock.sdk.failures import Failure
from output_mock.sdk.values import named_json, short, unlike

if TYPE_CHECKING:
    from output_mock.sdk.context import Context

Match = Callable[[Any], bool] | Any


class ScriptedAnswer:
    """One answer of a workflow: how long it takes, and what it returns or how it fails."""

    __slots__ = ("duration", "failure", "given", "place", "question", "value")

    def __init__(self) -> None:
        # The file and line where it is written.
        self.place: str = ""
        self.duration: int = 0
        self.value: Any = UNDEFINED
        # What the application is asked before.
        self.question: Question | None = None
        self.failure: Failure | None = None
        self.given: bool = False


class Question(NamedTuple):
    """A request to the application, whose answer comes through `/feedback`."""

    url: str
    payload: Any
    headers: Mapping[str, str] | None
    timeout: Duration | None


class Branch:
    """The answers for one kind of input: each run gets the next one, and the last one is repeated."""

    def __init__(self, builder: WorkflowBuilder, match: Match) -> None:
        self._builder = builder
        self.match = match
        self.answers: list[ScriptedAnswer] = [ScriptedAnswer()]

    def returns(self, value: Any = None) -> Branch:
        """Complete with `value`: any JSON, or a function of the input, which may raise a `Failure`.

        Raises `TypeError` for anything else.
        """
        if not callable(value):
            try:
                named_json(value, "what workflow {!r} returns", self._builder.name)
            except TypeError as error:
                raise TypeError(f"{error} ({calling_place()})") from None
        answer = self.answers[-1]
        answer.value, answer.failure, answer.given = value, None, True
        answer.place = calling_place()
        return self

    def fails(self, failure: str | Failure, name: str = "FatalError", **properties: Any) -> Branch:
        """Fail with a `Failure`, or with an error of this message, name and further properties."""
        answer = self.answers[-1]
        if isinstance(failure, str):
            failure = Failure(failure, name, **properties)
        answer.failure, answer.given = failure, True
        answer.place = calling_place()
        return self

    def takes(self, duration: Duration) -> Branch:
        """Take this long before it completes or fails."""
        self.answers[-1].duration = nanoseconds(duration)
        return self

    def calls_back(
        self,
        url: str,
        *,
        payload: Any = UNDEFINED,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = None,
    ) -> Branch:
        """Ask your application, and wait until it answers through `/feedback`
        (`ctx.send_post_request_and_await_webhook`).

        Sends the workflow id and the `payload`: any JSON, or a function of the input; by default the input.
        Without `returns`, the run completes with the payload of the feedback. A function given to `returns`
        may take that as its second argument.
        """
        answer = self.answers[-1]
        answer.question, answer.given = Question(url, payload, headers, timeout), True
        answer.place = calling_place()
        return self

    @property
    def then(self) -> Branch:
        """Start the answer for the next run: `.fails("busy").then.returns(1)`."""
        self.answers.append(ScriptedAnswer())
        return self

    def when(self, match: Match) -> Branch:
        """Start the answers for another kind of input. See `WorkflowBuilder.when`."""
        return self._builder.when(match)

    @property
    def part(self) -> Part:
        """What was scripted here."""
        match = None if self is self._builder else matching(self.match)
        return Part(self, match, [answer.place for answer in self.answers if answer.given])

    def fits(self, given: Any) -> bool:
        """Whether these are the answers for that input."""
        if callable(self.match):
            return bool(self.match(given))
        return contains(given, self.match)


class WorkflowBuilder(Branch):
    """The script of a workflow: lines such as `.returns(…)`, or, as a decorator, a coroutine function."""

    def __init__(
        self,
        name: str,
        changed: Callable[[WorkflowBuilder], None],
        place: str,
        *,
        once: bool = False,
        below: WorkflowDefinition | None = None,
    ) -> None:
        super().__init__(self, None)
        self.name = name
        self.place = place
        # Whether it may have only one script function: in a file, a second one of the same name is a mistake.
        self._once = once
        self.branches: list[Branch] = []
        self._changed = changed
        # What was scripted under this name elsewhere: it is used for inputs that this has no answer for.
        self._below = below
        self._options: dict[str, Any] = {} if below is None else below.said()
        self._script: ScriptFunction | None = None
        self.definition: WorkflowDefinition = WorkflowDefinition(name, self._play, **self._options)
        self.definition.place, self.definition.builder = place, self

    def configure(self, options: Mapping[str, Any], script: ScriptFunction | None = None) -> None:
        """Set the given options, and the script. Raises `ValueError` for invalid ones, and then leaves the
        workflow as it was.
        """
        script, options, old = script or self._script, {**self._options, **options}, self.definition
        self.definition = WorkflowDefinition(self.name, script or self._play, **options)
        self.definition.place, self.definition.builder = self.place, self
        try:
            self._changed(self)
        except ValueError:
            self.definition = old
            raise
        self._script, self._options = script, options

    def __call__(self, script: ScriptFunction) -> ScriptFunction:
        """Use as a decorator: the coroutine function is the workflow's script."""
        if not inspect.iscoroutinefunction(script):
            raise TypeError(
                f"workflow {self.name!r} ({self.place}): a script must be a coroutine function, "
                f"`async def {getattr(script, '__name__', 'script')}(ctx, input)`, not {script!r}"
            )
        try:
            inspect.signature(script).bind(None, None)
        except TypeError as error:
            raise TypeError(
                f"workflow {self.name!r} ({self.place}): a script must take the context and the input, "
                f"`async def {script.__name__}(ctx, input)`; {script.__name__!r} cannot be called with "
                f"these: {error}"
            ) from None
        if self._once and self._script is not None:
            code = inspect.unwrap(self._script).__code__
            raise ValueError(
                f"workflow {self.name!r} ({calling_place()}): it already has a script, "
                f"{self._script.__name__!r} ({code.co_filename}, line {code.co_firstlineno})"
            )
        summary = (script.__doc__ or "").strip().partition("\n")[0]
        described = not summary or "description" in self._options
        self.configure({} if described else {"description": summary}, script)
        return script

    def when(self, match: Match) -> Branch:
        """Start the answers for inputs that match. A match is a dict whose entries the input must have
        (others are ignored, at every depth; `UNDEFINED` stands for one that it must not have), any other
        JSON that the input must equal, `UNDEFINED` for no input, or a function of the input that returns
        true. The first match wins.
        """
        branch = Branch(self, match)
        self.branches.append(branch)
        return branch

    def receives(self, name: str, payload: Any = UNDEFINED, *, after: Duration) -> WorkflowBuilder:
        """Send this signal to every run, this long after its start.

        Use it for a person who approves after a day, or a system that calls back. On an `auto` clock, a
        client that waits for the run makes time jump to the signal, as to everything else that will happen.
        The script itself has to wait for the signal with `ctx.wait_for_signal`.
        """
        self.receives_at(calling_place(), name, payload, after)
        return self

    def receives_at(self, place: str, name: str, payload: Any, after: Duration) -> None:
        """Like `receives`, for a signal that is written at this place."""
        signals: list[ScheduledSignal] = self._options.get("signals", [])
        payload = named_json(payload, "the payload of signal {!r}", name)
        self.configure({"signals": [*signals, ScheduledSignal(name, payload, nanoseconds(after), place)]})

    @property
    def parts(self) -> list[Part]:
        """The parts that were scripted by calls, and those that were scripted elsewhere."""
        own = [branch.part for branch in (*self.branches, self)]
        below = () if self._below is None else parts_of(self._below)
        return [*(part for part in own if part.answers), *below]

    async def _play(self, ctx: Context, given: Any) -> Any:
        if self._below is not None and self._silent_about(given):
            return await self._below.script(ctx, given)
        answer = await self._answer(ctx, given)
        if answer.duration:
            await ctx.sleep(answer.duration / 1e9)
        feedback = None if answer.question is None else await _asked(ctx, answer.question, given)
        if answer.failure is not None:
            raise answer.failure
        if answer.question is None:
            return answer.value(given) if callable(answer.value) else answer.value
        if callable(answer.value):
            return answer.value(given, feedback) if _takes_two(answer.value) else answer.value(given)
        return feedback if answer.value is UNDEFINED else answer.value

    def _silent_about(self, given: Any) -> bool:
        own = any(answer.given or answer.duration for answer in self.answers)
        return not own and not any(branch.fits(given) for branch in self.branches)

    async def _answer(self, ctx: Context, given: Any) -> ScriptedAnswer:
        def pick() -> tuple[object, list[ScriptedAnswer]]:
            branch = next((one for one in self.branches if one.fits(given)), self)
            return branch, branch.answers

        answer: ScriptedAnswer = await next_scripted_answer(ctx, pick)
        if not answer.given:
            branch = next((one for one in self.branches if answer in one.answers), None)
            problem = self._nothing_fits(given) if branch is None else self._unanswered(branch, given)
            raise ScriptError(problem, workflow_id=ctx.info.workflow_id)
        return answer

    def _unanswered(self, branch: Branch, given: Any) -> str:
        return (
            f"workflow {self.name!r} ({self.place}): {matching(branch.match)} has no answer, and matches the "
            f"input {short(given)}; give it one with .returns(…) or .fails(…)"
        )

    def _nothing_fits(self, given: Any) -> str:
        matches = [branch.match for branch in self.branches if not callable(branch.match)]
        hint = "give it an answer with .returns(…), .fails(…), or a script"
        names = dict.fromkeys(repr(signal.name) for signal in self._options.get("signals", ()))
        if names:
            what = f"signal{'s' if len(names) > 1 else ''} {', '.join(names)}"
            hint = f"it only has .receives() for {what}; give it a script that waits with ctx.wait_for_signal"
        return no_answer(self.name, self.place, given, matches, hint)


async def _asked(ctx: Context, question: Question, given: Any) -> Any:
    payload = question.payload
    if callable(payload):
        payload = payload(given)
    elif payload is UNDEFINED:
        payload = given
    return await ctx.send_post_request_and_await_webhook(
        question.url, payload=payload, headers=question.headers, timeout=question.timeout
    )


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


async def next_scripted_answer(ctx: Context, pick: Callable[[], tuple[object, Sequence[Any]]]) -> Any:
    """The answer of a run: the next one of those that `pick` chooses; the last one is repeated.

    A run that is replayed, as after a reset, keeps its answer. `pick` returns a key for the answers, and the
    answers.
    """
    return await ctx._instance.next_scripted_answer(pick)


def no_answer(
    name: str, place: str, given: Any, matches: Sequence[Any], hint: str, *, query: str | None = None
) -> str:
    """The message that a workflow has no answer for an input, or a query for a payload, and which match is
    nearest.
    """
    whose, what = f"workflow {name!r}", "input"
    if query is not None:
        whose, what = f"query {query!r} of {whose}", "payload"
    text = f"{whose} ({place}) has no answer for the {what} {short(given)}"
    if not matches:
        return f"{text}; {hint}"
    unlike = [(match, differences(given, match, what)) for match in matches]
    closest, how = min(unlike, key=lambda one: len(one[1]))
    return f"{text}; the nearest is when({short(closest)}): {'; '.join(how[:3])}"


def contains(given: Any, match: Any) -> bool:
    """Whether `given` has everything that `match` asks for."""
    return not differences(given, match)


def differences(given: Any, match: Any, where: str = "input") -> list[str]:
    """What `match` demands and `given` does not have, in words."""
    if match is UNDEFINED:
        return [] if given is None or given is UNDEFINED else [f"{where} is {short(given)}, not undefined"]
    if isinstance(match, Mapping):
        if not isinstance(given, Mapping):
            return [f"{where} is {short(given)}, not an object"]
        found: list[str] = []
        for key, wanted in match.items():
            if wanted is UNDEFINED:
                if key in given:
                    found.append(f"{where}.{key} is {short(given[key])}, not undefined")
            elif key not in given:
                found.append(f"{where}.{key} is missing")
            else:
                found += differences(given[key], wanted, f"{where}.{key}")
        return found
    if isinstance(match, Sequence) and not isinstance(match, str):
        if not isinstance(given, list) or len(given) != len(match):
            return [unlike(where, given, match)]
        return [
            difference
            for index, (one, wanted) in enumerate(zip(given, match, strict=True))
            for difference in differences(one, wanted, f"{where}[{index}]")
        ]
    if type(match) in (int, float):
        match = as_double(match)
    if given == match and isinstance(given, bool) == isinstance(match, bool):
        return []
    return [unlike(where, given, match)]


def calling_place(depth: int = 2) -> str:
    """File and line of the caller's caller, for messages."""
    frame = sys._getframe(depth)
    return f"{frame.f_code.co_filename}, line {frame.f_lineno}"
