"""The marks of a test of the suite: an id that never changes, a level, its source, its versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from output_contract.versions import Span

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

Level = Literal["required", "recommended", "observed"]
# What clients rely on; what a good server also does; incidental behaviour of the recorded server.
LEVELS: tuple[Level, ...] = ("required", "recommended", "observed")

# In the order of reports, with their titles.
AREAS = {
    "system": "health, request ids, headers",
    "routing": "paths, methods, unknown ids",
    "validation": "invalid requests",
    "auth": "the token",
    "run": "run and wait",
    "start": "start and poll",
    "results": "results and errors",
    "messages": "signals, queries, updates",
    "stop": "stop and terminate",
    "reset": "reset",
    "history": "history, page by page",
    "stream": "the live stream",
    "traces": "the trace log",
    "catalog": "the catalog",
    "runs": "the list of runs",
    "limits": "sizes",
    "lifecycle": "random calls against a model",
}


class Check(NamedTuple):
    """The marks of a test, as reports show them."""

    id: str
    level: Level
    source: str
    # The versions of the API and of the workers' SDK that it holds for. Both must fit.
    api: tuple[Span, ...] = ()
    sdk: tuple[Span, ...] = ()

    @property
    def area(self) -> str:
        """The part of the suite that it belongs to."""
        return self.id.partition(".")[0]

    def excluded(self, api: str, sdk: str) -> str | None:
        """Why it does not apply to a deployment of these versions; None if it applies."""
        reasons = [span.excludes(api, "API") for span in self.api]
        reasons += [span.excludes(sdk, "SDK") for span in self.sdk]
        return next((reason for reason in reasons if reason is not None), None)


def check(
    id: str,
    source: str,
    level: Level = "required",
    *,
    since: str | None = None,
    until: str | None = None,
    sdk_since: str | None = None,
    sdk_until: str | None = None,
) -> pytest.MarkDecorator:
    """Mark a test of the suite.

    `id` is `area.what-it-checks` and never changes; `source` names the recordings (of `tests/recordings`) or
    the document that show this behaviour of a real server. `since="0.9.0"` marks a test that applies only
    from this version of the API on, `until` one that applies only before; `sdk_since` and `sdk_until` do
    the same for the version of the workers' SDK.
    """
    spans = {"api": Span(since, until), "sdk": Span(sdk_since, sdk_until)}
    return pytest.mark.contract(id=id, source=source, level=level, **spans)


def case(
    *values: Any, id: str | None = None, since: str | None = None, until: str | None = None
) -> ParameterSet:
    """A case of a parametrized test that only holds for these versions of the API."""
    return pytest.param(*values, id=id, marks=pytest.mark.contract_case(api=Span(since, until)))


def check_of(item: pytest.Item) -> Check | None:
    """The marks of a test, or None. The id of a parametrized case has its name in brackets."""
    marker = item.get_closest_marker("contract")
    if marker is None:
        return None
    _, bracket, name = item.name.partition("[")
    said = marker.kwargs
    api = (said["api"], *(one.kwargs["api"] for one in item.iter_markers("contract_case")))
    return Check(f"{said['id']}{bracket}{name}", said["level"], said["source"], api, (said["sdk"],))
