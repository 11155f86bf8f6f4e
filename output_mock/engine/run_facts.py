"""What the views of older versions need to know about a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from output_mock.contract.run_start import Memo
from output_mock.contract.versions import Facts

if TYPE_CHECKING:
    from output_mock.engine.run import Run


def facts_of(run: Run) -> Facts:
    """The current facts of a run. Hold the lock of its world."""
    info, definition = run.info, run.definition
    above: tuple[str, ...] = ()
    root, memo = run, run.memo
    if info.parent is not None:
        above = tuple(dict.fromkeys((info.parent.root_workflow_id, info.parent.workflow_id)))
        root = run.world.begun_as(info.parent.root_workflow_id, info.parent.root_run_id) or run
    if memo is None or memo.trace_info is None:
        about = Memo((root.workflow_id, root.info.workflow_type, root.run_id, root.info.trace_start))
    else:
        about = memo
    return Facts(
        stack=(*above, run.workflow_id),
        input=info.input,
        trace_info=about.trace_info_json(),
        traced=root.definition.traced,
        options=definition.options if memo is None or memo.options is None else memo.options,
        destinations=None if memo is None else memo.trace,
        scripted=not definition.bare,
    )
