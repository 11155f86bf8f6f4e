"""Limits for the size of requests."""

from __future__ import annotations

import json

import pytest

from output_contract.checks import check
from output_contract.client import Client

_MOST = 2 * 1024 * 1024
_JSON = {"Content-Type": "application/json"}


def _sized(api: Client, size: int) -> bytes:
    """A body with this number of bytes, for an unknown workflow."""
    empty = json.dumps({"workflowName": api.server.new_id(), "input": ""})
    return empty.replace('""', '"' + "x" * (size - len(empty)) + '"').encode()


@check("limits.body", "raw_bodies: 413 PayloadTooLargeError")
def test_a_body_may_have_two_mebibytes(api: Client) -> None:
    within = api.post("/workflow/start", data=_sized(api, _MOST), headers=_JSON)
    assert within.status in (api.unsupported[0], 503), (
        f"a body of 2 MiB is read, and not answered by {within.status}"
    )
    api.post("/workflow/start", data=_sized(api, _MOST + 1), headers=_JSON).must_be(
        413, "PayloadTooLargeError"
    )


@check("limits.encoding", "raw_bodies: 415 UnsupportedMediaTypeError")
def test_an_unknown_content_encoding_is_refused(api: Client) -> None:
    headers = {**_JSON, "Content-Encoding": "br0ken"}
    body = json.dumps({"workflowName": api.server.new_id()})
    api.post("/workflow/start", data=body, headers=headers).must_be(415, "UnsupportedMediaTypeError")


@check("limits.id", "further/fact_http_ids: 400 ServiceError", "observed")
def test_a_workflow_id_may_have_a_thousand_bytes(api: Client) -> None:
    api.server.need("conf_sum")
    longest = (api.server.new_id() + "-" + "x" * 1000)[:1000]
    result = api.run("conf_sum", {"a": 1, "b": 2}, workflowId=longest)
    assert result["workflowId"] == longest
    body = api.body("conf_sum", {"a": 1, "b": 2}) | {"workflowId": f"{longest}x"}
    api.post("/workflow/run", body).must_be(400, "ServiceError")


@pytest.mark.parametrize("size", [1, 50])
@check("limits.page", "history_paging: pageSize")
def test_a_page_may_have_fifty_batches(api: Client, size: int) -> None:
    done = api.finished("succeeds")
    page = api.get(f"{done.base}/history?pageSize={size}").must_be(200).json
    assert page["events"]
    assert (page["nextPageToken"] is None) == (page["events"][-1]["eventId"] == _length(api, done.base))


def _length(api: Client, base: str) -> str:
    length: int = api.get(f"{base}/history").must_be(200).json["workflow"]["historyLength"]
    return str(length)
