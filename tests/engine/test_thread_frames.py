"""Looking where threads are does not freeze the process."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys

import pytest

from output_mock import thread_frames
from output_mock.thread_frames import current_frames
from tests.client import HANG_GUARD

# Each garbage collection lets the other threads run, which begin and end threads.
PROGRAM = """
import gc, threading, time
from output_mock.thread_frames import current_frames

gc.callbacks.append(lambda *_: time.sleep(0.0001))
gc.set_threshold(1, 1, 1)

def begin_threads():
    while True:
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()

for _ in range(4):
    threading.Thread(target=begin_threads, daemon=True).start()
for _ in range(100):
    current_frames()
print("done", flush=True)
__import__("os")._exit(0)
"""


FORKED = """
import gc, os, sys, threading
from output_mock.thread_frames import current_frames

sys.setswitchinterval(1e-6)

def read():
    while True:
        current_frames()

for _ in range(2):
    threading.Thread(target=read, daemon=True).start()
for _ in range(200):
    child = os.fork()
    if not child:
        current_frames()
        os._exit(0 if gc.isenabled() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
os._exit(0)
"""


def test_threads_can_begin_and_end_while_garbage_is_collected_and_frames_are_read() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=HANG_GUARD, check=True
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_reading_frames_leaves_garbage_collection_as_it_was() -> None:
    # The watchdog's thread may read them just now.
    with thread_frames._alone:
        assert gc.isenabled()
        assert current_frames()
        assert gc.isenabled()
        gc.disable()
        try:
            assert current_frames()
            assert not gc.isenabled()
        finally:
            gc.enable()


INTERRUPTED = """
import gc, signal
from output_mock.thread_frames import current_frames

class Interrupted(Exception):
    pass

def interrupt(*_):
    raise Interrupted

signal.signal(signal.SIGALRM, interrupt)
for number in range(3000):
    try:
        signal.setitimer(signal.ITIMER_REAL, 3e-5 + number % 50 * 1e-6)
        while True:
            current_frames()
    except Interrupted:
        pass
    assert gc.isenabled(), number
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no timers that send signals")
def test_an_interruption_never_leaves_garbage_collection_off() -> None:
    command = [sys.executable, "-c", INTERRUPTED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_GUARD, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_process_forked_while_frames_are_read_collects_garbage() -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORKED]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_GUARD, check=False)
    assert (done.returncode, done.stderr) == (0, "")
