"""A client without a valid token gets no access, and learns nothing about the token."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

import pytest

from output_mock import OutputMock
from output_mock.control.openapi import document
from output_mock.control.worlds import Worlds
from tests.attacks.raw import send
from tests.control.served import script, served

WRONG = [
    "",
    "Basic",
    "Bearer ",
    "Basic wrong",
    "Bearer s3cre",
    "Bearer s3crett",
    "s3cret\xe9",
    "Digest s3cret",
    "Basic Basic s3cret",
]


def guarded_worlds() -> Worlds:
    def make(options: Mapping[str, Any]) -> OutputMock:
        return OutputMock(scripts=[script], auth_token="s3cret")

    return Worlds(make({}), make)


@pytest.mark.parametrize("prefix", ["", "/w/default"])
def test_without_a_control_token_the_control_plane_requires_the_auth_token(prefix: str) -> None:
    with served(guarded_worlds()) as client:
        for path, item in document()["paths"].items():
            for method in item:
                refused = send(client.url, f"{method.upper()} {prefix}{path}", "Host: localhost")
                assert refused.status == 401
                assert "--auth-token" in refused.json["message"]
        for given in WRONG:
            refused = send(
                client.url, f"GET {prefix}/__mock__/clock", "Host: localhost", f"Authorization: {given}"
            )
            assert refused.status == 401
        for given in ("Basic s3cret", "Bearer s3cret", "bearer s3cret", "s3cret"):
            header = f"Authorization: {given}"
            assert send(client.url, f"GET {prefix}/__mock__/clock", "Host: localhost", header).status == 200


def test_with_a_control_token_the_auth_token_does_not_open_the_control_plane() -> None:
    with served(guarded_worlds(), control_token="c0ntrol") as client:
        client.control("GET", "/clock", headers={"Authorization": "Bearer s3cret"}, expect=401)
        client.control("GET", "/clock", expect=200)
        # It does not open the API either.
        assert client.get("/workflow/runs", headers={"Authorization": "Basic c0ntrol"}).status == 401


def test_with_an_auth_token_a_request_needs_it_to_create_a_world() -> None:
    with served(guarded_worlds()) as client:
        for target in ("/w/made/health", "/w/made/workflow/runs", "/w/made/__mock__/clock"):
            for given in WRONG:
                refused = send(client.url, f"GET {target}", "Host: localhost", f"Authorization: {given}")
                assert refused.status == 401
        header = "Authorization: Basic s3cret"
        listed = send(client.url, "GET /__mock__/worlds", "Host: localhost", header).json["worlds"]
        assert [world["name"] for world in listed] == ["default"]
        assert send(client.url, "GET /w/made/workflow/runs", "Host: localhost", header).status == 200


def test_the_token_of_a_world_opens_its_api_but_not_the_control_plane() -> None:
    with served(guarded_worlds()) as client:
        body = {"name": "one", "tokens": ["t1"]}
        client.control("POST", "/worlds", body, headers={"Authorization": "Bearer s3cret"}, expect=201)
        for given in ("Bearer t1", "Basic t1", "t1"):
            headers = {"Authorization": given}
            assert client.of("one").get("/workflow/runs", headers=headers).status == 200
            assert client.get("/workflow/runs", headers=headers).status == 200
            client.control("GET", "/clock", headers=headers, expect=401)
            assert client.of("default").get("/workflow/runs", headers=headers).status == 401


@pytest.mark.parametrize("given", ["Basic s3cret", "Basic wrong", "Bearer t1"])
def test_every_token_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    compared: list[bytes] = []
    true = hmac.compare_digest

    def noted(one: bytes, other: bytes) -> bool:
        compared.append(other)
        return true(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    with served(guarded_worlds()) as client:
        client.unchecked("GET", "/workflow/runs", headers={"Authorization": given})
        assert compared == [b"s3cret"]
        client.control("GET", "/clock", headers={"Authorization": given})
        assert compared == [b"s3cret"] * 2
