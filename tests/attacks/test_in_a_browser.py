"""What a foreign page in a real browser can send to a served fake, and with what effect."""

from __future__ import annotations

import http.server
import json
import queue
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from output_mock.control.access import Access
from output_mock.control.front import Front
from output_mock.server import running
from tests.client import Client
from tests.conftest import eventually
from tests.control.served import worlds_of
from tests.control.test_worlds import names

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="there is no Chromium here (Debian's package is chromium)"
)
FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
]
# How long to wait for a browser that hangs, in seconds; no result depends on it.
PATIENCE = 120

ATTACK = """
const told = {};
async function attempt(name, work) {
  try { told[name] = await work(); } catch (error) { told[name] = String(error); }
}
function loaded(tag, fields, url) {
  return new Promise(resolve => {
    const element = Object.assign(document.createElement(tag), fields);
    element.onload = () => resolve("loaded");
    element.onerror = () => resolve("failed");
    element.src = url;
    document.body.append(element);
  });
}
function submitted(url) {
  return new Promise(resolve => {
    const frame = Object.assign(document.createElement("iframe"), {name: "answer"});
    const form = Object.assign(document.createElement("form"),
      {action: url, method: "POST", enctype: "text/plain", target: "answer"});
    document.body.append(frame, form);
    frame.onload = () => resolve("loaded");
    form.submit();
  });
}
async function run() {
  const mock = FAKE + "/__mock__";
  const opaque = {mode: "no-cors"};
  const json = {"Content-Type": "application/json"};
  await attempt("no-cors POST", async () =>
    (await fetch(mock + "/world/wipe", {method: "POST", ...opaque})).type);
  await attempt("no-cors POST with a body", async () =>
    (await fetch(mock + "/clock/advance", {method: "POST", body: '{"by": "1h"}', ...opaque})).type);
  await attempt("no-cors GET", async () => (await fetch(FAKE + "/w/fetched/health", opaque)).type);
  await attempt("PUT", async () =>
    (await fetch(mock + "/workflows/made", {method: "PUT", headers: json, body: '{"returns": 1}'})).status);
  await attempt("DELETE", async () => (await fetch(mock + "/calls", {method: "DELETE"})).status);
  await attempt("GET", async () => (await fetch(mock + "/calls")).json());
  await attempt("beacon", async () => navigator.sendBeacon(mock + "/world/wipe"));
  await attempt("image", () => loaded("img", {}, FAKE + "/w/pictured/workflow/runs"));
  await attempt("script", () => loaded("script", {}, FAKE + "/w/scripted/workflow/runs"));
  await attempt("frame", () => loaded("iframe", {}, FAKE + "/w/framed/health"));
  await attempt("frame of the control plane", () => loaded("iframe", {}, mock + "/calls"));
  await attempt("image without a referrer",
    () => loaded("img", {referrerPolicy: "no-referrer"}, FAKE + "/w/hidden/workflow/runs"));
  await attempt("form", () => submitted(mock + "/world/wipe"));
  await fetch("/told", {method: "POST", body: JSON.stringify(told)});
}
run();
"""


class Recorded:
    """An application, and the requests that it has answered: request lines and statuses."""

    def __init__(self, app: Front) -> None:
        self.app = app
        self.answered: list[tuple[str, int]] = []

    def wake_all_waiters(self) -> None:
        self.app.wake_all_waiters()

    def __call__(self, environ: Any, start_response: Any) -> Any:
        line = f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']}"

        def noted(status: str, *rest: Any) -> Any:
            self.answered.append((line, int(status[:3])))
            return start_response(status, *rest)

        return self.app(environ, noted)


@contextmanager
def pages() -> Iterator[tuple[int, dict[str, str], queue.Queue[Any]]]:
    """A server of web pages: its port, the pages by path, and the reports of their scripts."""
    texts: dict[str, str] = {}
    told: queue.Queue[Any] = queue.Queue()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = texts.get(self.path, "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port, texts, told
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def browser(folder: Path, *arguments: str) -> Iterator[None]:
    """A new browser with one page, for the duration of the block."""
    assert BROWSER is not None
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["of the same site", "of another site"])
def test_a_foreign_page_can_neither_change_nor_read_a_fake(tmp_path: Path, host: str) -> None:
    worlds = worlds_of()
    app = Recorded(Front(worlds))
    with running(app) as url, pages() as (port, texts, told):
        client = Client(url)
        client.start("approval", workflowId="kept")
        before = client.control("GET", "/world").json
        app.answered.clear()
        texts["/"] = f"<body><script>const FAKE = {json.dumps(url)};{ATTACK}</script>"
        with browser(tmp_path, f"http://{host}:{port}/"):
            found = told.get(timeout=PATIENCE)
            eventually(lambda: app.answered.count(("POST /__mock__/world/wipe", 403)) == 3)
        # Simple requests and the preflights of all others arrived, and every one was refused.
        assert found["no-cors POST"] == found["no-cors POST with a body"] == found["no-cors GET"] == "opaque"
        for name in ("PUT", "DELETE", "GET"):
            assert found[name] == "TypeError: Failed to fetch"
        arrived = {line for line, _ in app.answered}
        for line in (
            "POST /__mock__/clock/advance",
            "OPTIONS /__mock__/workflows/made",
            "OPTIONS /__mock__/calls",
            "GET /__mock__/calls",
            *(f"GET /w/{name}/health" for name in ("fetched", "framed")),
            *(f"GET /w/{name}/workflow/runs" for name in ("pictured", "scripted", "hidden")),
        ):
            assert line in arrived
        assert {status for _, status in app.answered} == {403}
        assert names(client) == ["default"]
        assert {**client.control("GET", "/world").json, "idle": 0} == {**before, "idle": 0}
        assert client.get("/workflow/kept/status").json["status"] == "running"
    worlds.default.mock.close()


def test_an_allowed_page_can_control_the_fake(tmp_path: Path) -> None:
    worlds = worlds_of()
    with pages() as (port, texts, told):
        app = Recorded(Front(worlds, access=Access(origins=[f"http://localhost:{port}"])))
        with running(app) as url:
            client = Client(url)
            client.start("approval", workflowId="kept")
            texts["/"] = f"<body><script>const FAKE = {json.dumps(url)};{ATTACK}</script>"
            with browser(tmp_path, f"http://localhost:{port}/"):
                found = told.get(timeout=PATIENCE)
            assert (found["PUT"], found["DELETE"], found["GET"]) == (201, 204, {"calls": [], "count": 0})
    worlds.default.mock.close()


def test_dns_rebinding_does_not_reach_the_control_plane(tmp_path: Path) -> None:
    worlds = worlds_of()
    app = Recorded(Front(worlds))
    with running(app) as url:
        target = f"http://evil.example:{urlsplit(url).port}/w/made/__mock__/calls"
        with browser(tmp_path, "--host-resolver-rules=MAP evil.example 127.0.0.1", target):
            eventually(lambda: ("GET /w/made/__mock__/calls", 403) in app.answered, seconds=PATIENCE)
        assert names(Client(url)) == ["default"]
    worlds.default.mock.close()
