"""`serve --callback-host` allows requests to the listed hosts and to no others."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from tests.cli.test_cli import Serve, serve  # noqa: F401  (a fixture)

# All names are resolved here. Audit events report all names and connections that are requested.
SCRIPT = """
import socket, sys

from output_mock import Script, StepFailure

script = Script()
asked, connected = [], []


def resolved(host, port, *args, **kwargs):
    asked.append(host)
    return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", port))]


def hook(event, args):
    if event == "socket.connect":
        connected.append(args[1][0])
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        asked.append(f"past {resolved}: {args[0]}")


@script.workflow("tell")
async def tell(ctx, urls):
    socket.getaddrinfo = resolved
    sys.addaudithook(hook)
    answers = []
    for url in urls:
        try:
            answers.append((await ctx.send_http_request(url))["status"])
        except StepFailure as failure:
            answers.append(failure.message.partition("Error: ")[2])
    return answers


@script.workflow("seen")
async def seen(ctx, input):
    return {"asked": asked, "connected": connected}
"""


class _Application(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/away" else 204)
        self.send_header("Location", "http://elsewhere.example/")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_only_the_hosts_named_on_the_command_line_are_resolved_and_reached(
    serve: Serve,  # noqa: F811
    tmp_path: Path,
) -> None:
    (tmp_path / "told.py").write_text(SCRIPT)
    with HTTPServer(("127.0.0.1", 0), _Application) as application:
        beside = threading.Thread(target=application.serve_forever)
        beside.start()
        try:
            port = application.server_port
            named = f"http://App.Example:{port}"
            others = [
                f"http://{host}:{port}/"
                for host in ("other.example", "app.example.evil.example", "sub.app.example", "192.0.2.1")
            ]
            fake = serve("told.py", "--callback-host", "app.example")
            urls = [f"{named}/in", f"{named}/away", *others]

            def output(workflow: str, input: object) -> object:
                asked = {"workflowName": workflow, "input": input}
                return fake.ask("POST", "/workflow/run", asked).json["output"]

            assert output("tell", urls) == [
                204,
                "connect ECONNREFUSED 127.0.0.1:80",
                *["connect ECONNREFUSED 127.0.0.1:" + str(port)] * len(others),
            ]
            assert output("seen", {}) == {"asked": ["app.example"] * 2, "connected": ["127.0.0.1"] * 2}
        finally:
            application.shutdown()
            beside.join()
