"""A small client of the Output API."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import requests

# All in seconds.
ANSWER_WITHIN = 10.0
POLL_EVERY = 300.0
TRY_AGAIN_AFTER = (1.0, 2.0, 4.0)


class OutputError(Exception):
    """The API has refused a request."""

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class Unavailable(Exception):
    """The API cannot be reached, or asks the client to try again later."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


class RunFailed(Exception):
    """A run has ended without a result."""


class StillRunning(Exception):
    """A run has not ended in time."""


def authorization() -> dict[str, str]:
    """The header with the token of `OUTPUT_API_AUTH_TOKEN`; nothing when there is none."""
    token = os.environ.get("OUTPUT_API_AUTH_TOKEN")
    return {} if token is None else {"Authorization": f"Basic {token}"}


class OutputClient:
    """Calls the API at `OUTPUT_API_URL`."""

    def __init__(self) -> None:
        self._url = os.environ["OUTPUT_API_URL"]
        self._session = requests.Session()
        self._session.headers.update(authorization())

    def start(self, workflow: str, input: Any, *, workflow_id: str) -> None:
        """Start a run. If only the response is lost, the id shows that the run exists, and it runs once."""
        body = {"workflowName": workflow, "workflowId": workflow_id, "input": input}
        self._call("POST", "/workflow/start", body, arrived=lambda: self.status(workflow_id) is not None)

    def status(self, workflow_id: str) -> str | None:
        """`running`, `completed`, `failed`, …; None when there is no such run."""
        try:
            status: str = self._call("GET", f"/workflow/{workflow_id}/status")["status"]
        except OutputError as error:
            if error.status == 404:
                return None
            raise
        return status

    def wait(self, workflow_id: str, *, within: float) -> Any:
        """The output of a run, once it has ended. Raises `RunFailed` and `StillRunning`."""
        deadline = time.monotonic() + within
        while self.status(workflow_id) == "running":
            if time.monotonic() >= deadline:
                raise StillRunning(f"{workflow_id} still runs after {within:.0f} s")
            time.sleep(POLL_EVERY)
        result = self._call("GET", f"/workflow/{workflow_id}/result")
        if result["status"] != "completed":
            error = result["error"] or {"message": "no reason given"}
            raise RunFailed(f"{workflow_id} has {result['status']}: {error['message']}")
        return result["output"]

    def query(self, workflow_id: str, name: str) -> Any:
        """Query a run."""
        return self._call("POST", f"/workflow/{workflow_id}/query/{name}")

    def signal(self, workflow_id: str, name: str, payload: dict[str, Any]) -> None:
        """Send a signal to a run."""
        self._call("POST", f"/workflow/{workflow_id}/signal/{name}", {"payload": payload})

    def stop(self, workflow_id: str) -> None:
        """Ask a run to stop."""
        self._call("PATCH", f"/workflow/{workflow_id}/stop")

    def _call(
        self, method: str, path: str, body: Any = None, *, arrived: Callable[[], bool] = lambda: False
    ) -> Any:
        """Send a request, and again while the API is unavailable, unless it has `arrived` all the same."""
        for pause in TRY_AGAIN_AFTER:
            try:
                return self._send(method, path, body)
            except Unavailable as problem:
                time.sleep(problem.retry_after or pause)
            if arrived():
                return None
        return self._send(method, path, body)

    def _send(self, method: str, path: str, body: Any) -> Any:
        try:
            answer = self._session.request(method, self._url + path, json=body, timeout=ANSWER_WITHIN)
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Unavailable(f"{method} {path}: {error}") from error
        if answer.status_code == 503:
            retry_after = answer.headers.get("Retry-After")
            raise Unavailable(f"{method} {path}: 503", None if retry_after is None else float(retry_after))
        if not answer.ok:
            raise OutputError(f"{method} {path}: {answer.status_code} {answer.text}", answer.status_code)
        is_json = answer.headers["Content-Type"].startswith("application/json")
        return answer.json() if is_json else answer.text
