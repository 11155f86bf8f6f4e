"""Eight clients make many mixed calls to a server that has faults and is killed now and then.

Nothing may be lost or duplicated, and memory must not grow. The server keeps `KEEP_RUNS` closed runs, and its
state in a file. It is killed (`kill -9`) and restarted five times while clients call it. After every 2,000
calls, the faults stop and the state is checked: each requested id has exactly one run, each acknowledged
signal is in its history exactly once, and each stream, however often it was cut, has sent each event once.
Only data that was acknowledged within the last second before a kill may be missing.

Memory is the resident size of the server's process after each 2,000 calls, measured once the limit of kept
runs is reached.

There are 20,000 calls by default. `SOAK_CALLS=200000 pytest tests/benchmarks/bench_soak.py -s` makes more.
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
CALLS_OF_A_PHASE = 2_000
KEEP_RUNS = 5_000 if CALLS >= 100_000 else 500
KILLS = 5
# What was acknowledged so many seconds before a kill may be missing.
MAY_BE_LOST = 1.0
# Seconds for a call, and for all of them: there are hundreds a second on any machine.
PATIENCE = 30.0
LIMIT = 120 + CALLS / 150
# How much larger the process may be in the last third than in the first one.
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
        self.lost = 0
        self.gone = 0

    @property
    def total(self) -> int:
        return sum(self.calls.values())


class Job:
    """The state of a run that its client expects."""

    def __init__(self, workflow_id: str, workflow: str) -> None:
        self.workflow_id = workflow_id
        self.workflow = workflow
        self.run_id: str | None = None
        # When its start was acknowledged, and when each of its signals was.
        self.begun = 0.0
        self.acknowledged: dict[int, float] = {}
        self.sent: set[int] = set()
        self.closed = False
        # Whether it was missing after a kill, as it may be.
        self.lost = False


class Kills:
    """When the server was killed. During a kill, the time is not known yet."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def may_have_lost(self, acknowledged: float) -> bool:
        """Whether data that was acknowledged at that time may be missing."""
        return any(time - MAY_BE_LOST <= acknowledged <= time for time in self.times)


class Failed(Exception):
    """The call got an injected error, or no response."""


