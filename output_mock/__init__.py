"""A faithful in-memory fake of the Output API.

from output_mock import OutputMock, Failure

mock = OutputMock()
mock.workflow("summarize_url").returns({"summary": "short"})
with mock.serve() as url:
    ...
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from output_mock.callbacks.journal import Callback, CallbackList
    from output_mock.callbacks.sending import Callbacks
    from output_mock.expected import (
        Expected,
        called,
        queried,
        reset,
        signalled,
        started,
        stopped,
        terminated,
        updated,
    )
    from output_mock.http.faults import Fault
    from output_mock.http.journal import Call, Calls
    from output_mock.javascript_json import UNDEFINED
    from output_mock.mock import OutputMock, Runs, RunView
    from output_mock.scripts.script import Script
    from output_mock.sdk.context import Context, SignalTimeout
    from output_mock.sdk.failures import ChildFailure, Failure, StepFailure

# Which names are in which module. Each is imported when somebody asks for it: the command line starts sooner
# so, and can already end quietly on Ctrl-C while the rest is being imported.
_NAMES = {
    "callbacks.journal": ("Callback", "CallbackList"),
    "callbacks.sending": ("Callbacks",),
    "expected": (
        "Expected",
        "called",
        "queried",
        "reset",
        "signalled",
        "started",
        "stopped",
        "terminated",
        "updated",
    ),
    "http.faults": ("Fault",),
    "http.journal": ("Call", "Calls"),
    "javascript_json": ("UNDEFINED",),
    "mock": ("OutputMock", "RunView", "Runs"),
    "scripts.script": ("Script",),
    "sdk.context": ("Context", "SignalTimeout"),
    "sdk.failures": ("ChildFailure", "Failure", "StepFailure"),
}
_PLACES = {name: place for place, names in _NAMES.items() for name in names}

__all__ = [
    "UNDEFINED",
    "Call",
    "Callback",
    "CallbackList",
    "Callbacks",
    "Calls",
    "ChildFailure",
    "Context",
    "Expected",
    "Failure",
    "Fault",
    "OutputMock",
    "RunView",
    "Runs",
    "Script",
    "SignalTimeout",
    "StepFailure",
    "called",
    "queried",
    "reset",
    "signalled",
    "started",
    "stopped",
    "terminated",
    "updated",
]


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{place}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
