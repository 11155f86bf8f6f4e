"""Where the document that the real server publishes disagrees with what the server does."""

from __future__ import annotations

# What the real server's document says, where the recordings show otherwise. Quoted in the README.
DIFFERENCES: tuple[tuple[str, str], ...] = (
    (
        "every operation but /health and /ready",
        "Names neither the 401 nor how to avoid it: it declares HTTP Basic and asks for it nowhere. In "
        "production the answer is `401 Unauthorized` in plain text, and what is wanted is the bare token, "
        "with or without `Basic ` before it (`production_auth`).",
    ),
    (
        "every answer",
        "Names no headers. All answers carry `X-Request-ID`, all but those of /health and /ready and the 401 "
        "carry the three CORS headers (`health`), and the unpinned stop, terminate and reset carry "
        "`Deprecation`, `Sunset` and `Link` (`stop_default`, `terminate`, `reset`). The exception: a body "
        "that is refused unread gets none of them (`raw_bodies`).",
    ),
    (
        "every operation with a body",
        "Lacks `413` and `415`, and the `400 SyntaxError` where no other 400 is listed; form bodies are "
        "understood too (`raw_bodies`). A broken body is refused before the token is looked at "
        "(`production_auth`).",
    ),
    (
        "every path with a parameter",
        "Some list no 400. All have one: `URIError`, for a percent-escape that cannot be decoded "
        "(`workflow_id`).",
    ),
    (
        "error bodies",
        "One loose shape, nothing required, `workflowId` nullable. `error` and `message` are always there "
        "and `workflowId` comes with certain errors only, never null; `issues` always comes with a "
        "ValidationError, whose message is always `Invalid Payload` (`body_validation`, `unknown_workflow`). "
        "Ours has a closed schema for each error, and names those that each status can have.",
    ),
    (
        "answers of start, status, stop, terminate, reset, runs and history",
        "No key is required, and some `runId`s are nullable. All keys were there in every answer, and none "
        "of the run ids was null (`start_and_poll`, `runs`, `history_paging`).",
    ),
    (
        "POST /workflow/run and /workflow/start: request",
        "Requires `input`, which may be left out: the workflow then sees none (`run_values`, "
        "`run_input_invalid`).",
    ),
    (
        "POST /workflow/run: timeout",
        "Calls it a number with a default of 30 seconds. It is a whole number of milliseconds, 250 or more; "
        "fractions and less are a 400 (`body_validation`). The default is 300000 milliseconds.",
    ),
    (
        "POST /workflow/run and /workflow/start: 404",
        "Lists a 404. An unknown workflow is a 424 and an unknown catalog a 503 (`body_validation`).",
    ),
    (
        "POST /workflow/run and /workflow/start: 503",
        "Says that `Retry-After` may be set. It always was (`body_validation`).",
    ),
    (
        "catalog, taskQueue and workflowType",
        "Any string. Where they route or filter, only letters, digits and `_ . @ -` pass (`runs`, "
        "`body_validation`).",
    ),
    (
        "GET …/status: completedAt",
        "Always a number. While the run runs it is an empty string (`start_and_poll`, `worker_down`).",
    ),
    (
        "stop and terminate: 409",
        "Lists a 409 for closed runs. Stopping one is a 200, terminating one a 404 (`stop_default`).",
    ),
    (
        "POST /workflow/{id}/runs/{rid}/reset: 404",
        "An unknown run is a `500` with the error `Error` here, and a 404 everywhere else "
        "(`known_workflow_unknown_run`, `unknown_workflow`).",
    ),
    (
        "GET …/input: input",
        "Required, null if unavailable. The key is missing when no input was sent (`feedback`).",
    ),
    (
        "GET …/result",
        "Calls the result without `v` legacy. Current servers still answer it, for a run that closed before "
        "its first workflow task (`worker_down`).",
    ),
    (
        "GET …/trace-log: data",
        "An object of `workflowId`, `input`, `output` and `steps`. It is a tree of `id`, `kind`, `name`, "
        "`startedAt`, `endedAt`, `children` and `attributes`, with `input`, `output` and `error` where there "
        "are any (`remote_trace`).",
    ),
    (
        "GET …/history",
        "`workflow` and `events` are objects of any kind, and `workflow` is null after the first page. Both "
        "have a fixed form, and a long poll gets `workflow` on every page (`history_long_poll`). A page is "
        "`pageSize` batches, not events, and a `runId` that is no UUID is a `400 ServiceError` "
        "(`history_paging`).",
    ),
    (
        "GET …/history/stream",
        "Lacks the `204` for when nothing is left to come, the `Last-Event-ID` header, the minimum of "
        "`lastEventId`, which is 1, and the form of the frames; the first one has a `closed` that a page's "
        "`workflow` lacks (`stream_completed`, `stream_live`).",
    ),
    (
        "GET /workflow/catalog",
        "Lacks `workflowNames` and each workflow's `activities`; schemas are null where there are none "
        "(`routing`).",
    ),
    (
        "GET /workflow/catalog/{id}: 409",
        "Lacks the `409 ServiceError` of a catalog whose worker has gone (`worker_down`).",
    ),
    (
        "feedback, signal, query and update: request",
        "Requires a body. None is needed, and `payload` may be left out (`approval`, "
        "`approval_signal_without_body`).",
    ),
    ("feedback and signal: 200", "Gives no content. It is `OK` in plain text (`feedback`, `approval`)."),
    (
        "query and update: 200",
        "Gives no content. It is what the handler returned, any JSON; one that returns nothing is answered "
        "with a JSON content type and no body (`approval`).",
    ),
    (
        "query and update: 500",
        "Speaks of connection failures. An unknown query or update, and a handler that fails, is a 500 too "
        "(`approval`).",
    ),
)
