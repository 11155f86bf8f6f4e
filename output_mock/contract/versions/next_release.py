"""What workers will do that are not released yet: taken from the real project's open work, not measured."""

from __future__ import annotations

from output_mock.contract.versions.change import Change
from output_mock.contract.versions.numbers import NEXT

# Nothing is turned back of these: no version but `next` has them.
CHANGES = (
    Change(
        id="usage-and-cost-of-models",
        since=NEXT,
        axis="sdk",
        says=(
            "In traces, the input of a model's call is one `prompt` object, and what it used and what that "
            "costs are attributes of their own, `llm:generation:usage` and `llm:generation:cost` (unproven)."
        ),
    ),
)
