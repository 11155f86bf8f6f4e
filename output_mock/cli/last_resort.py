"""Ends this process after a signal, also when Python itself cannot.

A script's regular expression (`re.match(r"(a|a)*$", "a" * 40 + "!")`) keeps the interpreter to itself until
it is through, which may be never: no other thread runs, and no signal handler that is written in Python. But
the interpreter notes a signal before it runs the handler, by a byte that it writes to a file
(`set_wakeup_fd`). So a small process of its own reads these bytes. When the byte of a signal that ends the
server has come, and the server is still there some time later, it kills it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress

# How many seconds after a signal: the server ends by itself before. What passes beyond a look between two of
# them does not count: the machine has stood still.
_AFTER = 0.6
# So much longer when Python has run the handler, and ends the process itself, however busy the machine is.
_LONGER = 10.0
_LOOK = 0.1
# It holds the only other end of the pipe, so what it reads ends with this process. It must not hear what the
# terminal sends to everybody.
_PROGRAM = """
import os, select, sys
from time import monotonic
server, deadly = int(sys.argv[1]), int(sys.argv[2])
after, look, longer = map(float, sys.argv[3:6])
numbers = set(map(int, sys.argv[6:]))

def comes(seconds):
    return bool(select.select([0], [], [], seconds)[0])

# Until such a byte has come.
while (read := os.read(0, 100)) and not numbers & set(read):
    pass
left = after + longer * (0 in read)
while read and left > 0:
    began = monotonic()
    if comes(min(look, left)):
        read = os.read(0, 100)
        if 0 in read:
            left += longer
    left -= min(monotonic() - began, look)
if read:
    os.kill(server, deadly)
"""


class LastResort:
    """Kills this process some time after one of these signals, should it still be there.

    The signals need handlers. To be made in the main thread, and closed in the end. Where the system has no
    such pipes (Windows), or no process can be started, it does nothing.
    """

    def __init__(self, signals: Collection[int]) -> None:
        self._writing: int | None = None
        self._process: subprocess.Popen[bytes] | None = None
        if sys.platform == "win32":
            return
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        numbers = [os.getpid(), int(_deadly_signal()), _AFTER, _LOOK, _LONGER, *map(int, signals)]
        words = [str(number) for number in numbers]
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, *words],
                stdin=reading,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                cwd="/",
            )
        except OSError:
            os.close(writing)
            return
        finally:
            os.close(reading)
        self._writing = writing
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)

    def heard(self) -> None:
        """A handler of the signal has run, so Python goes on, and may take longer to end."""
        if self._writing is not None:
            with suppress(OSError):
                os.write(self._writing, b"\0")

    def stand_down(self) -> None:
        """This process is about to end by itself. May be called by any thread."""
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def close(self) -> None:
        """It is needed no longer, and the process goes on."""
        if self._writing is not None:
            signal.set_wakeup_fd(-1)
        self.stand_down()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)


def _deadly_signal() -> int:
    """A signal that ends this process, whatever it does."""
    if sys.platform == "win32" or os.getpid() != 1:
        return signal.SIGKILL
    # The first process of a container cannot be killed from inside, but it can have a handler that is not
    # written in Python: the number of the signal is the status that it ends with.
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGUSR2, ctypes.cast(libc._exit, ctypes.c_void_p))
    return signal.SIGUSR2
