"""What a worker offers: the workflows of scripts under one catalog."""

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

# Says that a catalog is one of ours, for another worker that offers the same.
HASH_PREFIX = "output-mock:"
# Names go into what Temporal is asked to list, where a quote would widen it.
_NAME = re.compile(r"[a-zA-Z0-9_.@-]+")


class ServedCatalog(CatalogContents):
    """The workflows of `scripts`, all in the catalog `name`, and where their traces are said to be.

    Workflows that name another catalog are left out when a script has one of this name. Raises
    `ValueError` for a name that no catalog can have, for names that belong to two workflows, and when there
    is no workflow at all.
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
        # What the steps do that are under way in this process, by run and activity.
        self.steps: dict[tuple[str, str], StepOutcomes] = {}
        # The runs that this process has played, and when they began; None when nobody wants to know.
        self.played: dict[tuple[str, str], datetime] | None = None
        # How many runs have had an answer of each sequence of answers.
        self._turns: dict[str, int] = {}
        self._lock = threading.Lock()

    def seen(self, workflow_id: str, run_id: str, began: datetime) -> None:
        """Note a run that is played here."""
        if self.played is not None:
            self.played[workflow_id, run_id] = began

    def next_scripted_answer(self, whose: str) -> int:
        """How many runs have had one of these answers before, among those of this process."""
        with self._lock:
            turn = self._turns.get(whose, 0)
            self._turns[whose] = turn + 1
            return turn

    @property
    def hash(self) -> str:
        """The same for workers that offer the same, also on other machines."""
        text = json.dumps(self.as_json(), sort_keys=True)
        return HASH_PREFIX + hashlib.sha256(text.encode()).hexdigest()

    def memo(self) -> dict[str, Any]:
        """What the real server reads of a catalog without asking its worker, and whose it is."""
        return {"workflowNames": dict(self.names), "hash": self.hash}
