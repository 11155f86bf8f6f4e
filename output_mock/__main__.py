"""`output-mock`, also as `python -m output_mock`."""

from __future__ import annotations

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line. Ctrl-C ends it without a word, also while it is still being imported."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    if os.getpid() == 1 and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # The first process of a container is not ended by a signal for which it has no handler.
        signal.signal(signal.SIGTERM, _leave)
    from output_mock.cli import main as run

    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


def _leave(number: int, _frame: FrameType | None) -> None:
    # As shells count it.
    os._exit(128 + number)


if __name__ == "__main__":
    main()
