"""The list of runs."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from output_contract.checks import check
from output_contract.client import Client
from output_contract.server import CLOSED

WRONG = {
    "limit=0": ("limit", "too_small"),
    "limit=1001": ("limit", "too_big"),
    "limit=abc": ("limit", "invalid_type"),
    "limit=1.5": ("limit", "invalid_type"),
    "limit=": ("limit", "too_small"),
    "workflowType=bad%22type": ("workflowType", "invalid_format"),
    "catalog=bad%20catalog": ("catalog", "invalid_format"),
}


def _listed(api: Client, query: str = "") -> list[dict[str, Any]]:
    listed = api.get(f"/workflow/runs{query and '?'}{query}").must_be(200).json
    assert listed["count"] == len(listed["runs"])
    runs: list[dict[str, Any]] = listed["runs"]
    return runs


def _milliseconds(iso: str) -> int:
    stamp = datetime.strptime(iso, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    return round(stamp.timestamp() * 1000)


@check("runs.list", "runs, routing: GET /workflow/runs/, further/fact_runs_order")
def test_runs_are_listed_newest_first(api: Client) -> None:
    """Running runs come first. Closed ones follow, latest first."""
    runs = _listed(api)
    assert len(runs) <= 100, "without a limit it is 100"
    closed = [run["completedAt"] for run in runs if run["completedAt"] is not None]
    assert closed == sorted(closed, reverse=True)
    running = [run["startedAt"] for run in runs if run["completedAt"] is None]
    assert running == sorted(running, reverse=True)
    assert [run["completedAt"] for run in runs] == [None] * len(running) + closed


@pytest.mark.parametrize("query", WRONG)
@check("runs.query", "runs: 400 ValidationError")
def test_invalid_query_parameters_are_refused(api: Client, query: str) -> None:
    answer = api.get(f"/workflow/runs?{query}").must_be(400, "ValidationError")
    issues = [(issue["path"], issue["code"]) for issue in answer.json["issues"]]
    assert issues == [([WRONG[query][0]], WRONG[query][1])]


@check("runs.limit", "runs: limit")
def test_the_limit_is_respected(api: Client) -> None:
    api.server.role("succeeds")
    api.finished("succeeds"), api.finished("fails")
    api.until(lambda: len(_listed(api, "limit=1000")) >= 2, "there are two runs", within=30)
    assert len(_listed(api, "limit=1")) == 1
    assert len(_listed(api, "limit=2")) == 2


@check("runs.unknown-type", "runs: workflowType=none")
def test_an_unknown_workflow_type_has_no_runs(api: Client) -> None:
    assert _listed(api, f"workflowType={api.server.new_id()}") == []


@check("runs.unknown-catalog", "runs: catalog=elsewhere")
def test_an_unknown_catalog_has_no_runs(api: Client) -> None:
    assert _listed(api, f"catalog={api.server.new_id()}") == []


def _entry(api: Client, workflow: str, workflow_id: str) -> dict[str, Any]:
    """The entry of a closed run. A list may be out of date for a moment."""
    found: list[dict[str, Any]] = []

    def there() -> bool:
        runs = _listed(api, f"workflowType={workflow}&limit=1000")
        found[:] = [run for run in runs if run["workflowId"] == workflow_id and run["status"] in CLOSED]
        return bool(found)

    api.until(there, f"{workflow_id} is listed as closed", within=30)
    return found[0]


@check("runs.entry", "runs, run_completes")
def test_a_listed_run_agrees_with_its_status(api: Client) -> None:
    done = api.finished("succeeds")
    name = api.server.workflow_names().get(done.role.workflow, done.role.workflow)
    entry = _entry(api, name, done.id)
    status = api.get(f"{done.base}/status").must_be(200).json
    assert entry["workflowType"] == name
    assert (entry["runId"], entry["status"]) == (done.run_id, status["status"])
    assert _milliseconds(entry["startedAt"]) == status["startedAt"]
    assert _milliseconds(entry["completedAt"]) == status["completedAt"]


@check("runs.type", "runs: workflowType=conf_untraced")
def test_only_runs_of_the_type_are_listed(api: Client) -> None:
    done, other = api.finished("succeeds"), api.finished("fails")
    name = api.server.workflow_names().get(done.role.workflow, done.role.workflow)
    _entry(api, name, done.id)
    runs = _listed(api, f"workflowType={name}&limit=1000")
    assert {run["workflowType"] for run in runs} == {name}
    assert other.id not in {run["workflowId"] for run in runs} or other.role.workflow == done.role.workflow


@check("runs.catalog", "runs: catalog=main")
def test_only_runs_of_the_catalog_are_listed(api: Client) -> None:
    done = api.finished("succeeds")
    name = api.server.workflow_names().get(done.role.workflow, done.role.workflow)
    _entry(api, name, done.id)
    queue = api.get(f"{done.base}/history?pageSize=1").must_be(200).json["workflow"]["taskQueue"]
    ids = {run["workflowId"] for run in _listed(api, f"workflowType={name}&catalog={queue}&limit=1000")}
    assert done.id in ids


@check("runs.alias", "runs, run_values: conf_mirror", "observed")
def test_a_run_is_listed_under_its_real_name_only(api: Client) -> None:
    result = api.run("conf_mirror", 1)
    assert _entry(api, "conf_echo", result["workflowId"])["workflowType"] == "conf_echo"
    assert _listed(api, "workflowType=conf_mirror") == []


@check("runs.running", "routing: GET /workflow/runs/")
def test_a_running_run_is_listed_as_running(api: Client) -> None:
    begun = api.started("takes_long")
    work = api.server.role("takes_long")
    name = api.server.workflow_names().get(work.workflow, work.workflow)

    def there() -> bool:
        runs = [
            run for run in _listed(api, f"workflowType={name}&limit=1000") if run["workflowId"] == begun.id
        ]
        return [(run["status"], run["completedAt"]) for run in runs] == [("running", None)]

    api.until(there, f"{begun.id} is listed as running", within=30)


@check("runs.agree", "runs, run_completes")
def test_status_result_and_history_agree_with_the_list(api: Client) -> None:
    """Status, result and history agree with the list. Ignores the runs of other users."""
    done = api.finished("succeeds")
    runs = [run for run in _listed(api, "limit=1000") if run["workflowId"] == done.id]
    assert runs, f"{done.id} has closed, and is not listed"
    for run in runs:
        base = f"/workflow/{quote(run['workflowId'], safe='')}/runs/{run['runId']}"
        status = api.get(f"{base}/status").must_be(200, status=run["status"], runId=run["runId"]).json
        assert status["completedAt"] == _milliseconds(run["completedAt"])
        api.get(f"{base}/result").must_be(200, status=run["status"], runId=run["runId"])
        page = api.get(f"{base}/history?pageSize=50").must_be(200, runId=run["runId"]).json
        assert page["workflow"]["status"] == run["status"]
        assert page["workflow"]["closeTime"] == run["completedAt"]


@check("runs.any-query", "runs, further/fact_http_query_strings")
def test_no_query_string_causes_an_unexpected_answer(api: Client, examples: settings) -> None:
    texts = st.sampled_from(["", "0", "1", "5", "-1", "1e2", "0x10", "Infinity", "a.b-c@d_1", "true"])
    texts |= st.text(st.characters(codec="utf-8"), max_size=8)
    names = st.sampled_from(["limit", "workflowType", "catalog", "limit[]", "limit[a]", "x", "__proto__"])

    @examples
    @given(st.lists(st.tuples(names, texts), max_size=4))
    def is_answered(pairs: list[tuple[str, str]]) -> None:
        query = "&".join(f"{name}={quote(text, safe='')}" for name, text in pairs)
        answer = api.get(f"/workflow/runs?{query}")
        assert answer.status in (200, 400), answer.text

    is_answered()
