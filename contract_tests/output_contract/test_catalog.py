"""The workflows in a catalog."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema.validators import validator_for

from output_contract.checks import check
from output_contract.client import Client
from output_contract.server import NEEDS_CATALOG


def _catalog(api: Client) -> Any:
    path = "/workflow/catalog" if api.server.catalog is None else f"/workflow/catalog/{api.server.catalog}"
    return api.get(path)


def _offered(api: Client) -> dict[str, Any]:
    answer = _catalog(api)
    if answer.status != 200:
        pytest.skip(NEEDS_CATALOG)
    offered: dict[str, Any] = answer.json
    return offered


@check("catalog.there", "routing: GET /workflow/catalog")
def test_the_server_has_a_catalog(api: Client) -> None:
    _catalog(api).must_be(200)


@check("catalog.names", "routing: workflowNames", sdk_since="0.9.2")
def test_every_name_and_alias_leads_to_a_workflow(api: Client) -> None:
    catalog = _offered(api)
    names = [workflow["name"] for workflow in catalog["workflows"]]
    assert len(set(names)) == len(names), "each workflow is there once"
    expected = {name: name for name in names}
    expected |= {alias: one["name"] for one in catalog["workflows"] for alias in one["aliases"]}
    assert catalog["workflowNames"] == expected


@check("catalog.schemas", "routing: inputSchema")
def test_input_and_output_schemas_are_valid_json_schemas(api: Client) -> None:
    for workflow in _offered(api)["workflows"]:
        for schema in (workflow["inputSchema"], workflow["outputSchema"]):
            if schema is not None:
                validator_for(schema).check_schema(schema)


@check("catalog.same-again", "routing: GET /workflow/catalog/main")
def test_a_catalog_can_be_read_by_its_name(api: Client) -> None:
    catalog = _offered(api)
    runs = api.get("/workflow/runs?workflowType=$catalog")
    # A type has no dollar sign. The list of all runs includes the catalogs.
    runs.must_be(400, "ValidationError")
    listed = api.get("/workflow/runs?limit=1000").must_be(200).json["runs"]
    names = {
        run["workflowId"]
        for run in listed
        if run["workflowType"] == "$catalog" and run["status"] == "running"
    }
    if not names:
        pytest.skip("the newest thousand runs have no catalog among them; there is nothing to do")
    found = [api.get(f"/workflow/catalog/{name}") for name in sorted(names)]
    assert [one.json for one in found if one.status == 200 and one.json == catalog], "one of them is this one"


@check("catalog.unknown", "unknown_workflow: GET /workflow/catalog/none")
def test_an_unknown_catalog_is_not_found(api: Client) -> None:
    name = api.server.new_id()
    api.get(f"/workflow/catalog/{name}").must_be(404, "WorkflowNotFoundError", workflowId=name)


@check("catalog.pack", "routing: GET /workflow/catalog")
def test_the_catalog_describes_the_workflows_of_the_pack(api: Client) -> None:
    api.server.need("conf_sum")
    offered = {one["name"]: one for one in _offered(api)["workflows"]}
    assert offered["conf_echo"]["aliases"] == ["conf_mirror"]
    assert offered["conf_sum"]["description"] == "Adds two numbers"
    schema = offered["conf_sum"]["inputSchema"]
    assert schema["properties"] == {"a": {"type": "number"}, "b": {"type": "number"}}
    assert schema["required"] == ["a", "b"]
    assert offered["conf_resumable"]["inputSchema"] is None, "where there is no schema there is null"
