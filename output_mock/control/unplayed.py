"""What a world's scripts say and nothing has used."""

from __future__ import annotations

from output_mock.contract.schemas import JsonSchema, many, number, ref, shape, text
from output_mock.control.operation import ControlOperation, ControlRequest, ControlResponse
from output_mock.unplayed import unplayed

SCHEMAS: dict[str, JsonSchema] = {
    "Unplayed": shape(
        {
            "about": text("What it is, and that it was not used, in words."),
            "places": many(text(), description="Where it is scripted: files and lines, JSON pointers."),
        },
        about="A workflow that was never run, a `when` that matched no input, an answer that no run got, or "
        "a fault that affected no call.",
    )
}


def list_unplayed(asked: ControlRequest) -> ControlResponse:
    """What was scripted but never used."""
    found = unplayed(asked.held.world, asked.held.app.faults)
    listed = [{"about": one.text, "places": [place for place in one.places if place]} for one in found]
    return ControlResponse(200, {"unplayed": listed, "count": len(listed)})


OPERATIONS = [
    ControlOperation(
        "listUnplayed",
        "GET",
        "/unplayed",
        "List what was scripted and never used. A run that has not started yet may still use it.",
        list_unplayed,
        {200: shape({"unplayed": many(ref("Unplayed")), "count": number()})},
    ),
]
