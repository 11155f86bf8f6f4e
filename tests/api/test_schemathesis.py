"""Requests that schemathesis generates from the two documents get the documented responses.

schemathesis reads the documents in its own way, so it also tries cases that we have not thought of. Each
operation is called in its own world, which contains data, first with valid and then with invalid requests.
The examples are the same in every run.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from output_contract.conformity import check_response
from output_mock import Context, Script, openapi
from output_mock.control import openapi as control
from output_mock.control.front import Front
from tests.conftest import in_another_thread
from tests.control.served import worlds_of

# It does not support Python 3.10.
schemathesis = pytest.importorskip("schemathesis")
conformance = pytest.importorskip("schemathesis.specs.openapi.checks")

# Status and schema together forbid every undocumented server error.
CHECKS = [
    conformance.status_code_conformance,
    conformance.content_type_conformance,
    conformance.response_headers_conformance,
    conformance.response_schema_conformance,
]
SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=10,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
# Existing names, by the path segment before the name.
KNOWN = {
    "workflow": ["waiting", "done"],
    "runs": ["waiting", "sleeping", "done"],
    "signal": ["approve"],
    "query": ["stage"],
    "update": ["setStage"],
    "catalog": ["main"],
    "catalogs": ["main"],
    "workflows": ["echo", "approval"],
    "worlds": ["other"],
    "faults": ["1"],
    "presets": ["flaky"],
    "snapshots": ["kept"],
}
# The same for bodies.
FIELDS: dict[str, list[Any]] = {
    "workflowName": ["echo", "approval"],
    "catalog": ["main"],
    "taskQueue": ["main"],
    "stepName": ["draft"],
    "workflows": [[{"name": "one", "returns": 1}], [{"name": "other", "steps": [{"sleep": "1h"}]}]],
}
# Bodies for operations where random ones are hardly ever valid.
BODIES = {
    "/__mock__/calls/assert": {"expected": [{"call": "started", "workflow": "echo"}]},
    "/__mock__/callbacks/answers": {"url": "https://app.example/*", "status": 503},
    "/__mock__/callbacks/faults": {"drop": "answer"},
    "/__mock__/workflows/{name}": {"returns": "{{ input }}"},
    "/__mock__/runs/{workflowId}/complete": {"output": 1},
    "/__mock__/runs/{workflowId}/signal": {"name": "approve"},
}
DOCUMENTS = {"api": openapi.document(), "control": control.document()}
OPERATIONS = [
    pytest.param(name, path, method, id=f"{method.upper()} {path}")
    for name, document in DOCUMENTS.items()
    for path, item in document["paths"].items()
    for method in item
]
script = Script()
script.workflow("echo").returns(lambda given: given)
script.workflow("slow").takes("45m").returns("done")
script.workflow("asks").calls_back("https://app.example/review")


@script.workflow("approval")
async def approval(ctx: Context, given: Any) -> Any:
    ctx.on_query("stage", lambda payload: "waiting")
    ctx.on_update("setStage", lambda payload: payload)
    await ctx.step("draft", given, returns="text")
    return await ctx.wait_for_signal("approve")


@pytest.fixture
def front() -> Iterator[Front]:
    """Worlds with a closed run, a waiting run, and one of everything else that has a name."""
    worlds = worlds_of(script)
    front = Front(worlds)
    client = Client(front)

    def post(path: str, body: Any) -> None:
        assert client.post(path, json=body).status_code < 300, path

    post("/workflow/run", {"workflowName": "echo", "workflowId": "done", "input": {"n": 1}})
    post("/workflow/start", {"workflowName": "approval", "workflowId": "waiting"})
    post("/__mock__/clock/advance", {"by": "1h"})
    post("/workflow/start", {"workflowName": "slow", "workflowId": "sleeping"})
    post("/__mock__/callbacks/answers", {"url": "https://app.example/*"})
    post("/workflow/start", {"workflowName": "asks"})
    post("/__mock__/worlds", {"name": "other"})
    post("/__mock__/snapshots", {"name": "kept"})
    post("/__mock__/faults", {"status": 503, "workflow": "nobody's"})
    yield front
    for entry in worlds:
        entry.mock.close()
    worlds.close()


@functools.cache
def loaded(document: str) -> Any:
    """What schemathesis makes of a document."""
    schema = schemathesis.openapi.from_dict(DOCUMENTS[document])
    # They depend on the modules that are imported.
    schema.config.analysis.constants.enabled = False
    return schema


@pytest.mark.parametrize(("document", "path", "method"), OPERATIONS)
def test_requests_from_schemathesis_get_documented_responses(
    front: Front, document: str, path: str, method: str
) -> None:
    schema = loaded(document)
    schema.app = front
    operation = schema[path][method]
    run_ids = {name: run.run_id for name, run in front.worlds.default.mock.runs.items()}
    bodies = {**BODIES, "/__mock__/snapshots/{name}": Client(front).get("/__mock__/snapshots/kept").json}
    right, wrong = (operation.as_strategy(mode) for mode in schemathesis.GenerationMode)
    seen: set[int] = set()

    @SETTINGS
    @given(st.one_of(st.tuples(right, st.integers(0, 2)), st.tuples(wrong, st.integers(0, 5))))
    def examples(drawn: tuple[Any, int]) -> None:
        case, choice = drawn
        if choice <= 2:
            name_what_there_is(case, path, choice, run_ids, bodies)
        if path.endswith(("/calls/wait", "/callbacks/wait")):
            # It waits in real time.
            case.query["timeout"] = "1ms"
        answer = case.call()
        seen.add(answer.status_code)
        check(case, answer)

    # A hanging request fails.
    with in_another_thread(examples):
        pass
    assert min(seen) < 300, f"nothing was ever done: {sorted(seen)}"


def check(case: Any, answer: Any) -> None:
    """Raise unless the response matches the document."""
    if answer.status_code == 200 and case.path.endswith("/stream"):
        # Frames are described by an extension that schemathesis does not know.
        headers = {name: values[0] for name, values in answer.headers.items()}
        target = answer.request.url.removeprefix("http://localhost")
        check_response("GET", target, 200, headers, answer.content)
    else:
        case.validate_response(answer, checks=CHECKS)


def test_an_undocumented_server_error_is_detected(front: Front) -> None:
    front.worlds.default.mock.fail_next(500, body={"error": "Boom", "message": "no"}, times=1)
    schema = schemathesis.openapi.from_dict(openapi.document())
    schema.app = front
    case = schema["/workflow/{id}/status"]["get"].Case(path_parameters={"id": "done"})
    with pytest.raises(schemathesis.errors.FailureGroup, match="Response violates schema"):
        check(case, case.call())
    check(case, case.call())


def name_what_there_is(
    case: Any, path: str, choice: int, run_ids: dict[str, str], bodies: dict[str, Any]
) -> None:
    """Put names that exist into the path and the body of a request; `choice` selects which."""
    if choice < 2:
        case.query = {}
    for before, part in itertools.pairwise(path.split("/")):
        if part == "{rid}":
            case.path_parameters["rid"] = run_ids[case.path_parameters["id"]]
        elif part.startswith("{"):
            # The stream of a waiting run does not end.
            pool = ["done"] if path.endswith("/stream") else KNOWN[before]
            case.path_parameters[part[1:-1]] = pool[choice % len(pool)]
    if choice < 2 and case.operation.body and path in bodies:
        case.body = bodies[path]
    elif isinstance(case.body, dict):
        for name in case.body.keys() & FIELDS.keys():
            case.body[name] = FIELDS[name][choice % len(FIELDS[name])]
