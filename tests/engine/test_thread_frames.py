"""Looking where threads are does not freeze the process."""

from __future__ import annotations

import gc
import subprocess
import sys

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


def test_threads_can_begin_and_end_while_garbage_is_collected_and_frames_are_read() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=HANG_GUARD, check=True
    )
    assert (done.stdout, done.stderr) == ("done\n", "")


def test_reading_frames_leaves_garbage_collection_as_it_was() -> None:
    assert gc.isenabled()
    assert current_frames()
    assert gc.isenabled()
    gc.disable()
    try:
        assert current_frames()
        assert not gc.isenabled()
    finally:
        gc.enable()
