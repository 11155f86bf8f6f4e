"""What a worker offers: the workflows of scripts in one catalog."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from output_mock.callbacks.sending import Callbacks
from output_mock.engine.trace_storage import Traces
from output_mock.scripts.catalog import CatalogContents
from output_mock.scripts.script import FirstRun, Scripted
from output_mock.suggestions import listed
from output_mock.temporal.step_outcomes import StepOutcomes

# Marks a catalog as one of output-mock's, for other workers that offer the same.
HASH_PREFIX = "output-mock:"
# Names go into queries to Temporal, where a quote would change the query.
_NAME = re.compile(r"[a-zA-Z0-9_.@-]+")


class ServedCatalog(CatalogContents):
    """The workflows of `scripts`, all in the catalog `name`, and the trace locations that the API reports.

    Workflows that name another catalog are left out if a script has one with this name. Raises `ValueError`
    for an invalid catalog name, for names that belong to two workflows, and if there is no workflow at all.
    """

    def __init__(
        self,
        name: str,
        scripts: Sequence[Scripted],
        traces: Traces,
        callbacks: Callbacks | None = None,
    ) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not a valid catalog name; use letters, digits and _ . @ -")
        super().__init__(name)
        self.traces: Traces = traces
        # Where requests of workflows go.
        self.callbacks: Callbacks = Callbacks() if callbacks is None else callbacks
        for script in scripts:
            for answer in script.callback_answers:
                self.callbacks.add(answer)
            for definition in script.definitions(name):
                if definition.name in self.workflows:
                    raise ValueError(f"workflow {definition.name!r} is scripted twice in catalog {name!r}")
                self.add(definition)
        if not self.workflows:
            raise ValueError(f"the scripts have no workflow for catalog {name!r}")
        self.first_runs: list[FirstRun] = [run for script in scripts for run in script.first_runs(name)]
        for run in self.first_runs:
            if run.name not in self.names:
                there = listed("; it has", run.name, self.names)
                raise ValueError(
                    f"begin_with: there is no workflow {run.name!r} in catalog {name!r}{there} ({run.place})"
                )
        # The plans of the open steps in this process, by run and activity.
        self.steps: dict[tuple[str, str], StepOutcomes] = {}
        # The runs that this process has executed, and when they began; None if that is not needed.
        self.played: dict[tuple[str, str], datetime] | None = None
        # How many runs have got an answer from each sequence of answers.
        self._turns: dict[str, int] = {}
        self._lock = threading.Lock()

    def seen(self, workflow_id: str, run_id: str, began: datetime) -> None:
        """Note a run that this process executes."""
        if self.played is not None:
            self.played[workflow_id, run_id] = began

    def next_scripted_answer(self, whose: str) -> int:
        """How many runs of this process have got one of these answers before."""
        with self._lock:
            turn = self._turns.get(whose, 0)
            self._turns[whose] = turn + 1
            return turn

    @property
    def hash(self) -> str:
        """A hash that is the same for all workers that offer the same, even on other machines."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return HASH_PREFIX + hashlib.sha256(text.encode()).hexdigest()

    def memo(self) -> dict[str, Any]:
        """The memo of a catalog, which the real server reads without asking the worker, and which says whose
        it is.
        """
        return {"workflowNames": dict(self.names), "hash": self.hash}
