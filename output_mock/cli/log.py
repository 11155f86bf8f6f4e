"""The log of a served fake: a line for each request, and mistakes in scripts."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO
from weakref import WeakKeyDictionary

from output_mock.masking import masked_text

if TYPE_CHECKING:
    from output_mock.http.journal import Call
    from output_mock.mock import OutputMock
    from output_mock.server import Served

# A separate thread writes the lines, so that no request waits for a terminal or a full pipe. At most this
# many lines wait; older ones are lost.
_KEPT = 10_000
# Seconds for which lines are collected before they are written: too short to notice.
_COLLECT = 0.03
# How often, in seconds, the scripts are looked at when there are no requests.
_LOOK = 1.0
# For how many seconds a script may block its world before a line reports it.
_STUCK = 5.0


class _Text(NamedTuple):
    """Lines that are written as they are."""

    text: str


class RequestLog:
    """Writes to `stream`, which has a file descriptor, what a server reports, until `close`.

    A line is text, or (`structured`) a JSON object. There is one for each request unless `requests` is false;
    answers 200 to `GET /health` are left out unless `health` is true.
    """

    def __init__(
        self, stream: TextIO, *, structured: bool = False, requests: bool = True, health: bool = True
    ) -> None:
        # Bypass the stream's own lock, which a thread that is stuck in a write would hold when Python ends.
        self._file = stream.fileno()
        self._encoding = stream.encoding
        self._structured = structured
        self._requests = requests
        self._health = health
        # The fakes that are followed, and the mistake in their scripts that was reported last.
        self._followed: WeakKeyDictionary[OutputMock, object] = WeakKeyDictionary()
        # For each fake, the number of the script that was reported as stuck.
        self._stuck: WeakKeyDictionary[OutputMock, int] = WeakKeyDictionary()
        # What was reported and is not reported again; only the newest entries are kept.
        self._told: dict[str, None] = {}
        self._waiting: deque[tuple[float, Served | str | _Text]] = deque(maxlen=_KEPT)
        self._something = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="output-mock-log", daemon=True)
        self._thread.start()

    def follow(self, mock: OutputMock) -> None:
        """Also report the mistakes in the scripts of this fake."""
        self._followed[mock] = None
        mock.app.on_answer = self._answered

    def served(self, done: Served) -> None:
        """Note what the server has done. Called from any thread; never waits."""
        if not self._requests or (not self._health and done.target == "/health" and done.status == 200):
            return
        self._waiting.append((time.time(), done))
        if not self._something.is_set():
            self._something.set()

    def tell(self, text: str) -> None:
        """Write lines of text. Called from any thread; never waits."""
        self._waiting.append((time.time(), _Text(text)))
        self._something.set()

    def close(self) -> None:
        """Write what is left, if it can be written, and end."""
        self._closing.set()
        self._something.set()
        self._thread.join(timeout=0.2)

    def _answered(self, call: Call) -> None:
        # Mistakes in handlers of queries and updates show only in the answer.
        if call.status == 500 and call.answer is not None and b'"ScriptError"' in call.answer:
            self._waiting.append((time.time(), str(json.loads(call.answer)["message"])))

    def _run(self) -> None:
        try:
            while not self._closing.is_set():
                self._something.wait(_LOOK)
                self._closing.wait(_COLLECT)
                self._something.clear()
                self._write()
            self._write()
        except OSError:
            # Nobody reads any more: the pipe is broken.
            self._waiting = deque(maxlen=0)

    def _write(self) -> None:
        lines: list[str] = []
        while self._waiting:
            lines.append(self._line(*self._waiting.popleft()))
        for mock, seen in list(self._followed.items()):
            errors = list(mock.world.script_errors)
            if errors:
                self._followed[mock] = errors[-1]
            after = next((n for n, error in enumerate(errors, 1) if error is seen), 0)
            lines += [self._line(time.time(), error.message) for error in errors[after:]]
            lines += self._told_of_stuck(mock)
            for text in mock.script_warnings:
                if self._is_news(text):
                    lines.append(self._line(time.time(), _Text(f"SCRIPT WARNING: {text}")))
        rest = "".join(lines).encode(self._encoding, "backslashreplace")
        while rest:
            rest = rest[os.write(self._file, rest) :]

    def _told_of_stuck(self, mock: OutputMock) -> Iterator[str]:
        watchdog = mock.world.watchdog
        number = watchdog.running
        if watchdog.seconds < _STUCK or self._stuck.get(mock) == number:
            return
        words = watchdog.described()
        if words is None:
            return
        self._stuck[mock] = number
        text = (
            f"SCRIPT STUCK: {words}; requests to its world are refused meanwhile. To stop the script, wipe "
            f"or delete the world over the control plane"
        )
        yield self._line(time.time(), _Text(text))

    def _is_news(self, text: str) -> bool:
        told = self._told
        if text in told:
            return False
        told[text] = None
        if len(told) > _KEPT:
            del told[next(iter(told))]
        return True

    def _line(self, when: float, entry: Served | str | _Text) -> str:
        if isinstance(entry, str) and not self._is_news(entry):
            return ""
        if self._structured:
            return json.dumps(_as_json(when, entry)) + "\n"
        if isinstance(entry, _Text):
            return f"{entry.text}\n"
        if isinstance(entry, str):
            return f"SCRIPT ERROR: {entry}\n"
        line = f"{_printable(entry.method)} {_printable(masked_text(entry.target))} {entry.status}"
        if entry.stage != "answered":
            line += f" {entry.stage}"
        if entry.stage != "stream begins":
            line += f" {entry.seconds * 1000:.1f} ms"
        return f"{line}\n" if entry.unmatched is None else f"{line}: {masked_text(entry.unmatched)}\n"


def _as_json(when: float, entry: Served | str | _Text) -> dict[str, Any]:
    from output_mock.contract.iso_time import iso

    now = iso(int(when * 1e9))
    if isinstance(entry, _Text):
        return {"time": now, "event": "message", "message": entry.text}
    if isinstance(entry, str):
        return {"time": now, "event": "script error", "message": entry}
    return {
        "time": now,
        "event": entry.stage,
        "method": entry.method,
        "target": masked_text(entry.target),
        "status": entry.status,
        "milliseconds": round(entry.seconds * 1000, 1),
        **({} if entry.unmatched is None else {"unmatched": masked_text(entry.unmatched)}),
    }


def _printable(text: str) -> str:
    """Text from a client, without control characters that a terminal would obey."""
    return text if text.isascii() and text.isprintable() else ascii(text)[1:-1]
