"""All operations of the control plane. They are defined in modules named after their subject."""

from __future__ import annotations

from output_mock.contract.schemas import JsonSchema
from output_mock.control import (
    callbacks,
    calls,
    clock,
    expectations,
    faults,
    metrics,
    runs,
    snapshots,
    unused,
    workflows,
    world_operations,
)
from output_mock.control.operation import ControlOperation

_MODULES = (
    world_operations,
    workflows,
    runs,
    clock,
    faults,
    calls,
    callbacks,
    expectations,
    unused,
    snapshots,
    metrics,
)
OPERATIONS: tuple[ControlOperation, ...] = tuple(
    operation for module in _MODULES for operation in module.OPERATIONS
)
# The schemas that the operations' answers refer to.
SCHEMAS: dict[str, JsonSchema] = {
    name: schema for module in _MODULES for name, schema in module.SCHEMAS.items()
}
