"""What the journal keeps of a request, once it is over."""

from __future__ import annotations

from werkzeug.datastructures import EnvironHeaders

from output_mock.http.api_request import ApiRequest
from output_mock.http.journal import Call, RequestHeaders
from output_mock.javascript_json import UNDEFINED


def call_of(request: ApiRequest, number: int) -> Call:
    """The request as the call of that number."""
    route, response = request.route, request.response
    return Call(
        number,
        request.world.clock.nanoseconds(),
        request.method,
        request.path,
        request.query,
        None if route is None else route.operation.name,
        request.workflow(),
        request.workflow_id,
        None if route is None else request.message or None,
        None if request.body is UNDEFINED else request.body,
        RequestHeaders(EnvironHeaders(request.environ).items()),
        0 if response is None else response.status_code,
        None if response is None or response.is_streamed else response.get_data(),
        request.lost,
        request.unmatched_reason,
    )
