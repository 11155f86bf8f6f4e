"""The failures that scripts raise, and the chains that Temporal makes of them.

A `Failure` is what a script raises. A `Cause` is one link of the chain that a real deployment keeps in
its history: an activity failure around an application failure around the error itself, and so on
(recordings run_fails_*, child_workflow, stop_default, terminate, timed_out).
"""

from __future__ import annotations

import re
from typing import Any

from output_mock.contract.failures import ApplicationFailure, Cause
from output_mock.contract.payloads import payloads
from output_mock.javascript_json import NotJSONError, as_json, null_if_undefined, stringify
from output_mock.zod import prettify

FATAL_NAMES = frozenset({"FatalError", "ValidationError"})
NON_ERROR = (
    " [A non-Error value was thrown from your code. We recommend throwing Error objects so that we can "
    "provide a stack trace]"
)


class Failure(Exception):
    """A scripted failure: of a step (`ctx.step(…, fails=Failure("rate limited"))`) or, raised, of a run.

    Takes the error's `message`, its class `name` (`"FatalError"` and `"ValidationError"` are never
    retried), an optional `cause` (another `Failure`), whether it may be retried (`retryable`; by
    default all errors except those two), and further properties of the error as keywords.
    """

    def __init__(
        self,
        message: str = "",
        name: str = "Error",
        *,
        cause: Failure | None = None,
        retryable: bool | None = None,
        **properties: Any,
    ) -> None:
        super().__init__(message)
        if not isinstance(message, str):
            raise TypeError(f"the message of a Failure must be text, not {message!r}")
        self.message = message
        self.name = name
        self.cause = cause
        self.retryable: bool = name not in FATAL_NAMES if retryable is None else retryable
        try:
            self.properties: Any = as_json(properties)
        except NotJSONError as error:
            raise TypeError(f"the properties of a Failure must be JSON, but one {error}") from None
        self.thrown: Any = None
        self.is_error = True

    @classmethod
    def value(cls, thrown: Any) -> Failure:
        """A thrown value that is not an error, as in `throw "just a string"` (run_fails_string)."""
        thrown = as_json(thrown)
        failure = cls(thrown if isinstance(thrown, str) else stringify(null_if_undefined(thrown)), "")
        failure.thrown = null_if_undefined(thrown)
        failure.is_error = False
        return failure

    def serialised(self) -> Any:
        """The error as the real SDK serialises it: message, cause, own properties, name."""
        if not self.is_error:
            return self.thrown
        error: dict[str, Any] = {"message": self.message}
        if self.cause is not None:
            error["cause"] = self.cause.serialised()
        if self.name in FATAL_NAMES:
            # The SDK's own classes declare their name, other errors inherit it.
            error["name"] = self.name
        error.update(_shown(self.properties))
        error["name"] = self.name
        return error

    def __repr__(self) -> str:
        return f"Failure({self.message!r}, name={self.name!r})"


# The properties that the SDK leaves out of a serialised error, at any depth.
_SECRET = re.compile(
    r"(authorization|authentication|cookie|key|token|password|secret|credentials?)$"
    r"|^(request|response|request_?body|request_?body_?values|(request_?|response_?)?headers)$",
    re.IGNORECASE,
)


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(item) for key, item in value.items() if not _SECRET.search(key)}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return value


class Application(ApplicationFailure):
    """An application failure: the error that user code threw, with its serialised form in the details."""

    __slots__ = ()

    def __init__(self, failure: Failure, *, where: str, non_retryable: bool, detailed: bool = True) -> None:
        stack = f"{failure.name}: {failure.message}\n    at {where}" if failure.is_error else ""
        info: dict[str, Any] = {}
        if failure.is_error:
            info["type"] = failure.name
        if non_retryable:
            info["nonRetryable"] = True
        error = failure.serialised() if detailed else None
        if detailed:
            info["details"] = {"payloads": payloads([{"error": error}])}
        cause = _plain(failure, where) if detailed else None
        if cause is None and failure.cause is not None:
            inner = failure.cause
            cause = Application(inner, where=where, non_retryable=not inner.retryable, detailed=False)
        super().__init__(
            failure.message or failure.name,
            "ApplicationFailure",
            type=failure.name if failure.is_error else None,
            info={"applicationFailureInfo": info},
            cause=cause,
            stack=stack or None,
        )
        self.error = error
        self.non_retryable = non_retryable


def _plain(failure: Failure, where: str) -> Cause:
    """The error itself, without the application failure that was made from it."""
    if not failure.is_error:
        return Cause(failure.message + NON_ERROR, "TemporalFailure")
    return Cause(
        failure.message,
        "TemporalFailure",
        cause=None if failure.cause is None else _plain(failure.cause, where),
        stack=f"{failure.name}: {failure.message}\n    at {where}",
    )


class StepFailure(Exception):
    """What `await ctx.step(…)` raises when the step has finally failed.

    `failure` is the scripted `Failure` of the last attempt, `name` and `message` are its name and message.
    """

    def __init__(self, failure: Failure, cause: Cause) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.name: str = failure.name
        self.message: str = failure.message
        self.chain = cause


class ChildFailure(Exception):
    """What `await ctx.child(…)` raises when the child did not complete.

    `status` is the child's status; `message` is the text of the innermost failure.
    """

    def __init__(self, status: str, cause: Cause) -> None:
        super().__init__(cause.root().message)
        self.status = status
        self.message: str = cause.root().message
        self.chain = cause


def invalid(what: str, issues: list[Any]) -> Failure:
    """The failure of a value that does not fit its schema, in the words of the SDK (run_input_invalid)."""
    return Failure(f"{what} validation failed: {prettify(issues)}", name="ValidationError")
