"""Where the document that the real server publishes disagrees with what the server does."""

from __future__ import annotations

# What the real server's document says, and what the recordings show.
DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "every operation but /health and /ready",
        "Does not mention the 401. It declares HTTP Basic, but no operation uses it. In production, a "
        "request without the token gets a plain text `401 Unauthorized`. The token is sent as it is, "
        "with or without `Basic ` before it (`production_auth`).",
    ),
    (
        "every answer",
        "Mentions no headers. All answers have `X-Request-ID`. All except those of /health and /ready "
        "and the 401 have the three CORS headers (`health`). The unpinned stop, terminate and reset have "
        "`Deprecation`, `Sunset` and `Link` (`stop_default`, `terminate`, `reset`). A body that is "
        "refused before it is read gets none of them (`raw_bodies`).",
    ),
    (
        "every operation with a body",
        "Does not mention `413` and `415`, nor `400 SyntaxError` where it mentions no other 400. Form "
        "bodies are accepted, too (`raw_bodies`); the fake's document says so in its introduction alone, as "
        "generated clients send JSON. A broken body is refused before the token is checked "
        "(`production_auth`).",
    ),
    (
        "every path with a parameter",
        "Some operations mention no 400. All can answer `400 URIError`, for a percent-escape that cannot "
        "be decoded (`workflow_id`).",
    ),
    (
        "error bodies",
        "Has one schema for all errors, in which nothing is required and `workflowId` may be null. In "
        "fact `error` and `message` are always there, and `workflowId` only in certain errors, and never "
        "null. A ValidationError always has `issues`, and its message is always `Invalid Payload` "
        "(`body_validation`, `unknown_workflow`). The fake's document has one schema, too, with the rules of "
        "each error, and lists the errors of each status.",
    ),
    (
        "answers of start, status, stop, terminate, reset, runs and history",
        "Requires no key, and says that some `runId`s may be null. All keys were in every answer, and no "
        "run id was null (`start_and_poll`, `runs`, `history_paging`).",
    ),
    (
        "POST /workflow/run and /workflow/start: request",
        "Requires `input`. You may leave it out, and the workflow then gets none (`run_values`, "
        "`run_input_invalid`).",
    ),
    (
        "POST /workflow/run: timeout",
        "Calls it a number, with a default of 30 seconds. It is a whole number of milliseconds, at least "
        "250. Fractions and smaller numbers get a 400 (`body_validation`). The default is 300000 "
        "milliseconds.",
    ),
    (
        "POST /workflow/run and /workflow/start: 404",
        "Says that an unknown workflow is a 404. It is a 424, and an unknown catalog a 503 "
        "(`body_validation`). The fake's document has the 404, too, so that clients generated from either "
        "take the same answers.",
    ),
    (
        "POST /workflow/run and /workflow/start: 503",
        "Says that `Retry-After` may be set. It always was (`body_validation`).",
    ),
    (
        "catalog, taskQueue and workflowType",
        "Allows any string. Where they filter or route, only letters, digits and `_ . @ -` are accepted "
        "(`runs`, `body_validation`).",
    ),
    (
        "GET …/status: completedAt",
        "Says that it is always a number. While the run is open, it is an empty string "
        "(`start_and_poll`, `worker_down`).",
    ),
    (
        "stop and terminate: 409",
        "Says that a closed run is a 409. Stopping a closed run is a 200, and terminating one is a 404 "
        "(`stop_default`). The fake's document has the 409, too, for what else Temporal may refuse.",
    ),
    (
        "POST /workflow/{id}/runs/{rid}/reset: 404",
        "Mentions a 404. An unknown run is a `500` with the error `Error` here, and a 404 everywhere "
        "else (`known_workflow_unknown_run`, `unknown_workflow`).",
    ),
    (
        "GET …/input: input",
        "Requires it, and says that it is null if there is none. The key is missing if no input was sent "
        "(`feedback`).",
    ),
    (
        "GET …/result",
        "Calls a result without `v` old. Current servers still answer one for a run that closed before "
        "its first workflow task (`worker_down`).",
    ),
    (
        "GET …/trace-log: data",
        "Describes an object of `workflowId`, `input`, `output` and `steps`. It is a tree of `id`, "
        "`kind`, `name`, `startedAt`, `endedAt`, `children` and `attributes`, with `input`, `output` and "
        "`error` if there are any (`remote_trace`).",
    ),
    (
        "GET …/history",
        "Describes `workflow` and `events` as objects of any kind, and says that `workflow` is null "
        "after the first page. Both have a fixed form, and a long poll gets `workflow` on every page "
        "(`history_long_poll`). `pageSize` counts batches, not events, and a `runId` that is not a UUID "
        "gets a `400 ServiceError` (`history_paging`).",
    ),
    (
        "GET …/history/stream",
        "Does not mention the `204` when no event is left, the header `Last-Event-ID`, the minimum of "
        "`lastEventId`, which is 1, and the form of the frames. The first frame has a `closed` that the "
        "`workflow` of a page does not have (`stream_completed`, `stream_live`).",
    ),
    (
        "GET /workflow/catalog",
        "Does not mention `workflowNames`, nor the `activities` of a workflow. A schema is null if there "
        "is none (`routing`).",
    ),
    (
        "GET /workflow/catalog/{id}: 409",
        "Does not mention the `409 ServiceError` of a catalog whose worker is gone (`worker_down`).",
    ),
    (
        "feedback, signal, query and update: request",
        "Requires a body. You need none, and you may leave `payload` out (`approval`, "
        "`approval_signal_without_body`).",
    ),
    (
        "feedback and signal: 200",
        "Describes no content. It is `OK` in plain text (`feedback`, `approval`).",
    ),
    (
        "query and update: 200",
        "Describes no content. It is what the handler returned: any JSON. A handler that returns nothing "
        "gets a JSON content type and no body (`approval`).",
    ),
    (
        "query and update: 500",
        "Describes connection failures. An unknown query or update, and a handler that fails, are a 500, "
        "too (`approval`).",
    ),
)
