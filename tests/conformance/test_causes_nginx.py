"""How a real nginx in front of a server affects the checks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from output_contract.pack import script
from output_mock import OutputMock
from output_mock.cli.verify import verify
from tests.server.nginx import LACKING, a_free_port, nginx

if LACKING is not None:
    pytest.skip(LACKING, allow_module_level=True)

# The lines of the server block, the checks, and the expected report.
SETUPS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "hides a header": (
        "location / { proxy_pass http://api; proxy_hide_header X-Request-ID; }",
        ("system.health", "system.ready", "catalog.there"),
        "Something in front of the server (nginx",
    ),
    "buffers": (
        "location / { proxy_pass http://api; proxy_ignore_headers X-Accel-Buffering; }",
        ("stream.follows", "stream.terminated", "stream.closed"),
        "holds live streams back",
    ),
    "small bodies": (
        "location / { proxy_pass http://api; }",
        ("limits.body",),
        "answers 413 with a page of its own",
    ),
    "decodes paths": (
        "location / { proxy_pass http://api/; }",
        ("routing.escaped-id", "run.own-id"),
        "rewrites paths",
    ),
    "error pages": (
        "location / { proxy_pass http://api; proxy_intercept_errors on; error_page 404 /none.html; }",
        ("routing.unknown-workflow",),
        "answers 404 with a page of its own: “404 Not Found”",
    ),
    "impatient": (
        "location = /workflow/run { proxy_pass http://api; proxy_read_timeout 1s; }"
        "location / { proxy_pass http://api; }",
        # The run takes at least two seconds.
        ("run.retries-end",),
        "answers 504 with a page of its own: “504 Gateway Time-out”",
    ),
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    mock = OutputMock("real", scripts=[script])
    try:
        with mock.serve() as url:
            yield url
    finally:
        mock.close()


@contextmanager
def in_front(folder: Path, upstream: str, block: str) -> Iterator[str]:
    """The URL of an nginx in front of a server, with these lines in its server block."""
    port = a_free_port()
    configuration = f"""
        user root;
        worker_processes 1;
        events {{ worker_connections 256; }}
        http {{
            access_log off;
            client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
            uwsgi_temp_path {folder}; scgi_temp_path {folder};
            upstream api {{ server {urlsplit(upstream).netloc}; }}
            server {{ listen 127.0.0.1:{port}; proxy_http_version 1.1; {block} }}
        }}"""
    with nginx(folder, configuration, port) as url:
        yield url


def verdict_on(folder: Path, url: str, *only: str) -> dict[str, Any]:
    areas = [word for area in only for word in ("--only", area)]
    arguments = [url, *areas, "--examples", "3", "--patience", "10", "--report", str(folder)]
    CliRunner().invoke(verify, arguments, env={"OUTPUT_API_AUTH_TOKEN": ""}, catch_exceptions=False)
    verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
    return verdict


@pytest.mark.parametrize("name", SETUPS)
def test_an_nginx_misconfiguration_is_reported_as_the_one_cause_of_all_failures(
    server: str, tmp_path: Path, name: str
) -> None:
    block, only, words = SETUPS[name]
    with in_front(tmp_path, server, block) as url:
        verdict = verdict_on(tmp_path, url, *only)
    failed = [check["id"] for check in verdict["checks"] if check["status"] == "failed"]
    (cause,) = verdict["causes"]
    assert words in cause["seen"]
    assert sorted(cause["checks"]) == sorted(failed)


def test_a_correctly_configured_nginx_is_not_a_cause(server: str, tmp_path: Path) -> None:
    # nginx compresses on request, and streams disable buffering themselves.
    block = "client_max_body_size 3m; gzip on; gzip_proxied any; gzip_types *;"
    block += "location / { proxy_pass http://api; }"
    with in_front(tmp_path, server, block) as url:
        verdict = verdict_on(
            tmp_path, url, "system", "catalog", "limits", "stream.follows", "routing.escaped-id"
        )
    assert (verdict["causes"], verdict["counts"].get("failed")) == ([], None)


def test_an_nginx_without_an_api_is_reported_in_one_line(server: str, tmp_path: Path) -> None:
    with in_front(tmp_path, server, f"root {tmp_path};") as url:
        result = CliRunner().invoke(verify, [url], env={"OUTPUT_API_AUTH_TOKEN": ""})
    assert result.exit_code == 2
    assert f"there is no Output API at {url}: GET /workflow/runs?limit=1 is answered 404" in result.output
    assert len(result.output.splitlines()) == 1
