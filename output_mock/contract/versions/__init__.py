"""The versions of the API and of the SDK, and what changed between them.

The fake is the newest one inside. An older version is what is left when the changes that came after it are
turned back, newest first: each module `v0_N` holds those that came with 0.N. Server and workers are upgraded
apart, so every change belongs to one of the two.
"""

from output_mock.contract.versions.change import Axis, Change, Facts, ShownEvent, Trait
from output_mock.contract.versions.deployment import CHANGES, NEWEST, Deployment, deployment
from output_mock.contract.versions.numbers import (
    KNOWN,
    NEWEST_VERSION,
    NEXT,
    UnknownVersionError,
    known,
    number_of,
    resolved,
)

__all__ = [
    "CHANGES",
    "KNOWN",
    "NEWEST",
    "NEWEST_VERSION",
    "NEXT",
    "Axis",
    "Change",
    "Deployment",
    "Facts",
    "ShownEvent",
    "Trait",
    "UnknownVersionError",
    "deployment",
    "known",
    "number_of",
    "resolved",
]
