"""The control plane reports unused scripts."""

from __future__ import annotations

from typing import Any

from output_mock import OutputMock
from output_mock.control.worlds import Worlds
from tests.client import Client
from tests.control.served import served, worlds_of

SCRIPT = {
    "when": [
        {"match": {"currency": "EUR"}, "returns": 1},
        {"match": {"currency": "USD"}, "answers": [{"fails": "busy"}, {"returns": 2}]},
    ],
    "returns": 3,
}


def unused(client: Client, name: str) -> list[Any]:
    found = client.control("GET", "/unused").json
    assert found["count"] == len(found["unused"])
    return [one for one in found["unused"] if repr(name) in one["about"] or "fault" in one["about"]]


def test_unused_scripts_that_were_sent_over_http_are_reported() -> None:
    with served(worlds_of()) as client:
        client.control("PUT", "/workflows/price", SCRIPT)
        (whole,) = unused(client, "price")
        assert whole["about"] == "workflow 'price' was never run"
        client.run("price", {"currency": "USD"})
        first, second, others = unused(client, "price")
        assert first["about"] == 'workflow \'price\': when({"currency": "EUR"}) matched no input'
        assert first["places"] == ["/when/0"]
        assert "no run got answer 2 of 2 for when" in second["about"]
        assert second["places"] == ["/when/1/answers/1"]
        assert others["about"] == "workflow 'price': no run got its answer for other inputs"
        client.control("POST", "/faults", {"status": 503, "route": "stop"})
        assert (
            unused(client, "price")[-1]["about"] == "the fault 'answer 503 for route stop' affected no call"
        )
        for currency in ("USD", "EUR", "GBP"):
            client.run("price", {"currency": currency})
        client.control("DELETE", "/faults")
        assert unused(client, "price") == []


def test_each_unused_place_in_a_yaml_text_is_reported_once() -> None:
    with served(worlds_of()) as client:
        client.control(
            "PUT",
            "/workflows/short",
            data="name: short\nreturns: 1\n",
            headers={"Content-Type": "application/yaml"},
            expect=201,
        )
        (whole,) = unused(client, "short")
        assert whole["places"] == ["the body, line 1, column 1"]


def test_scripts_are_not_reported_as_unused_while_a_run_has_not_begun() -> None:
    with served(worlds_of()) as client:
        client.control("PUT", "/workflows/price", SCRIPT)
        client.start("price", {"currency": "USD"})
        assert unused(client, "price") == []


def test_a_fault_reports_its_url_and_whether_it_can_affect_a_call() -> None:
    mock = OutputMock(api_version="0.8")
    with served(Worlds(mock)) as client:
        # The faults of a preset are for any version, so they need not affect a call.
        client.control("POST", "/presets/deploying")
        client.control("POST", "/presets/flaky")
        fault = client.control("POST", "/faults", {"status": 503, "route": "input"}).json
        place = f"/__mock__/faults/{fault['id']}"
        what = "the fault 'answer 503 for route input'"
        warning = f"{what} affects no call: API 0.8.0 has no route 'input' ({place})"
        assert fault["warning"] == warning
        assert mock.script_warnings == [warning]
        (one,) = client.control("GET", "/unused").json["unused"]
        assert one["places"] == [place]
        assert client.control("POST", "/faults", {"status": 503, "route": "run"}).json["warning"] is None
