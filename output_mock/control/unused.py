"""What a world's scripts say and nothing has used."""

from __future__ import annotations

from output_mock.contract.schemas import JsonSchema, many, number, ref, shape, text
from output_mock.control.operation import ControlOperation, ControlRequest, ControlResponse
from output_mock.unused import find_unused

SCHEMAS: dict[str, JsonSchema] = {
    "Unused": shape(
        {
            "about": text("What it is, and that it was not used, in words."),
            "places": many(text(), description="Where it is scripted: files and lines, JSON pointers."),
        },
        about="A workflow that was never run, a `when` that matched no input, an answer that no run got, or "
        "a fault that affected no call.",
    )
}


def list_unused(request: ControlRequest) -> ControlResponse:
    """What was scripted but never used."""
    found = find_unused(request.entry.world, request.entry.app.faults)
    listed = [{"about": one.text, "places": [place for place in one.places if place]} for one in found]
    return ControlResponse(200, {"unused": listed, "count": len(listed)})


OPERATIONS = [
    ControlOperation(
        "listUnused",
        "GET",
        "/unused",
        "List what was scripted and never used. A run that has not started yet may still use it.",
        list_unused,
        {200: shape({"unused": many(ref("Unused")), "count": number()})},
    ),
]
