"""History events as the real server renders them (`contract.events`)."""

from __future__ import annotations

from typing import Any

from output_mock.contract.events import ABSENT, Event
from output_mock.contract.iso_time import iso
from output_mock.contract.run_start import StartInfo


def render(info: StartInfo, event_id: int, event: Event, *, include_payloads: bool) -> dict[str, Any]:
    """An event as `/history` shows it. `include_payloads` adds the attributes with payloads."""
    attributes = {}
    for attribute in event.attributes if include_payloads else event.without_payloads:
        value = attribute.of(info, event_id, event)
        if value is not ABSENT:
            attributes[attribute.key] = value
    return {
        "eventId": str(event_id),
        "eventType": event.number,
        "eventTypeName": event.name,
        "eventTime": iso(event.time),
        event.key: attributes,
    }
