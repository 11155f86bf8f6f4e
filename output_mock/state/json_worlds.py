"""Writes worlds without their runs as JSON, and reads them again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from output_mock.contract import events
from output_mock.engine.clock import LATEST
from output_mock.engine.records import (
    CatalogRecord,
    RunRecord,
    WorldRecord,
)
from output_mock.scripts.definition import WorkflowDefinition
from output_mock.state.checked import (
    Unreadable,
    below,
    fields,
    flag,
    items,
    length,
    many,
    mapping,
    maybe,
    one_of,
    row,
    text,
    time,
    time_json,
    whole,
)
from output_mock.state.json_runs import KeyOf, next_work, next_work_json, run_number, same
from output_mock.state.json_values import random_json, random_state, script_error, script_error_json

# How many mistakes in a world's scripts are written. These are the latest ones.
_ERRORS = 100


# Worlds


def world_json(
    record: WorldRecord, key_of: KeyOf, part_of: Callable[[object], tuple[int, int] | None]
) -> dict[str, Any]:
    """A world without its runs. `part_of` maps a scripted sequence of answers to its workflow and its part
    of it.
    """
    return {
        "clock": [record.mode, time_json(record.now), record.sequence],
        "seed": record.seed,
        "namespace": record.namespace,
        "catalog": record.default_catalog,
        "random": random_json(record.random),
        "entered": record.entered,
        "ended": record.ended,
        "catalogs": [_catalog_json(catalog, key_of) for catalog in record.catalogs],
        "scriptErrors": [script_error_json(error) for error in record.script_errors[-_ERRORS:]],
        "outlasting": [[*key, *found] for key, found in record.outlasting.items()],
        "answersGiven": [
            [*part, count]
            for whose, count in record.answers_given.items()
            if (part := part_of(whose)) is not None
        ],
        "played": {
            name: [[*signal[:2], time_json(signal[2])] for signal in sorted(signals)]
            for name, signals in record.played.items()
        },
        "ready": [next_work_json(call) for call in record.ready],
        "deadline": None if record.deadline is None else [time_json(record.deadline[0]), record.deadline[1]],
    }


def _catalog_json(catalog: CatalogRecord, key_of: KeyOf) -> dict[str, Any]:
    return {
        "name": catalog.name,
        "workflows": [key_of(definition) for definition in catalog.workflows],
        "worker": catalog.worker,
        "returns": None if catalog.returns is None else time_json(catalog.returns),
        "returning": catalog.returning,
        "waiting": [next_work_json(call) for call in catalog.waiting],
        "run": catalog.run_id,
        "withheld": sorted(catalog.withheld),
    }


_CATALOG: Mapping[str, Callable[[Any], Any]] = {
    "name": text,
    "workflows": items,
    "worker": flag,
    "returns": maybe(time),
    "returning": maybe(whole),
    "waiting": many(next_work),
    "run": text,
    "withheld": many(text),
}


def _seed(given: Any) -> int:
    if type(given) is not int or abs(given) > 2**53:
        raise Unreadable("a seed is a whole number")
    return given


def _played(given: Any) -> dict[str, frozenset[tuple[str, str, int]]]:
    found = {}
    for name, signals in mapping(given).items():
        with below(name):
            found[name] = frozenset(many(lambda one: tuple(row(one, text, text, length)))(signals))
    return found


def _now(given: Any) -> int:
    if time(given) > LATEST:
        raise Unreadable("no clock stands so late")
    return time(given)


_WORLD: Mapping[str, Callable[[Any], Any]] = {
    "clock": lambda given: row(given, one_of("real", "auto", "manual"), _now, whole),
    "seed": _seed,
    "namespace": text,
    "catalog": text,
    "random": random_state,
    "entered": run_number,
    "ended": run_number,
    "catalogs": many(lambda given: fields(given, _CATALOG)),
    "scriptErrors": many(script_error),
    "outlasting": many(lambda given: row(given, text, text, text, flag)),
    "answersGiven": many(lambda given: row(given, same, whole, whole)),
    "played": _played,
    "ready": many(next_work),
    "deadline": maybe(lambda given: tuple(row(given, time, whole))),
}


def world(
    given: Any,
    runs: Sequence[RunRecord],
    offered: Callable[[Mapping[str, Any]], tuple[WorkflowDefinition, ...]],
    whose: Callable[[Any, str, int], object | None],
) -> WorldRecord:
    """Read what `world_json` has written.

    Takes the runs, a function for the content of a catalog (given what `_catalog_json` wrote), and a
    function for a scripted sequence of answers (given its workflow and part).
    """
    read = fields(given, _WORLD)
    mode, now, sequence = read["clock"]
    answers_given = {
        part: count
        for key, number, count in read["answersGiven"]
        if (part := whose(key, read["catalog"], number)) is not None
    }
    record = WorldRecord(
        mode,
        now,
        sequence,
        read["seed"],
        read["namespace"],
        read["catalog"],
        read["random"],
        read["entered"],
        read["ended"],
        tuple(
            CatalogRecord(
                catalog["name"],
                offered(catalog),
                catalog["worker"],
                catalog["returns"],
                catalog["returning"],
                catalog["waiting"],
                catalog["run"],
                frozenset(catalog["withheld"]),
            )
            for catalog in read["catalogs"]
        ),
        read["scriptErrors"],
        {(place, what): (said, is_guard) for place, what, said, is_guard in read["outlasting"]},
        answers_given,
        read["played"],
        read["ready"],
        read["deadline"],
        tuple(runs),
    )
    _check_together(record)
    return record


def _check_together(record: WorldRecord) -> None:
    """Raise `Unreadable` unless the parts of a world fit together."""
    runs: dict[str, RunRecord] = {}
    numbers = set()
    for one in record.runs:
        run_id = one.values["run_id"]
        if run_id in runs or one.number in numbers:
            raise Unreadable(f"the run {run_id} is there twice")
        if one.number > record.entered or one.ended > record.ended:
            raise Unreadable(f"the run {run_id} is beyond the number of the world's runs")
        runs[run_id] = one
        numbers.add(one.number)
    names = set()
    for catalog in record.catalogs:
        if catalog.name in names:
            raise Unreadable(f"the catalog {catalog.name!r} is there twice")
        names.add(catalog.name)
        if catalog.run_id not in runs:
            raise Unreadable(f"the catalog {catalog.name!r} has no run")
    if record.default_catalog not in names:
        raise Unreadable(f"there is no catalog {record.default_catalog!r}")
    for one in record.runs:
        run_id = one.values["run_id"]
        if one.catalog not in names:
            raise Unreadable(f"the run {run_id} is of a catalog that there is not")
    _check_order({run_id: [one.parent[0]] for run_id, one in runs.items() if one.parent is not None})
    _check_order({run_id: [one.stays_for] for run_id, one in runs.items() if one.stays_for is not None})
    _check_order({run_id: list(_that_follow(one)) for run_id, one in runs.items()})


def _that_follow(record: RunRecord) -> Iterator[str]:
    """The runs that a run refers to as its successors."""
    if record.values.get("status") == "continued_as_new":
        yield record.values["next_run_id"]
    if record.under_way is not None and not record.ended:
        for event in record.history.events:
            if isinstance(event, events.ChildWorkflowExecutionStarted):
                yield event.run_id


def _check_order(following: Mapping[str, list[str]]) -> None:
    """Raise `Unreadable` if a run is its own successor."""
    done: set[str] = set()
    for first in following:
        # The runs on the current path, each with its successors still to check.
        path: dict[str, Iterator[str]] = {}
        if first not in done:
            path[first] = iter(following[first])
        while path:
            run_id = next(reversed(path))
            after = next(path[run_id], None)
            if after is None:
                done.add(run_id)
                del path[run_id]
            elif after in path:
                raise Unreadable(f"the run {after} comes of itself")
            elif after not in done:
                path[after] = iter(following.get(after, ()))
