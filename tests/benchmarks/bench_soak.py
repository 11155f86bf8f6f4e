"""Many mixed calls of eight clients while things go wrong: nothing is lost or doubled, and memory stays flat.

Fakes follow each other on one server, as the tests of a suite have them. Each is called some 2,000 times, and
then everything is looked through, with nothing going wrong any more: each id that was asked for has exactly
one run, each signal that was acknowledged stands exactly once in its history, and each stream, whatever cut
it, has brought each event once.

`SOAK_CALLS=200000 pytest tests/benchmarks/bench_soak.py -s` makes it long; without, there are 20,000 calls.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

CALLS = int(os.environ.get("SOAK_CALLS", "20000"))
CLIENTS = 8
CALLS_OF_A_FAKE = 2_000
# Seconds for a call, and for all of them: there are hundreds a second on any machine.
PATIENCE = 30.0
LIMIT = 120 + CALLS / 150
# How much larger the process may be at the end than it was after a tenth. It takes 40,000 calls until its
# memory has found its form.
FLAT = 1.1 if CALLS >= 100_000 else 1.25


class Counts:
    """What was called, and what came back, over all clients."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.resumed = 0
        self.streams = 0
        self.signals = 0
        self.runs = 0

    @property
    def total(self) -> int:
        return sum(self.calls.values())


class Job:
    """A run as its client knows it."""

    def __init__(self, workflow_id: str, workflow: str) -> None:
        self.workflow_id = workflow_id
        self.workflow = workflow
        self.run_id: str | None = None
        self.acknowledged: set[int] = set()
        self.sent: set[int] = set()
        self.closed = False


class Failed(Exception):
    """The call was answered with an error that was made up, or not at all."""


