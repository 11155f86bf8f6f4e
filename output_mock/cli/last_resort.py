"""Ends this process after a signal, even when Python itself cannot.

A script's regular expression (`re.match(r"(a|a)*$", "a" * 40 + "!")`) blocks the interpreter until it is
done, which may be never: meanwhile no other thread runs, and no signal handler that is written in Python.
But before the interpreter runs the handler, it notes the signal by writing a byte to a file
(`set_wakeup_fd`). So a small separate process reads these bytes. When it reads the byte of a signal that
should end the server, and the server still runs some time later, it kills the server.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Collection
from contextlib import suppress

# How many seconds after a signal; normally the server ends by itself before. Time that a check takes longer
# than planned does not count: then the machine stood still.
_AFTER = 0.6
# This much longer if Python has run the handler: it then ends the process itself, however busy the machine
# is.
_LONGER = 10.0
_LOOK = 0.1
# This process holds the only other end of the pipe, so the pipe ends with this process. The small process
# must not get the signals that the terminal sends to its whole group.
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
    """Kills this process some time after one of these signals, if it still runs.

    The signals need handlers. Create it in the main thread, and close it at the end. Where the system has no
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
        """Tell that Python has run a handler of the signal, so that it may take longer to end."""
        if self._writing is not None:
            with suppress(OSError):
                os.write(self._writing, b"\0")

    def stand_down(self) -> None:
        """Stop watching, as this process is about to end by itself. Any thread may call this."""
        if self._writing is not None:
            os.close(self._writing)
            self._writing = None

    def close(self) -> None:
        """Stop watching, while the process goes on."""
        if self._writing is not None:
            signal.set_wakeup_fd(-1)
        self.stand_down()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)


def _deadly_signal() -> int:
    """A signal that ends this process in any case."""
    if sys.platform == "win32" or os.getpid() != 1:
        return signal.SIGKILL
    # The first process of a container cannot be killed from inside. But it can have a handler that is not
    # written in Python, and that ends it with the number of the signal as its status.
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGUSR2, ctypes.cast(libc._exit, ctypes.c_void_p))
    return signal.SIGUSR2
