"""The operations: functions with the names of the operations, which take a request and return a reply.

Each module has the operations about one subject.
"""

from __future__ import annotations

from collections.abc import Callable

from output_mock.contract.operations import NAMES
from output_mock.contract.reply import Reply
from output_mock.http.api_request import ApiRequest
from output_mock.http.handlers import catalog, history, messages, results, runs, server, traces

Handler = Callable[[ApiRequest], Reply]

HANDLERS: dict[str, Handler] = {
    name: vars(module)[name]
    for module in (server, runs, results, traces, history, catalog, messages)
    for name in NAMES
    if name in vars(module)
}