class Client:
    """Calls what it likes, in its own thread, and remembers what has to be there."""

    def __init__(self, name: str, port: int, seed: int, counts: Counts) -> None:
        self.name = name
        self.port = port
        self.counts = counts
        self.chance = random.Random(seed)
        self.numbers = itertools.count(1)
        self.jobs: list[Job] = []
        self.problem: BaseException | None = None
        self.connection: http.client.HTTPConnection | None = None

    def work(self, calls: int) -> None:
        """Make so many calls."""
        self.jobs = []
        end = self.made + calls
        try:
            while self.made < end:
                self.step()
        except BaseException as error:
            self.problem = error
        finally:
            self.hang_up()

    made = 0

    def step(self) -> None:
        chance = self.chance
        running = [job for job in self.jobs[-10:] if not job.closed]
        if not running or chance.random() < 0.08:
            self.start()
            return
        job = chance.choice(running)
        what = chance.choices(
            ["status", "signal", "query", "result", "history", "stream", "stop", "terminate", "runs", "run"],
            [20, 25, 10, 8, 10, 4, 1, 1, 5, 8],
        )[0]
        try:
            getattr(self, what)(job)
        except Failed:
            pass

    # Calls

    def ask(
        self, kind: str, method: str, path: str, body: Any = None, allowed: tuple[int, ...] = ()
    ) -> tuple[int, Any]:
        self.made += 1
        self.counts.calls[kind] += 1
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            headers = {} if body is None else {"Content-Type": "application/json"}
            self.connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self.connection.getresponse()
            text = answer.read()
        except (http.client.HTTPException, ConnectionError) as error:
            self.hang_up()
            self.counts.failed["dropped"] += 1
            raise Failed from error
        if answer.getheader("Retry-After"):
            self.counts.failed[str(answer.status)] += 1
            raise Failed
        assert answer.status == 200 or answer.status in allowed, (kind, path, answer.status, text)
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        return answer.status, json.loads(text) if is_json and text else text

    def hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def start(self) -> None:
        """Start a run, and ask again for as long as that has not been answered."""
        job = Job(f"{self.name}-{next(self.numbers)}", "gather")
        body = {"workflowName": "gather", "workflowId": job.workflow_id, "input": {"n": 1}}
        self.jobs.append(job)
        while job.run_id is None:
            try:
                status, answer = self.ask("start", "POST", "/workflow/start", body, (500,))
            except Failed:
                continue
            if status == 200:
                job.run_id = answer["runId"]
            else:
                # It had been done before, and only the answer was lost.
                assert answer["error"] == "WorkflowExecutionAlreadyStartedError", answer
                job.run_id = "unknown"

    def run(self, job: Job) -> None:
        one = Job(f"{self.name}-{next(self.numbers)}", "sum")
        a = self.chance.randrange(100)
        body = {"workflowName": "sum", "workflowId": one.workflow_id, "input": {"a": a, "b": 1}}
        _, answer = self.ask("run", "POST", "/workflow/run", body)
        assert answer["output"] == {"total": a + 1}, answer
        one.run_id, one.closed = answer["runId"], True
        self.jobs.insert(0, one)

    def status(self, job: Job) -> None:
        _, answer = self.ask("status", "GET", f"/workflow/{job.workflow_id}/status")
        assert answer["workflowId"] == job.workflow_id
        assert answer["status"] == "running" or job.sent, answer

    def signal(self, job: Job) -> None:
        number = next(self.numbers)
        payload = {"number": number, "last": self.chance.random() < 0.05}
        job.sent.add(number)
        path = f"/workflow/{job.workflow_id}/signal/item"
        if payload["last"]:
            # Whether it has come or not, nothing more is sent.
            job.closed = True
        self.ask("signal", "POST", path, {"payload": payload})
        job.acknowledged.add(number)

    def query(self, job: Job) -> None:
        _, answer = self.ask("query", "POST", f"/workflow/{job.workflow_id}/query/taken", {})
        taken = [one["number"] for one in answer]
        assert len(taken) == len(set(taken)), taken
        assert job.acknowledged <= set(taken) <= job.sent

    def result(self, job: Job) -> None:
        self.ask("result", "GET", f"/workflow/{job.workflow_id}/result", None, (424,))

    def history(self, job: Job) -> None:
        """The first pages of a history."""
        path = f"/workflow/{job.workflow_id}/history?pageSize=5"
        seen: list[int] = []
        _, page = self.ask("history", "GET", path)
        while True:
            seen += [int(event["eventId"]) for event in page["events"]]
            assert seen == list(range(1, len(seen) + 1)), seen
            if page["nextPageToken"] is None or len(seen) > 20:
                return
            token = page["nextPageToken"].replace("+", "%2B").replace("=", "%3D")
            _, page = self.ask("history", "GET", f"{path}&runId={page['runId']}&pageToken={token}")

    def runs(self, job: Job) -> None:
        _, answer = self.ask("runs", "GET", "/workflow/runs?limit=20")
        assert answer["count"] == len(answer["runs"])

    def stop(self, job: Job) -> None:
        job.closed = True
        self.ask("stop", "PATCH", f"/workflow/{job.workflow_id}/stop", None, (404,))

    def terminate(self, job: Job) -> None:
        job.closed = True
        path = f"/workflow/{job.workflow_id}/terminate"
        self.ask("terminate", "POST", path, {"reason": "soaked"}, (404,))

    def stream(self, job: Job) -> None:
        """Follow a run that is about to end to its end, and go on where the stream is cut."""
        self.close(job)
        self.counts.streams += 1
        seen: list[int] = []
        for attempt in itertools.count():
            self.made += 1
            self.counts.calls["stream"] += 1
            self.counts.resumed += attempt > 0 and bool(seen)
            try:
                if self.follow(job, seen):
                    break
            except (http.client.HTTPException, ConnectionError, Failed):
                self.counts.failed["stream"] += 1
        assert seen == list(range(1, len(seen) + 1)), seen
        assert len(seen) > 3

    def close(self, job: Job) -> None:
        """Send the last signal, whatever it takes."""
        job.closed = True
        number = next(self.numbers)
        job.sent.add(number)
        body = {"payload": {"number": number, "last": True}}
        path = f"/workflow/{job.workflow_id}/signal/item"
        while True:
            try:
                status, _ = self.ask("signal", "POST", path, body, (404,))
            except Failed:
                continue
            if status == 200:
                job.acknowledged.add(number)
            return

    def follow(self, job: Job, seen: list[int]) -> bool:
        """Whether the stream has come to its end; what it brings is put into `seen`."""
        headers = {"Last-Event-ID": str(seen[-1])} if seen else {}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("GET", f"/workflow/{job.workflow_id}/history/stream", headers=headers)
            answer = connection.getresponse()
            if answer.status == 204:
                return True
            if answer.status != 200:
                raise Failed
            event = b""
            while line := answer.readline():
                if line.startswith(b"event: "):
                    event = line[7:].strip()
                elif line.startswith(b"data: ") and event == b"history":
                    seen += [int(one["eventId"]) for one in json.loads(line[6:])]
                elif line.startswith(b"data: ") and event == b"done":
                    return True
        return False

    # Looking back, when nothing goes wrong any more

    def check(self) -> None:
        """Hold what the fake has against what this client has done."""
        for job in self.jobs:
            self.counts.runs += 1
            events = self.whole_history(job)
            signals = Counter(
                sent_with(event)["number"]
                for event in events
                if event["eventTypeName"] == "WORKFLOW_EXECUTION_SIGNALED"
            )
            assert all(times == 1 for number, times in signals.items()), (job.workflow_id, signals)
            assert job.acknowledged <= set(signals) <= job.sent, (job.workflow_id, signals, job.sent)
            self.counts.signals += len(job.acknowledged)
        self.hang_up()

    def whole_history(self, job: Job) -> list[dict[str, Any]]:
        path = f"/workflow/{job.workflow_id}/history?pageSize=50&includePayloads=true"
        _, page = self.ask("check", "GET", path)
        assert job.run_id in (page["runId"], "unknown"), job.workflow_id
        events = page["events"]
        while page["nextPageToken"] is not None:
            token = page["nextPageToken"].replace("+", "%2B").replace("=", "%3D")
            _, page = self.ask("check", "GET", f"{path}&runId={page['runId']}&pageToken={token}")
            events += page["events"]
        assert [int(event["eventId"]) for event in events] == list(range(1, len(events) + 1))
        return list(events)


