"""The calls that a test expects, and assertions that name the closest call.

mock.assert_called(started("report", {"n": 3}), times=1)
mock.assert_called_in_order(started("report"), signalled("report-1", "approve"), stopped("report-1"))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from output_mock.http.journal import Call, Calls, check_route, listing
from output_mock.javascript_json import UNDEFINED
from output_mock.masking import masked
from output_mock.sdk.values import short, unlike


class _Anything:
    """Equal to everything. `unittest.mock.ANY`, which works as well, takes a while to import."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = object.__hash__


ANY: Any = _Anything()


class _Containing(dict[str, Any]):
    """An object that may have more keys than an expected call names."""


# The operations that change something; the others only read.
_CHANGING = frozenset({"run", "start", "signal", "feedback", "update", "stop", "terminate", "reset"})


class Expected:
    """A call that a test expects. Made by `started`, `signalled` and so on.

    Takes its description, the routes that it may have, its expected values by name, and whether it must have
    succeeded.
    """

    def __init__(
        self, words: str, routes: Sequence[str], wanted: Mapping[str, Any], *, done: bool = True
    ) -> None:
        self.words: str = words + "".join(
            f", {name} {short(value)}" for name, value in wanted.items() if not _anything(value)
        )
        self.routes: tuple[str, ...] = tuple(routes)
        self._wanted = wanted
        self._done = done

    def differences(self, call: Call) -> list[str]:
        """What is different about a call, in words; empty if it is as expected."""
        return [*self.asked_differently(call), *self._undone(call)]

    def asked_differently(self, call: Call) -> list[str]:
        """What is different about the request itself, whatever the answer was."""
        found = [] if not self.routes or call.route in self.routes else [f"its route is {call.route!r}"]
        for name, wanted in self._wanted.items():
            found += unequal(_value(call, name), wanted, name)
        return found

    def _undone(self, call: Call) -> list[str]:
        if not self._done or 200 <= call.status < 300:
            return []
        return [f"it was answered with {call.status}" if call.status else "the connection was dropped"]

    def __repr__(self) -> str:
        return self.words


def started(workflow: str, input: Any = ANY, *, workflow_id: Any = ANY, catalog: Any = ANY) -> Expected:
    """A run of this workflow was started, by `run` or `start`, with exactly this input."""
    wanted = {"workflow": workflow, "input": input, "workflow id": workflow_id, "catalog": catalog}
    return Expected("a call that started a run", ("run", "start"), wanted)


def signalled(workflow_id: Any, name: Any = ANY, payload: Any = ANY) -> Expected:
    """This signal was sent to this workflow id. Feedback is the signal `resume`."""
    return _message("a call that sent a signal", ("signal", "feedback"), workflow_id, name, payload)


def updated(workflow_id: Any, name: Any = ANY, payload: Any = ANY) -> Expected:
    """This update was sent to this workflow id, and done."""
    return _message("a call that sent an update", ("update",), workflow_id, name, payload)


def queried(workflow_id: Any, name: Any = ANY, payload: Any = ANY) -> Expected:
    """This query was sent to this workflow id, and answered."""
    return _message("a call that sent a query", ("query",), workflow_id, name, payload)


def stopped(workflow_id: Any) -> Expected:
    """This workflow id was asked to stop."""
    return Expected("a call that stopped a run", ("stop",), {"workflow id": workflow_id})


def terminated(workflow_id: Any, reason: Any = ANY) -> Expected:
    """This workflow id was terminated, for this reason."""
    return Expected(
        "a call that terminated a run", ("terminate",), {"workflow id": workflow_id, "reason": reason}
    )


def reset(workflow_id: Any, step: Any = ANY) -> Expected:
    """This workflow id was reset to this step."""
    return Expected("a call that reset a run", ("reset",), {"workflow id": workflow_id, "step": step})


def called(route: str, *, workflow_id: Any = ANY, workflow: Any = ANY, status: Any = ANY) -> Expected:
    """This operation was called, whatever the answer was. Raises `ValueError` if there is no such route."""
    check_route(route)
    wanted = {"workflow id": workflow_id, "workflow": workflow, "status": status}
    return Expected(f"a call of {route!r}", (route,), wanted, done=False)


def _message(words: str, routes: Sequence[str], workflow_id: Any, name: Any, payload: Any) -> Expected:
    return Expected(words, routes, {"workflow id": workflow_id, "name": name, "payload": payload})


