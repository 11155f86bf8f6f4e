"""The faults of one world, and which of them affects a call."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, NamedTuple

from output_mock.http.faults.fault import Fault
from output_mock.http.faults.presets import preset


class AppliedFault(NamedTuple):
    """What goes wrong with a call."""

    # None when the answer is only late.
    fault: Fault | None
    # For how many seconds it asks the client to wait.
    wait: int = 0
    # How late the answer is, in nanoseconds on the fake's clock and in real time.
    delay: int = 0
    wall: int = 0


class Faults:
    """The faults of one world, in the order in which they were added. Random choices are seeded."""

    def __init__(self, seed: int = 0) -> None:
        self._waiting: list[Fault] = []
        # Those that affect their last calls, which may yet give them back.
        self._used_up: set[Fault] = set()
        self._lock = threading.Lock()
        self._chance = Random(f"faults {seed}")
        # The number of the fault that was added last.
        self._last = 0

    def add(self, fault: Fault) -> Fault:
        """Add a fault. For calls that match several faults, earlier ones come first."""
        with self._lock:
            self._last += 1
            fault.id = self._last
            self._waiting.append(fault)
        return fault

    def preset(self, name: str) -> list[Fault]:
        """Add the faults of a preset: `flaky`, `slow`, `deploying`. Raises `ValueError` for another name."""
        return [self.add(fault) for fault in preset(name)]

    def take(self, call: Mapping[str, str | None], now: int = 0) -> AppliedFault | None:
        """Choose what affects this call at this time on the fake's clock; None for nothing."""
        with self._lock:
            chosen: Fault | None = None
            wait, late = 0, [0, 0]
            for fault in list(self._waiting):
                if (chosen is not None and not fault.is_background_delay) or not fault.fits(call):
                    continue
                found = fault.affects(call, now, self._chance)
                if found is None:
                    continue
                for effect in fault.effects:
                    late = [one + more for one, more in zip(late, effect.lateness(self._chance), strict=True)]
                if fault.left <= 0:
                    self._waiting.remove(fault)
                    if not fault.affects_any_call:
                        self._used_up.add(fault)
                if not fault.is_background_delay:
                    chosen, wait = fault, found
            if chosen is None and not any(late):
                return None
            return AppliedFault(chosen, wait, late[0], late[1])

    def give_back(self, fault: Fault) -> None:
        """A fault was chosen for a call to which it can do nothing: do not count that call."""
        with self._lock:
            fault.affected -= 1
            fault.left += 1
            if fault in self._used_up:
                self._used_up.remove(fault)
                self._waiting.append(fault)
                self._waiting.sort(key=lambda one: one.id)

    def remove(self, fault: Fault) -> None:
        """Remove a fault. Does nothing if it has affected its last call."""
        with self._lock:
            self._used_up.discard(fault)
            if fault in self._waiting:
                self._waiting.remove(fault)

    def clear(self) -> None:
        """Remove all faults."""
        with self._lock:
            self._waiting.clear()
            self._used_up.clear()

    def __iter__(self) -> Iterator[Fault]:
        return iter(list(self._waiting))

    def __len__(self) -> int:
        return len(self._waiting)

    def state(self) -> Sequence[Any]:
        """The state from which `restore` makes the same faults."""
        with self._lock:
            return copy.deepcopy(self._waiting), self._chance.getstate(), self._last

    def restore(self, state: Sequence[Any]) -> None:
        """Restore the faults as they were when `state` was called."""
        waiting, chance, last = state
        with self._lock:
            self._waiting = copy.deepcopy(waiting)
            self._used_up.clear()
            self._chance.setstate(chance)
            self._last = last