def sent_with(event: dict[str, Any]) -> Any:
    """The payload of a signal, as its event has it."""
    payload = event["workflowExecutionSignaledEventAttributes"]["input"]["payloads"][0]
    return json.loads(base64.b64decode(payload["data"]))


@pytest.fixture
def soaked() -> Iterator[tuple[int, int]]:
    """The port and the process id of a server in a process of its own."""
    command = [sys.executable, "-m", "tests.benchmarks.soaked", "7"]
    root = str(Path(__file__).parents[2])
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root)
    assert server.stdout is not None
    try:
        yield int(server.stdout.readline().rpartition(":")[2]), server.pid
        assert server.poll() is None, "the server has ended"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


def memory(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="memory cannot be seen here")
def test_nothing_is_lost_or_doubled_and_memory_stays_flat(soaked: tuple[int, int]) -> None:
    port, process = soaked
    counts = Counts()
    marks: list[int] = []
    begun = time.monotonic()
    for fake in range(max(1, CALLS // CALLS_OF_A_FAKE)):
        assert time.monotonic() - begun < LIMIT, f"only {counts.total} calls in {LIMIT:.0f} s"
        tell(port, "/next")
        clients = [Client(f"client-{n}", port, fake * CLIENTS + n, counts) for n in range(CLIENTS)]
        threads = [
            threading.Thread(target=one.work, args=(CALLS_OF_A_FAKE // CLIENTS,), daemon=True)
            for one in clients
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a client hangs"
        for problem in [one.problem for one in clients if one.problem is not None]:
            raise problem
        tell(port, "/calm")
        check(port, clients)
        marks.append(memory(process))
    took = time.monotonic() - begun
    tenth = marks[len(marks) // 10 :]
    # What is there in the middle of the last fakes, against that of the first ones.
    third = max(1, len(tenth) // 3)
    growth = statistics.median(tenth[-third:]) / statistics.median(tenth[:third])
    print(
        f"\n{counts.total} calls in {took:.0f} s ({counts.total / took:.0f} a second): {dict(counts.calls)}; "
        f"went wrong: {dict(counts.failed)}; {counts.runs} runs, {counts.signals} signals, "
        f"{counts.streams} streams, resumed {counts.resumed} times; memory {marks[0] / 1e6:.0f} MB, after a "
        f"tenth {tenth[0] / 1e6:.0f} MB, at the end {marks[-1] / 1e6:.0f} MB: {growth:.3f} (limit {FLAT})"
    )
    assert counts.failed["dropped"]
    assert counts.resumed
    assert growth <= FLAT


def tell(port: int, path: str) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("POST", path)
        assert connection.getresponse().read() == b"OK"


def check(port: int, clients: list[Client]) -> None:
    """Each id has one run, and there is none that nobody has asked for."""
    for one in clients:
        one.check()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/workflow/runs?limit=1000")
        listed = Counter(run["workflowId"] for run in json.load(connection.getresponse())["runs"])
    known = {job.workflow_id for one in clients for job in one.jobs}
    assert max(listed.values()) == 1, "an id has two runs"
    # A run whose answer was lost has been done all the same.
    assert known <= set(listed)
    # The catalog is a run, too.
    assert all(name.startswith("client-") for name in set(listed) - {"main"})