def _value(call: Call, name: str) -> Any:
    body = call.json if isinstance(call.json, Mapping) else {}
    if name == "name":
        return call.name
    if name == "workflow id":
        return call.workflow_id
    if name in ("workflow", "status"):
        return getattr(call, name)
    if name == "catalog":
        return body.get("catalog", body.get("taskQueue"))
    return body.get({"step": "stepName"}.get(name, name), UNDEFINED if name == "input" else None)


def containing(wanted: Any) -> Any:
    """The same value, but objects in it may have further keys, at any depth."""
    if isinstance(wanted, Mapping):
        return _Containing({key: containing(value) for key, value in wanted.items()})
    if isinstance(wanted, (list, tuple)):
        return [containing(value) for value in wanted]
    return wanted


def _anything(wanted: Any) -> bool:
    """Whether any value is accepted, even a missing one."""
    return bool(wanted == object())


def unequal(given: Any, wanted: Any, where: str) -> list[str]:
    """Where `given` differs from `wanted`, in words. `wanted` may contain `ANY` and the like."""
    if given is UNDEFINED:
        return [] if _anything(wanted) or wanted is UNDEFINED else [f"{where} is missing"]
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        found = []
        for key in [*wanted, *(key for key in given if key not in wanted)]:
            if key not in given:
                found.append(f"{where}.{key} is missing")
            elif key not in wanted:
                if isinstance(wanted, _Containing):
                    continue
                shown = masked({key: given[key]})[key]
                found.append(f"{where}.{key} is {short(shown)}, which was not expected")
            else:
                found += unequal(given[key], wanted[key], f"{where}.{key}")
        return found
    if isinstance(wanted, (list, tuple)) and isinstance(given, list):
        if len(given) != len(wanted):
            return [f"{where} has {len(given)} items, not {len(wanted)}: {short(given)}"]
        return [
            difference
            for index, (one, other) in enumerate(zip(given, wanted, strict=True))
            for difference in unequal(one, other, f"{where}[{index}]")
        ]
    # In Python, True equals 1.
    alike = isinstance(given, bool) == isinstance(wanted, bool) or not isinstance(wanted, (bool, int))
    if given == wanted and alike:
        return []
    return [unlike(where, given, wanted)]


def check_called(calls: Calls, expected: Expected, times: int | None) -> Calls:
    """Return the expected calls. Raises `AssertionError` if there are none, or not `times` of them."""
    __tracebackhide__ = True
    found = Calls(call for call in calls if not expected.differences(call))
    if times is None:
        if not found:
            raise AssertionError(f"expected {expected}; {_instead(calls, expected)}")
    elif len(found) != times:
        count = f"{times} time{'' if times == 1 else 's'}"
        if not found:
            raise AssertionError(f"expected {expected}, {count}; {_instead(calls, expected)}")
        raise AssertionError(f"expected {expected}, {count}; there were {len(found)}:\n{listing(found)}")
    return found


def check_order(calls: Calls, expected: Sequence[Expected]) -> None:
    """Raise `AssertionError` unless these calls were made in this order; others may be between them."""
    __tracebackhide__ = True
    rest = iter(calls)
    after: Call | None = None
    for one in expected:
        found = next((call for call in rest if not one.differences(call)), None)
        if found is None:
            earlier = [call for call in calls if not one.differences(call)]
            where = "" if after is None else f" after #{after.number}"
            if earlier:
                raise AssertionError(
                    f"expected {one}{where}, but it was made before that, as #{earlier[-1].number}\n"
                    f"all calls:\n{listing(calls)}"
                )
            raise AssertionError(f"expected {one}{where}; {_instead(calls, one)}")
        after = found


def check_only(calls: Calls, expected: Sequence[Expected]) -> None:
    """Raise `AssertionError` unless each of these calls was made, and no other call that changes anything."""
    __tracebackhide__ = True
    for one in expected:
        check_called(calls, one, None)
    others = [
        call for call in calls if call.route in _CHANGING and all(one.differences(call) for one in expected)
    ]
    if others:
        raise AssertionError(
            f"expected no other call that changes anything, but there were:\n{listing(others)}"
        )


def _instead(calls: Calls, expected: Expected) -> str:
    """What was found instead: the closest call, with what is different about it, and all calls."""
    if not calls:
        return "there was no call at all"
    near = [call for call in calls if not expected.routes or call.route in expected.routes]
    if not near:
        return f"no call was similar\nall calls:\n{listing(calls)}"
    # A refused call with the same request is closer than a call with another request.
    nearest = min(near, key=lambda call: len(expected.asked_differently(call)))
    different = "\n".join(f"    {one}" for one in expected.differences(nearest))
    rest = "" if len(calls) == 1 else f"\nall calls:\n{listing(calls)}"
    return f"the nearest is\n{nearest}\n{different}{rest}"
