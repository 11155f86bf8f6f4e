"""How a request to the API is answered: read it, check its token, find the route, validate it, run the
operation, make a response.
"""

from __future__ import annotations

from output_mock.contract import headers
from output_mock.contract.errors import BadEscapeError, NestedTooDeepError, OutputError, UnreadableBodyError
from output_mock.contract.operations import Operation
from output_mock.contract.reply import Reply
from output_mock.contract.requests import RUN_ID
from output_mock.http import applied_faults, bodies, diagnostics, query_strings, responses, temporal_away
from output_mock.http.api import Api
from output_mock.http.api_request import ApiRequest
from output_mock.http.authorization import is_allowed
from output_mock.http.faults import AppliedFault
from output_mock.http.handlers import HANDLERS
from output_mock.http.response import WSGIResponse
from output_mock.http.routes import Route, Router
from output_mock.zod import ZodError


class RequestHandler:
    """Answers requests to the API of a world, as the version that it shows answers them."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._router = Router(api.view.operations)
        # The operations that need no token, by their paths.
        self._open: dict[str, Route] = {
            endpoint.path: Route(operation, endpoint)
            for operation, endpoint in self._router.endpoints
            if operation.open
        }

    def answer(self, request: ApiRequest) -> WSGIResponse:
        """The whole response, with headers; also sets it on the request.

        Raises `Dropped` and `TimedOut` if a fault prevents a response.
        """
        problem: OutputError | None = None
        try:
            request.body = bodies.read(request.environ)
        except UnreadableBodyError as unreadable:
            problem = unreadable
        except RecursionError:
            problem = NestedTooDeepError()
        applied = self._applied_fault(request) if self._api.faults else None
        if applied is None:
            response = request.response = self._answered(request, problem)
            return response
        try:
            return applied_faults.respond(
                request,
                applied,
                lambda: self._answered(request, problem),
                lambda reply: self._finished(request, reply),
            )
        except OutputError as error:
            # A fault that changes the world may find it stuck, too.
            request.unmatched_reason = error.unmatched_reason
            response = request.response = self._finished(request, responses.error_reply(error))
            return response

    def _applied_fault(self, request: ApiRequest) -> AppliedFault | None:
        try:
            request.aim(self._router.match(request.method, request.path))
        except BadEscapeError:
            request.aim(None)
        return applied_faults.choose(request)

    def _answered(self, request: ApiRequest, problem: OutputError | None) -> WSGIResponse:
        if not isinstance(problem, UnreadableBodyError):
            return self._finished(request, self._guarded(request, problem))
        # The body is read before anything else, so nothing else shows (raw_bodies).
        request.unmatched_reason = problem.unmatched_reason
        return self._finished(request, responses.error_reply(problem), identified=False)

    def _guarded(self, request: ApiRequest, problem: OutputError | None) -> Reply:
        """The answer to a request whose body could be read."""
        method, path, api = request.method, request.path, self._api
        if method in ("GET", "HEAD"):
            bare = path.rstrip("/").lower() if path != "/" else path
            opened = self._open.get(bare)
            if opened is not None and not path.endswith("//"):
                request.route = opened
                if request.temporal_away and opened.operation.name == "ready":
                    request.temporal_failed = True
                    return api.view.reply(opened.operation, responses.text_reply(503))
                return api.view.reply(opened.operation, HANDLERS[opened.operation.name](request))
        if not is_allowed(path, request.header("HTTP_AUTHORIZATION"), api.auth_token, api.tokens):
            return api.view.reply(None, responses.text_reply(401))
        reply = responses.text_reply(200) if method == "OPTIONS" else self._routed(request, problem)
        reply.headers.update(request.cors())
        return api.view.reply(None if request.route is None else request.route.operation, reply)

    def _routed(self, request: ApiRequest, problem: OutputError | None) -> Reply:
        """The answer of the operation, or what is wrong with the request."""
        route: Route | None = None
        try:
            route = request.route = self._router.match(request.method, request.path)
            if route is None:
                request.unmatched_reason = diagnostics.no_route(
                    request.method, request.path, self._router.endpoints
                )
                return responses.text_reply(404)
            request.workflow_id = route.id or None
            if problem is not None:
                raise problem
            request.query = query_strings.parse(request.raw_query)
            _validate(request, route)
            temporal_away.check(request)
            reply = HANDLERS[route.operation.name](request)
        except ZodError as invalid:
            reply = _invalid(request, invalid, None if route is None else route.operation)
        except OutputError as error:
            request.unmatched_reason = error.unmatched_reason
            reply = responses.error_reply(error)
        except RecursionError:
            nested = NestedTooDeepError()
            request.unmatched_reason = nested.unmatched_reason
            reply = responses.error_reply(nested)
        if route is not None and route.endpoint.successor:
            reply.headers.update(headers.deprecation(route.endpoint.successor))
        return reply

    def _finished(self, request: ApiRequest, reply: Reply, *, identified: bool = True) -> WSGIResponse:
        """The response, with the headers that all responses have."""
        first = {"X-Powered-By": "Express"}
        if identified:
            platform, own = request.header("HTTP_RNDR_ID"), request.header("HTTP_X_REQUEST_ID")
            first[headers.REQUEST_ID] = (
                self._api.request_ids.uuid4()
                if platform is None and own is None
                else responses.request_id(platform, own)
            )
        reply.headers = {**first, **reply.headers, **first}
        if request.unmatched_reason is not None:
            reply.headers[diagnostics.HEADER] = diagnostics.header_text(request.unmatched_reason)
        response = responses.response_of(reply)
        if not response.body:
            return response
        validator = response.headers["ETag"] = responses.etag(response.body)
        if (
            request.method in ("GET", "HEAD")
            and 200 <= reply.status < 300
            and responses.fresh(
                validator, request.header("HTTP_IF_NONE_MATCH"), request.header("HTTP_CACHE_CONTROL")
            )
        ):
            response.status, response.body = 304, b""
            response.headers.pop("Content-Type", None)
        return response


def _validate(request: ApiRequest, route: Route) -> None:
    """Note what the operation takes. Raises `ZodError` for the first part of the request that is not valid:
    the body, the run in the path (unknown_workflow), or the query.
    """
    operation = route.operation
    query, body = request.view.request(operation, request.query, request.body)
    if operation.body is not None:
        request.fields = operation.body.parse(body)
    if route.rid is not None:
        request.run_id = RUN_ID.parse(route.rid)
    if operation.query is not None:
        pinned = {} if request.run_id is None else {"runId": request.run_id}
        request.parameters = operation.query.parse({**query, **pinned})


def _invalid(request: ApiRequest, invalid: ZodError, operation: Operation | None) -> Reply:
    known = () if operation is None or operation.body is None else operation.body.names
    kind = request.header("CONTENT_TYPE")
    request.unmatched_reason = diagnostics.invalid(invalid.issues, request.body, known, kind)
    body = {"error": "ValidationError", "message": "Invalid Payload", "issues": invalid.issues}
    return Reply(body, 400)
