"""A faithful in-memory fake of the Output API.

from output_mock import OutputMock, Failure

mock = OutputMock()
mock.workflow("summarize_url").returns({"summary": "short"})
with mock.serve() as url:
    ...
"""

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

__all__ = [
    "UNDEFINED",
    "Call",
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
