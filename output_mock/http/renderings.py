"""Events as bytes of JSON, shared by all streams that are about to send the same event."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from output_mock.javascript_json import to_bytes

if TYPE_CHECKING:
    from output_mock.contract.events import Event
    from output_mock.contract.view import View
    from output_mock.engine.run import Run

# Smaller events are rendered again for each stream.
_SHARED = 16 * 1024


class _Rendered:
    __slots__ = ("__weakref__", "content")

    def __init__(self, content: bytes) -> None:
        self.content: bytes = content


class Renderings:
    """Renders events. A large one exists once, while any stream sends it: clients may read slowly, and there
    may be many.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        # By run, number, and whether with payloads. Who holds a rendering holds its run, too.
        self._there: WeakValueDictionary[tuple[int, int, bool], _Rendered] = WeakValueDictionary()
        self._lock = threading.Lock()

    def of(self, run: Run, event_id: int, event: Event, *, include_payloads: bool) -> _Rendered:
        """The `content` of an event of a run. Keep the result while it is being sent."""
        key = (id(run), event_id, include_payloads)
        # One at a time: making a large one takes several times its size in memory for a moment.
        with self._lock:
            found = self._there.get(key)
            if found is None:
                found = _Rendered(self._content(run, event_id, event, include_payloads))
                if len(found.content) >= _SHARED:
                    self._there[key] = found
            return found

    def _content(self, run: Run, event_id: int, event: Event, include_payloads: bool) -> bytes:
        # The catalog's run shows what the catalog offers at the moment.
        with nullcontext() if run.info.catalog is None else run.world.clock.lock:
            return to_bytes(self._view.event(run, event_id, event, include_payloads=include_payloads))
