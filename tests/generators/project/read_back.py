"""Read responses with a generated Python client, write them again, and call a server.

python read_back.py attrs|openapi|pydantic ANSWERS URL, in the folder of the generated client. Prints a line
for each response that changes.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from datetime import datetime
from importlib import import_module
from typing import Any

KIND, ANSWERS, URL = sys.argv[1:]
sys.path.insert(0, ".")
# The schemas with `oneOf`.
CHOICES = {
    "WorkflowResultResponse": lambda value: "WorkflowResult" if "v" in value else "LegacyWorkflowResult",
    "TraceResponse": lambda value: f"{value['source'].title()}Trace",
}


def in_attrs(schema: str, value: Any) -> Any:
    models = import_module("attrs_client.models")
    name = schema if hasattr(models, schema) else CHOICES[schema](value)
    return getattr(models, name).from_dict(value).to_dict()


def in_openapi(schema: str, value: Any) -> Any:
    kind = getattr(import_module("openapi_client.models"), schema)
    return json.loads(kind.from_json(json.dumps(value)).to_json())


def in_pydantic(schema: str, value: Any) -> Any:
    read = getattr(import_module("models"), schema).model_validate(value)
    return read.model_dump(mode="json", by_alias=True, exclude_unset=True)


def ask_with_attrs() -> None:
    api = import_module("attrs_client.api")
    models = import_module("attrs_client.models")
    client = import_module("attrs_client").Client(base_url=URL)
    for name in ("start.run_workflow", "read.get_status", "history.get_history", "messages.signal_workflow"):
        import_module(f"attrs_client.api.{name}")
    request = models.RunRequest(workflow_name="echo", input_={"a": 1})
    result = api.start.run_workflow.sync(client=client, body=request)
    assert result.output == {"sum": 3, "of": {"a": 1}}
    status = api.read.get_status.sync(result.workflow_id, client=client)
    assert status.status == "completed"
    assert isinstance(status.completed_at, int)
    page = api.history.get_history.sync(result.workflow_id, client=client, include_payloads=True)
    assert page.events[0].workflow_execution_started_event_attributes.input_ == [{"a": 1}]
    missing = api.read.get_status.sync("nobody", client=client)
    assert (missing.error, missing.workflow_id) == ("WorkflowNotFoundError", "nobody")
    wrong = models.RunRequest(workflow_name="echo", timeout=1)
    refused = api.start.run_workflow.sync(client=client, body=wrong)
    assert refused.issues[0].minimum == 250
    import_module("attrs_client.api.start.start_workflow")
    started = api.start.start_workflow.sync(
        client=client, body=models.StartRequest(workflow_name="approval", workflow_id="attrs")
    )
    payload = models.MessageRequestPayload.from_dict({"by": "ana"})
    told = api.messages.signal_workflow.sync_detailed(
        started.workflow_id, "approve", client=client, body=models.MessageRequest(payload=payload)
    )
    assert told.status_code == 200


def ask_with_openapi() -> None:
    client = import_module("openapi_client")
    connected = client.ApiClient(client.Configuration(host=URL))
    request = client.RunRequest(workflowName="echo", input={"a": 1})
    result = client.StartApi(connected).run_workflow(request)
    result = getattr(result, "actual_instance", result)
    assert result.output == {"sum": 3, "of": {"a": 1}}
    read = client.ReadApi(connected)
    assert isinstance(read.get_status(result.workflow_id).completed_at.actual_instance, int)
    page = client.HistoryApi(connected).get_history(result.workflow_id, include_payloads=True)
    assert page.events[0].workflow_execution_started_event_attributes.input == [{"a": 1}]
    try:
        read.get_status("nobody")
        told = "found"
    except client.exceptions.NotFoundException as error:
        told = error.data.workflow_id
    assert told == "nobody"
    request = client.StartRequest(workflowName="approval", workflowId="openapi")
    started = client.StartApi(connected).start_workflow(request)
    told = client.MessagesApi(connected).signal_workflow(
        started.workflow_id, "approve", client.MessageRequest(payload={"by": "ana"})
    )
    assert told == "OK"


def ask_with_pydantic() -> None:
    models = import_module("models")
    body = models.RunRequest(workflowName="echo", input={"a": 1}).model_dump_json(exclude_unset=True)
    request = urllib.request.Request(
        f"{URL}/workflow/run", body.encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        result = models.WorkflowResultResponse.model_validate_json(answer.read())
    result = getattr(result, "root", result)
    assert result.output == {"sum": 3, "of": {"a": 1}}
    with urllib.request.urlopen(f"{URL}/workflow/{result.workflowId}/history") as answer:
        page = models.HistoryResponse.model_validate_json(answer.read())
    assert page.events[0].workflowExecutionStartedEventAttributes.workflowType.name == "echo"


def difference(value: Any, read: Any, place: str = "") -> str:
    """The first difference and its path; empty if there is none."""
    if isinstance(value, dict) and isinstance(read, dict):
        for key in {**value, **read}:
            # openapi-generator reads a missing value of any type as null.
            if KIND == "openapi" and read.get(key, 0) is None and key not in value:
                continue
            if key not in value or key not in read:
                return f"{place}.{key} is only {'there' if key in value else 'here'}"
            if found := difference(value[key], read[key], f"{place}.{key}"):
                return found
        return ""
    if isinstance(value, list) and isinstance(read, list) and len(value) == len(read):
        return next(filter(None, map(difference, value, read, [f"{place}[]"] * len(read))), "")
    same = value == read and isinstance(value, bool) == isinstance(read, bool)
    return "" if same or same_time(value, read) else f"{place}: {value!r} became {read!r}"


def same_time(value: Any, read: Any) -> bool:
    try:
        return instant(value) == instant(read)
    except (TypeError, ValueError, AttributeError):
        return False


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def main() -> None:
    read_back, ask = {
        "attrs": (in_attrs, ask_with_attrs),
        "openapi": (in_openapi, ask_with_openapi),
        "pydantic": (in_pydantic, ask_with_pydantic),
    }[KIND]
    with open(ANSWERS, encoding="utf-8") as file:
        answers = json.load(file)
    for schema, value, name in answers:
        try:
            if schema == "StreamHistory":
                found = difference(value, [read_back("HistoryEvent", event) for event in value])
            else:
                found = difference(value, read_back(schema, value))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            found = f"{type(error).__name__}: {error}"
        if found:
            print(f"{schema} of {name}: {ascii(found)[:300]}")
    ask()


main()
