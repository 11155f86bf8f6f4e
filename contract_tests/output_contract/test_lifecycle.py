"""Random calls to one workflow id, compared with a small model of a real server."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from output_contract.checks import check
from output_contract.client import Client
from output_contract.server import CLOSED


@check("lifecycle.model", "workflow_id, approval, stop_default, terminate, reset")
def test_random_calls_get_the_answers_that_the_model_expects(api: Client, examples: settings) -> None:
    """A run waits for approval. It answers any requests, in any order, as the model does."""
    api.server.need("conf_approval")

    class Lifecycle(RuleBasedStateMachine):
        """The model of one workflow id: the statuses of its runs, oldest first."""

        def __init__(self) -> None:
            super().__init__()
            self.id = api.server.new_id()
            self.base = f"/workflow/{self.id}"
            self.runs: list[str] = []
            self.status: dict[str, str] = {}
            self.results: dict[str, Any] = {}
            # The answer of the latest run; None if no recording shows it.
            self.threshold: float | None = 0.8
            self.was_reset = False

        @property
        def latest(self) -> str:
            return self.runs[-1]

        @property
        def running(self) -> bool:
            return bool(self.runs) and self.status[self.latest] == "running"

        def begun(self, run_id: str) -> None:
            assert run_id not in self.status, "a run has an id of its own"
            self.runs.append(run_id)
            self.status[run_id] = "running"
            self.reviewed()

        def reviewed(self) -> None:
            from output_contract.client import Begun

            api.until_stage(Begun(self.id, self.latest), "getProgress", "review")

        def closed(self, *statuses: str) -> None:
            status = api.until_closed(self.id)
            assert status in statuses
            self.status[self.latest] = status

        @initialize()
        def nothing_is_there(self) -> None:
            api.get(f"{self.base}/status").must_be(404, "WorkflowNotFoundError")

        @rule()
        def start(self) -> None:
            answer = api.post(
                "/workflow/start", api.body("conf_approval", {"topic": "x"}, workflowId=self.id)
            )
            if self.running:
                answer.must_be(500, "WorkflowExecutionAlreadyStartedError", workflowId=self.id)
            else:
                self.threshold, self.was_reset = 0.8, False
                self.begun(answer.must_be(200, workflowId=self.id).json["runId"])

        @precondition(lambda self: self.runs)
        @rule(pinned=st.booleans())
        def look(self, pinned: bool) -> None:
            base = f"{self.base}/runs/{self.latest}" if pinned else self.base
            status = api.get(f"{base}/status").must_be(
                200, runId=self.latest, status=self.status[self.latest]
            )
            assert (status.json["completedAt"] == "") == self.running
            answer = api.get(f"{base}/result")
            if self.running:
                answer.must_be(424, "WorkflowNotCompletedError")
            else:
                result = answer.must_be(200, runId=self.latest, status=self.status[self.latest]).json
                assert self.results.setdefault(self.latest, result) == result, "a result does not change"

        @precondition(lambda self: len(self.runs) > 1)
        @rule(data=st.data())
        def look_back(self, data: st.DataObject) -> None:
            run_id = data.draw(st.sampled_from(self.runs[:-1]))
            assert self.status[run_id] in CLOSED, "only the latest run may run"
            api.get(f"{self.base}/runs/{run_id}/status").must_be(200, status=self.status[run_id])

        @precondition(lambda self: self.runs)
        @rule(new=st.sampled_from([0.1, 0.5, 0.9]))
        def update(self, new: float) -> None:
            answer = api.post(f"{self.base}/update/setThreshold", {"payload": {"threshold": new}})
            if self.running:
                assert answer.must_be(200).json == self.threshold or self.threshold is None
                self.threshold = new
            else:
                answer.must_be(404, "WorkflowNotFoundError", workflowId=self.id)

        @precondition(lambda self: self.running)
        @rule()
        def query(self) -> None:
            body = {"payload": {"verbose": True}}
            answer = api.post(f"{self.base}/query/getProgress", body).must_be(200, stage="review")
            assert answer.json["threshold"] == self.threshold or self.threshold is None

        @precondition(lambda self: self.runs)
        @rule()
        def approve(self) -> None:
            answer = api.post(f"{self.base}/signal/approve", {"payload": {"by": "ana"}})
            if self.running:
                answer.must_be_text(200, "OK")
                self.closed("completed")
            else:
                answer.must_be(404, "WorkflowNotFoundError", workflowId=self.id)

        @precondition(lambda self: self.runs)
        @rule(pinned=st.booleans())
        def stop(self, pinned: bool) -> None:
            base = f"{self.base}/runs/{self.latest}" if pinned else self.base
            api.patch(f"{base}/stop").must_be(200, workflowId=self.id, runId=self.latest)
            if self.running:
                self.closed("cancelled")

        @precondition(lambda self: self.runs)
        @rule(pinned=st.booleans())
        def terminate(self, pinned: bool) -> None:
            base = f"{self.base}/runs/{self.latest}" if pinned else self.base
            answer = api.post(f"{base}/terminate", {"reason": "the model says so"})
            if self.running:
                answer.must_be(200, terminated=True, runId=self.latest)
                self.closed("terminated")
            else:
                answer.must_be(404, "WorkflowNotFoundError", workflowId=self.id)

        @precondition(lambda self: self.running)
        @rule()
        def reset(self) -> None:
            old = self.latest
            answer = api.post(f"{self.base}/runs/{old}/reset", {"stepName": "draft"}).must_be(200)
            self.status[old] = "terminated"
            # The new run repeats updates that came after the step. No recording shows whether this also
            # holds for the reset of a reset run.
            if self.was_reset:
                self.threshold = None
            self.was_reset = True
            self.begun(answer.json["runId"])
            api.get(f"{self.base}/runs/{old}/status").must_be(200, status="terminated")

        def teardown(self) -> None:
            for run_id, status in self.status.items():
                api.get(f"{self.base}/runs/{run_id}/status").must_be(200, status=status)
            if self.running:
                api.post(f"{self.base}/terminate", {}).must_be(200)

    number = max(1, examples.max_examples // 2)
    run_state_machine_as_test(
        Lifecycle, settings=settings(examples, max_examples=number, stateful_step_count=12)
    )
