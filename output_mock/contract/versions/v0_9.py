"""What 0.9 brought. All of it is turned back for 0.8.

Measured on 0.8.0 and 0.9.2: of the versions between them nothing is recorded.
"""

from __future__ import annotations

from typing import Any

from output_mock.contract.events import WorkflowExecutionStarted
from output_mock.contract.reply import Reply
from output_mock.contract.versions.change import Change, ShownEvent, Trait

_HEADER = "Access-Control-Allow-Headers"
_SUPPORTED = " is not supported in the task queue "


def _no_last_event_id(reply: Reply) -> None:
    if _HEADER in reply.headers:
        reply.headers[_HEADER] = reply.headers[_HEADER].replace(", Last-Event-ID", "")


def _last_event_id_documented(document: dict[str, Any]) -> None:
    for key, header in document["components"]["headers"].items():
        if key.split(".")[0] == _HEADER:
            header["schema"]["const"] = header["schema"]["const"].replace(", Last-Event-ID", "")


def _not_found(reply: Reply) -> None:
    if reply.status == 424 and reply.body["error"] == "UnsupportedWorkflowError":
        words: str = reply.body["message"]
        name, _, catalog = words.removeprefix("Workflow ").removesuffix(".").rpartition(_SUPPORTED)
        message = f'Workflow "{name}" is not available at worker "{catalog}"'
        reply.status, reply.body = 404, {"error": "WorkflowNotFoundError", "message": message}


def _nothing_unsupported(document: dict[str, Any]) -> None:
    # That 404 names no workflow id.
    for rule in document["components"]["schemas"]["ErrorResponse"]["dependentSchemas"]["error"]["allOf"]:
        if rule["then"].get("required") == ["workflowId"]:
            rule["if"]["properties"]["error"]["enum"].remove("WorkflowNotFoundError")
    document["components"]["responses"].pop("424.UnsupportedWorkflowError")
    for path in ("/workflow/run", "/workflow/start"):
        answers = document["paths"][path]["post"]["responses"]
        answers.pop("424")
        # The catalog's worker is asked, and may not be there.
        answers.setdefault("409", document["paths"]["/workflow/catalog"]["get"]["responses"]["409"])


def _no_workflow_names(reply: Reply) -> None:
    if reply.status == 200 and isinstance(reply.body, dict):
        reply.body.pop("workflowNames", None)


def _no_names_in_the_memo(shown: ShownEvent) -> None:
    if shown.kind is WorkflowExecutionStarted and "memo" in shown.attributes:
        shown.attributes["memo"]["fields"].pop("workflowNames", None)


def _no_names_documented(document: dict[str, Any]) -> None:
    catalog = document["components"]["schemas"]["CatalogResponse"]
    catalog["properties"].pop("workflowNames", None)
    catalog["required"] = [name for name in catalog.get("required", ()) if name != "workflowNames"]


def _without_workflow_id(reply: Reply) -> None:
    if reply.status == 400 and reply.body.get("error") == "ServiceError":
        reply.body.pop("workflowId", None)


CHANGES = (
    Change(
        id="unsupported-workflow",
        since="0.9.2",
        axis="api",
        says=(
            "To start a workflow that the catalog does not have is a 424 `UnsupportedWorkflowError` (before: "
            "a 404 `WorkflowNotFoundError`), and a start needs no worker that is there."
        ),
        routes=frozenset({"run", "start"}),
        before=frozenset({Trait.ASKS_THE_CATALOG}),
        answer=_not_found,
        document=_nothing_unsupported,
    ),
    Change(
        id="catalog-names",
        since="0.9.2",
        axis="sdk",
        says=(
            "The catalog has `workflowNames`: every name and alias, with the workflow that it stands for. "
            "Servers since 0.9.2 find no workflow of a worker that does not say so."
        ),
        routes=frozenset({"catalog"}),
        before=frozenset({Trait.NO_NAMES_IN_THE_MEMO}),
        answer=_no_workflow_names,
        event=_no_names_in_the_memo,
        document=_no_names_documented,
    ),
    Change(
        id="history-refused",
        since="0.9.0",
        axis="api",
        says="The 400 for a `runId` that is no UUID, asked for a history, has a `workflowId`.",
        routes=frozenset({"history"}),
        answer=_without_workflow_id,
    ),
    Change(
        id="history-stream",
        since="0.9.0",
        axis="api",
        says=(
            "`GET /workflow/{id}/history/stream`, and the same of one run, follow a run by server-sent "
            "events. Pages of other origins may send `Last-Event-ID`."
        ),
        adds=frozenset({"history_stream"}),
        answer=_no_last_event_id,
        document=_last_event_id_documented,
    ),
)
