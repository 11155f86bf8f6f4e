"""Faults: what goes wrong with some calls, with which of them, and how often."""

from __future__ import annotations

import math
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from output_mock.http.faults.kind import Condition, Effect
from output_mock.http.faults.kinds import CONDITIONS, EFFECTS, KINDS, FaultOptions
from output_mock.http.journal import check_route
from output_mock.places import place_outside
from output_mock.suggestions import nearest

if TYPE_CHECKING:
    from typing_extensions import Unpack

_OPTIONS = [name for kind in KINDS for name in kind.options]


class Fault:
    """A fault: something that goes wrong with certain calls, chosen by method, route, workflow and so on.

    How often: `times` is a number of calls or `"always"`; by default once, and always with a `probability`
    or a `limit`. The first `after` calls that match are not affected.

    What goes wrong:

    - the answer is an error `status` (with `body`: any JSON or text, `headers`, and `retry_after` seconds);
    - `limit` calls `per` duration on the fake's clock are answered, and all further ones get a 429 (or
      `status`);
    - a token is valid for `token_lasts` from its first use on, and then gets a 401 (or `status`);
    - a `delay` of the answer: a duration, `{"uniform": ["1s", "3s"]}` or
      `{"lognormal": {"median": "200ms", "sigma": 0.5}}`, on the fake's clock or (`wall`) in real time;
    - the connection is dropped, and what is lost (`drop`) is the request, only its answer, or half of the
      answer's body; with `reset` by a TCP reset;
    - the body is broken JSON (`malformed`), or arrives in small pieces over a duration of real time
      (`dribble`);
    - a history stream is cut after so many events (`cut_after`); it affects no other calls;
    - the worker of the default catalog goes away for some time on the fake's clock (`worker_away`);
    - the server cannot reach Temporal (`temporal_away`), and says so after 20 seconds of the fake's clock;
    - a trace log is requested, and something is wrong with `s3`: the object is `missing`, `not_json`, `empty`
      or `huge` (200 MB), there is `no_bucket`, access is `denied`, it is the `wrong_region`, S3 is `down`, or
      the server has `no_keys`.

    A delay that always applies is added to whatever else happens. Of all other faults, one affects a call. A
    call to which a fault can do nothing (no body to break, no stream to cut) does not count.
    Raises `ValueError` for values that make no sense and when nothing goes wrong, and `TypeError` for an
    unknown option.
    """

    def __init__(
        self,
        *,
        times: int | Literal["always"] | None = None,
        probability: float = 1.0,
        after: int = 0,
        method: str | None = None,
        route: str | None = None,
        workflow: str | None = None,
        workflow_id: str | None = None,
        **options: Unpack[FaultOptions],
    ) -> None:
        given = _completed(dict(options))
        conditions = [kind(given) for kind in CONDITIONS if kind.is_given(given)]
        effects = [kind(given) for kind in EFFECTS if kind.is_given(given)]
        if len(conditions) > 1:
            raise ValueError("a fault cannot have both limit and token_lasts; add two faults")
        if times is None:
            times = "always" if probability != 1 or conditions else 1
        if times != "always" and times < 1:
            raise ValueError(f"times must be 1 or more, not {times}")
        if not 0 < probability <= 1:
            raise ValueError(f"probability must be more than 0 and at most 1, not {probability}")
        if after < 0:
            raise ValueError(f"after must be 0 or more, not {after}")
        for effect in effects:
            if effect.only is not None:
                route = _only(*effect.only, route, method, given.get("status"))
        check_route(route)
        if not effects:
            raise ValueError(
                f"a fault needs something that goes wrong, such as status=503 or drop='answer'; the options "
                f"are {', '.join(next(iter(kind.options)) for kind in KINDS)}"
            )
        # The given options of what goes wrong.
        self.options: dict[str, Any] = given
        self.condition: Condition | None = conditions[0] if conditions else None
        self.effects: list[Effect] = [effect for effect in effects if not effect.is_nothing]
        self.times = times
        self.probability = probability
        self.after = after
        self.where: dict[str, str] = {
            name: value
            for name, value in {
                "method": None if method is None else method.upper(),
                "route": route,
                "workflow": workflow,
                "workflow_id": workflow_id,
            }.items()
            if value is not None
        }
        # Its number in its world, from 1; 0 before it is added to one.
        self.id = 0
        # How many calls it still lets pass, has affected, and has been asked about.
        self.left = math.inf if times == "always" else times
        self.affected: int = 0
        self.seen: int = 0
        # Where it is written: file and line.
        self.place: str = place_outside()
        # Whether it is part of a preset.
        self.of_preset = False

    @property
    def is_background_delay(self) -> bool:
        """Whether all it does is to make every answer late: then other faults apply as well."""
        return self.times == "always" and len(self.effects) == 1 and "delay" in self.effects[0].options

    @property
    def is_certain(self) -> bool:
        """Whether it certainly affects the next calls that match: not by chance, always, beyond a limit, or
        as part of a preset.
        """
        certain = self.times != "always" and self.probability == 1
        return certain and self.condition is None and not self.of_preset

    @property
    def affects_any_call(self) -> bool:
        """Whether it affects every call, whatever the answer is."""
        return not self.effects or any(effect.affects_all for effect in self.effects)

    def fits(self, call: Mapping[str, str | None]) -> bool:
        """Whether it matches calls with this method, route, workflow and workflow id."""
        return all(call[name] == value for name, value in self.where.items())

    def affects(self, call: Mapping[str, str | None], now: int, chance: Random) -> int | None:
        """Whether it affects this matching call: None if not, otherwise for how many seconds it asks the
        client to wait (0: it does not say).
        """
        self.seen += 1
        if self.seen <= self.after:
            return None
        wait: int | None = self.options.get("retry_after") or 0
        if self.condition is not None:
            wait = self.condition.wait(call.get("token"), now, wait or 0)
        if wait is None or (self.probability < 1 and chance.random() >= self.probability):
            return None
        self.left -= 1
        self.affected += 1
        return wait

    def __str__(self) -> str:
        words = [effect.words() for effect in self.effects]
        if self.condition is not None:
            words[0] += f" {self.condition.words()}"
        where = ", ".join(f"{name} {value}" for name, value in self.where.items())
        return f"{' and '.join(words) or 'do nothing'}{f' for {where}' if where else ''}"

    def __repr__(self) -> str:
        if self.times == "always":
            chance = "" if self.probability == 1 else f", of {self.probability:g} of the calls"
            return f"{self} (always{chance})"
        return f"{self} ({self.left} of {self.times} left)"


def _completed(options: dict[str, Any]) -> dict[str, Any]:
    """These options without empty ones, and with those that others imply."""
    for name in options:
        if name not in _OPTIONS:
            raise TypeError(f"a fault has no option {name!r}{nearest(name, _OPTIONS)}")
    given = {name: value for name, value in options.items() if value is not None}
    for kind in KINDS:
        if kind.is_given(given):
            given = {**kind.implied(), **given}
        elif kind.needs and any(given.get(name, False) not in (False, {}) for name in kind.options):
            raise ValueError(kind.needs)
    return given


def _only(what: str, wanted: str, route: str | None, method: str | None, status: int | None) -> str:
    """The one route whose calls a fault can affect. Raises `ValueError` if the fault is for others."""
    if route not in (None, wanted):
        raise ValueError(f"{what} is for route {wanted}, not for {route}")
    if method is not None and method.upper() != "GET":
        raise ValueError(f"{what} is for GET, not for {method}")
    if status is not None:
        raise ValueError(f"a fault cannot have both {what} and status {status}; add two faults")
    return wanted
