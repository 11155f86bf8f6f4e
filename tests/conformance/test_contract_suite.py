"""The conformance suite finds every broken fake."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from output_contract.checks import AREAS
from output_contract.pack import script
from output_contract.target import Target
from output_contract.verification import Wanted, verify
from output_contract.versions import NEWEST
from output_mock import OutputMock
from tests.conformance.broken_fakes import BROKEN, TOKEN, Broken


@pytest.fixture(scope="module")
def true_fake() -> Iterator[OutputMock]:
    mock = OutputMock("real", auth_token=TOKEN, scripts=[script])
    yield mock
    mock.close()


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.name)
def test_every_broken_fake_is_caught_by_the_check_that_claims_it(
    true_fake: OutputMock, broken: Broken
) -> None:
    target = Target(broken.application(true_fake.app), TOKEN)
    versions = {"api_version": NEWEST, "sdk_version": NEWEST}
    verdict = verify(Wanted(target=target, only=broken.caught_by, patience=2, strict=True, **versions))
    assert verdict.exit_status == 1, verdict.words
    caught = {one.id.partition("[")[0] for one in verdict.failed}
    assert caught == set(broken.caught_by), "each of the checks that claim it has to find it"


def test_every_area_catches_a_broken_fake() -> None:
    assert len(BROKEN) >= 40
    assert {check.partition(".")[0] for broken in BROKEN for check in broken.caught_by} == set(AREAS)
