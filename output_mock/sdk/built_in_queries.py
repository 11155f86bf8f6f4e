"""The queries that the TypeScript SDK answers for every run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

# Queries that the TypeScript SDK always answers; named in the message for an unknown one (approval).
BUILT_IN_QUERIES = {
    "__stack_trace": "Returns a sensible stack trace.",
    "__enhanced_stack_trace": "Returns a stack trace annotated with source information.",
    "__temporal_workflow_metadata": "Returns metadata associated with this workflow.",
}


def metadata(
    workflow_type: str, queries: Iterable[str], signals: Iterable[str], updates: Iterable[str]
) -> dict[str, Any]:
    """The metadata of a run: the names that it handles (fact_query_running)."""
    described = [{"name": name, "description": words} for name, words in BUILT_IN_QUERIES.items()]
    return {
        "definition": {
            "type": workflow_type,
            "queryDefinitions": [*described, *({"name": name} for name in queries)],
            "signalDefinitions": [{"name": name} for name in signals],
            "updateDefinitions": [{"name": name} for name in updates],
        },
        "currentDetails": "",
    }