class Client:
    """Makes random calls in its own thread, and remembers what must exist afterwards."""

    def __init__(self, name: str, port: int, seed: int, counts: Counts, kills: Kills) -> None:
        self.name = name
        self.port = port
        self.counts = counts
        self.kills = kills
        self.chance = random.Random(seed)
        self.numbers = itertools.count(1)
        self.jobs: list[Job] = []
        self.problem: BaseException | None = None
        self.connection: http.client.HTTPConnection | None = None

    def work(self, calls: int) -> None:
        """Make that many calls."""
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
        self,
        kind: str,
        method: str,
        path: str,
        body: Any = None,
        allowed: tuple[int, ...] = (),
        job: Job | None = None,
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
        except ConnectionRefusedError as error:
            # The server is away, so this was no call.
            self.made -= 1
            self.counts.calls[kind] -= 1
            self.hang_up()
            time.sleep(0.05)
            raise Failed from error
        except (http.client.HTTPException, ConnectionError) as error:
            self.hang_up()
            self.counts.failed["dropped"] += 1
            raise Failed from error
        if answer.getheader("Retry-After"):
            self.counts.failed[str(answer.status)] += 1
            raise Failed
        if answer.status == 404 and job is not None and self.kills.may_have_lost(job.begun):
            job.lost = job.closed = True
            self.counts.lost += 1
            raise Failed
        assert answer.status == 200 or answer.status in allowed, (kind, path, answer.status, text)
        is_json = (answer.getheader("Content-Type") or "").startswith("application/json")
        return answer.status, json.loads(text) if is_json and text else text

    def hang_up(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def start(self) -> None:
        """Start a run; repeat the request until it is answered."""
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
        job.begun = time.monotonic()

    def run(self, job: Job) -> None:
        one = Job(f"{self.name}-{next(self.numbers)}", "sum")
        a = self.chance.randrange(100)
        body = {"workflowName": "sum", "workflowId": one.workflow_id, "input": {"a": a, "b": 1}}
        _, answer = self.ask("run", "POST", "/workflow/run", body)
        assert answer["output"] == {"total": a + 1}, answer
        one.run_id, one.closed, one.begun = answer["runId"], True, time.monotonic()
        self.jobs.insert(0, one)

    def status(self, job: Job) -> None:
        _, answer = self.ask("status", "GET", f"/workflow/{job.workflow_id}/status", job=job)
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
        self.ask("signal", "POST", path, {"payload": payload}, job=job)
        job.acknowledged[number] = time.monotonic()

    def query(self, job: Job) -> None:
        _, answer = self.ask("query", "POST", f"/workflow/{job.workflow_id}/query/taken", {}, job=job)
        taken = [one["number"] for one in answer]
        assert len(taken) == len(set(taken)), taken
        assert self.there(job) <= set(taken) <= job.sent

    def there(self, job: Job) -> set[int]:
        """The signals that must have arrived."""
        return {number for number, when in job.acknowledged.items() if not self.kills.may_have_lost(when)}

    def result(self, job: Job) -> None:
        self.ask("result", "GET", f"/workflow/{job.workflow_id}/result", None, (424,), job)

    def history(self, job: Job) -> None:
        """The first pages of a history."""
        path = f"/workflow/{job.workflow_id}/history?pageSize=5"
        seen: list[int] = []
        killed = len(self.kills.times)
        _, page = self.ask("history", "GET", path, job=job)
        while True:
            if len(self.kills.times) > killed:
                # What its pages have may be of before and after.
                return
            seen += [int(event["eventId"]) for event in page["events"]]
            assert seen == list(range(1, len(seen) + 1)), seen
            if page["nextPageToken"] is None or len(seen) > 20:
                return
            token = page["nextPageToken"].replace("+", "%2B").replace("=", "%3D")
            onwards = f"{path}&runId={page['runId']}&pageToken={token}"
            # A token of what was lost leads nowhere.
            status, page = self.ask("history", "GET", onwards, None, (400,), job)
            if status == 400:
                assert len(self.kills.times) > killed, page
                return

    def runs(self, job: Job) -> None:
        _, answer = self.ask("runs", "GET", "/workflow/runs?limit=20")
        assert answer["count"] == len(answer["runs"])

    def stop(self, job: Job) -> None:
        job.closed = True
        self.ask("stop", "PATCH", f"/workflow/{job.workflow_id}/stop", None, (404,), job)

    def terminate(self, job: Job) -> None:
        job.closed = True
        path = f"/workflow/{job.workflow_id}/terminate"
        self.ask("terminate", "POST", path, {"reason": "soaked"}, (404,))

    def stream(self, job: Job) -> None:
        """Follow a run to its end, and resume the stream when it is cut."""
        self.counts.streams += 1
        seen: list[int] = []
        killed = -1
        for attempt in itertools.count():
            if len(self.kills.times) > killed:
                # Its last signal may be lost, and what was seen of it.
                killed = len(self.kills.times)
                self.close(job)
                if job.lost:
                    return
                seen.clear()
            self.made += 1
            self.counts.calls["stream"] += 1
            self.counts.resumed += attempt > 0 and bool(seen)
            try:
                if self.follow(job, seen):
                    break
            except ConnectionRefusedError:
                self.made -= 1
                self.counts.calls["stream"] -= 1
                time.sleep(0.05)
            except (http.client.HTTPException, ConnectionError, Failed):
                self.counts.failed["stream"] += 1
        if len(self.kills.times) == killed:
            assert seen == list(range(1, len(seen) + 1)), seen
            assert len(seen) > 3

    def close(self, job: Job) -> None:
        """Send the last signal; repeat the request until it is answered."""
        job.closed = True
        number = next(self.numbers)
        job.sent.add(number)
        body = {"payload": {"number": number, "last": True}}
        path = f"/workflow/{job.workflow_id}/signal/item"
        while True:
            try:
                status, _ = self.ask("signal", "POST", path, body, (404,), job)
            except Failed:
                if job.lost:
                    return
                continue
            if status == 200:
                job.acknowledged[number] = time.monotonic()
            return

    def follow(self, job: Job, seen: list[int]) -> bool:
        """Read the stream into `seen`; returns whether it has ended."""
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
        """Compare the state of the fake with what this client has done."""
        for job in self.jobs:
            if job.lost:
                continue
            try:
                events = self.whole_history(job)
            except Failed:
                assert job.lost, job.workflow_id
                continue
            self.counts.runs += 1
            signals = Counter(
                sent_with(event)["number"]
                for event in events
                if event["eventTypeName"] == "WORKFLOW_EXECUTION_SIGNALED"
            )
            assert all(times == 1 for number, times in signals.items()), (job.workflow_id, signals)
            assert self.there(job) <= set(signals) <= job.sent, (job.workflow_id, signals, job.sent)
            self.counts.signals += len(job.acknowledged)
            if events[-1]["eventTypeName"] in RUNNING:
                # Runs that go on are never too many: end it.
                self.ask("terminate", "POST", f"/workflow/{job.workflow_id}/terminate", {})
        self.hang_up()

    def whole_history(self, job: Job) -> list[dict[str, Any]]:
        path = f"/workflow/{job.workflow_id}/history?pageSize=50&includePayloads=true"
        _, page = self.ask("check", "GET", path, job=job)
        assert job.run_id in (page["runId"], "unknown"), job.workflow_id
        events = page["events"]
        while page["nextPageToken"] is not None:
            token = page["nextPageToken"].replace("+", "%2B").replace("=", "%3D")
            _, page = self.ask("check", "GET", f"{path}&runId={page['runId']}&pageToken={token}")
            events += page["events"]
        assert [int(event["eventId"]) for event in events] == list(range(1, len(events) + 1))
        return list(events)


RUNNING = {
    "WORKFLOW_TASK_SCHEDULED",
    "WORKFLOW_TASK_STARTED",
    "WORKFLOW_TASK_COMPLETED",
    "ACTIVITY_TASK_SCHEDULED",
    "WORKFLOW_EXECUTION_SIGNALED",
}


def sent_with(event: dict[str, Any]) -> Any:
    """The payload of a signal, as its event has it."""
    payload = event["workflowExecutionSignaledEventAttributes"]["input"]["payloads"][0]
    return json.loads(base64.b64decode(payload["data"]))


class Soaked:
    """The server in a separate process, which can be restarted on the same port and file."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.port = 0
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "output_mock", "serve", "tests/benchmarks/soaked.py"]
        command += ["--port", str(self.port), "--keep-runs", str(KEEP_RUNS), "--state", str(self.state)]
        command += ["--journal", "100", "--seed", "7"]
        root = str(Path(__file__).parents[2])
        log = open(self.state.with_suffix(".log"), "a")  # noqa: SIM115
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=root)
        log.close()
        assert self.process.stdout is not None
        first = self.process.stdout.readline()
        assert "http://" in first, (first, self.state.with_suffix(".log").read_text()[-2000:])
        self.port = int(first.partition("http://")[2].partition(" ")[0].rpartition(":")[2])

    def kill(self, kills: Kills) -> None:
        assert self.process is not None
        # Whoever is answered from now on has been answered before.
        kills.times.append(time.monotonic() + PATIENCE)
        self.process.kill()
        self.process.wait()
        kills.times[-1] = time.monotonic()
        self.close()
        self.start()

    def close(self) -> None:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def soaked(tmp_path: Path) -> Iterator[Soaked]:
    server = Soaked(tmp_path / "state")
    try:
        yield server
        assert server.process is not None
        assert server.process.poll() is None, "the server has ended"
    finally:
        server.close()


def memory(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="memory cannot be seen here")
def test_nothing_is_lost_or_doubled_and_memory_stays_flat(soaked: Soaked) -> None:
    port = soaked.port
    counts, kills = Counts(), Kills()
    # After which calls, and how many runs were kept, and how large the process was.
    marks: list[tuple[int, int, int]] = []
    begun = time.monotonic()
    phases = max(KILLS, CALLS // CALLS_OF_A_PHASE)
    killing = {phases * n // KILLS + phases // (2 * KILLS) for n in range(KILLS)}
    for phase in range(phases):
        assert time.monotonic() - begun < LIMIT, f"only {counts.total} calls in {LIMIT:.0f} s"
        trouble(port)
        clients = [
            Client(f"client-{n}-{phase}", port, phase * CLIENTS + n, counts, kills) for n in range(CLIENTS)
        ]
        threads = [
            threading.Thread(target=one.work, args=(CALLS_OF_A_PHASE // CLIENTS,), daemon=True)
            for one in clients
        ]
        for thread in threads:
            thread.start()
        if phase in killing:
            # In the middle of it.
            half = counts.total + CALLS_OF_A_PHASE // 2
            while counts.total < half and any(thread.is_alive() for thread in threads):
                time.sleep(0.01)
            soaked.kill(kills)
        for thread in threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a client hangs"
        for problem in [one.problem for one in clients if one.problem is not None]:
            raise problem
        control(port, "DELETE", "/faults")
        check(port, clients)
        assert soaked.process is not None
        counts.gone = control(port, "GET", "/version")["runsGone"]
        kept = control(port, "GET", "/world")["runs"]
        # The children of a parent, and those that run, come on top; here there are none of either.
        assert kept <= KEEP_RUNS
        marks.append((counts.total, kept, memory(soaked.process.pid)))
        if phase % 10 == 9:
            print(
                f"\n{counts.total} calls, {time.monotonic() - begun:.0f} s, {len(kills.times)} kills, "
                f"{kept} runs kept, {marks[-1][2] / 1e6:.0f} MB",
                flush=True,
            )
    took = time.monotonic() - begun
    full = [size for _, kept, size in marks if kept >= KEEP_RUNS * 0.95]
    third = max(1, len(full) // 3)
    growth = statistics.median(full[-third:]) / statistics.median(full[:third])
    print(
        f"\n{counts.total} calls in {took:.0f} s ({counts.total / took:.0f} a second): {dict(counts.calls)}; "
        f"went wrong: {dict(counts.failed)}; {counts.runs} runs, {counts.signals} signals, "
        f"{counts.streams} streams, resumed {counts.resumed} times; killed {len(kills.times)} times, "
        f"{counts.lost} runs of the last second lost; kept {marks[-1][1]} runs of at most {KEEP_RUNS}, "
        f"{counts.gone} went since the last start; memory {marks[0][2] / 1e6:.0f} MB, with all that are kept "
        f"{full[0] / 1e6:.0f} MB, at the end {marks[-1][2] / 1e6:.0f} MB: {growth:.3f} (limit {FLAT})"
    )
    assert counts.failed["dropped"]
    assert counts.resumed
    assert counts.gone
    assert len(kills.times) == KILLS
    assert growth <= FLAT


# What goes wrong with one call in a hundred each.
TROUBLE: list[dict[str, Any]] = [
    {"status": 500, "retryAfter": 1},
    {"status": 503, "retryAfter": 1},
    {"drop": "request"},
    {"drop": "answer"},
    {"cutAfter": 7},
]


def trouble(port: int) -> None:
    for fault in TROUBLE:
        chance = 0.3 if "cutAfter" in fault else 0.01
        control(port, "POST", "/faults", {**fault, "times": "always", "probability": chance})


def control(port: int, method: str, path: str, body: Any = None) -> Any:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, f"/__mock__{path}", None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status < 300, (path, answer.status, text)
        return json.loads(text) if text else None


def check(port: int, clients: list[Client]) -> None:
    """Check that each id has exactly one run, and that there are no other runs."""
    for one in clients:
        one.check()
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        connection.request("GET", "/workflow/runs?limit=1000")
        listed = Counter(run["workflowId"] for run in json.load(connection.getresponse())["runs"])
    known = {job.workflow_id for one in clients for job in one.jobs if not job.lost}
    assert max(listed.values()) == 1, "an id has two runs"
    # A run whose answer was lost has been done all the same.
    assert known <= set(listed)
    # The catalog is a run, too.
    assert all(name.startswith("client-") for name in set(listed) - {"main"})
