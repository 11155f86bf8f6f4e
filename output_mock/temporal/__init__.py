"""The second engine: the same scripts on a real Temporal, behind a real API server.

A worker of this package offers scripted workflows in its own catalog, with two workflows: one that holds the
catalog, and a dynamic one that runs every script. Needs the extra `output-mock[temporal]`.
"""

from __future__ import annotations

try:
    import temporalio  # noqa: F401
except ModuleNotFoundError as _error:
    raise ModuleNotFoundError(
        "output_mock.temporal needs the temporalio package; pip install 'output-mock[temporal]'",
        name=_error.name,
    ) from None

from output_mock.temporal.served_catalog import ServedCatalog
from output_mock.temporal.serving import serve_on_temporal
from output_mock.temporal.worker import CatalogTakenError, NotReachableError, ScriptWorker, TemporalError

__all__ = [
    "CatalogTakenError",
    "NotReachableError",
    "ScriptWorker",
    "ServedCatalog",
    "TemporalError",
    "serve_on_temporal",
]
