"""The faults of a world as JSON, with how often they have struck and the chance that they go by."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args

from output_mock.durations import SECOND, nanoseconds
from output_mock.http.faults import Fault, Loss
from output_mock.http.trace_log import Trouble
from output_mock.javascript_json import as_json
from output_mock.state.checked import (
    Unreadable,
    below,
    fields,
    flag,
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
from output_mock.state.json_form import random_json, random_state

# How many faults, and how many moments of one, a file may have.
_MOST = 10_000


def faults_json(state: Sequence[Any], *, tokens: bool) -> dict[str, Any]:
    """What `Faults.state` has returned. Only with `tokens` it has the fingerprints of tokens that expire."""
    waiting, chance, last = state
    return {
        "faults": [_fault_json(fault, tokens) for fault in waiting],
        "chance": random_json(chance),
        "last": last,
    }


def read_faults(given: Any) -> Sequence[Any]:
    """See `faults_json`."""
    read = fields(given, {"faults": many(_fault), "chance": random_state, "last": whole})
    faults: tuple[Fault, ...] = read["faults"]
    if len(faults) > _MOST:
        raise Unreadable(f"a world has at most {_MOST} faults")
    return list(faults), read["chance"], read["last"]


def _fault_json(fault: Fault, tokens: bool) -> dict[str, Any]:
    first_used = fault.first_used if tokens else {}
    return {
        "id": fault.id,
        "times": fault.times,
        "left": None if fault.left == math.inf else int(fault.left),
        "struck": fault.struck,
        "seen": fault.seen,
        "probability": fault.probability,
        "after": fault.after,
        "status": fault.status,
        "body": [] if fault.body is None else [as_json(fault.body)],
        "headers": fault.headers,
        "retryAfter": fault.retry_after,
        "limit": fault.limit,
        "per": time_json(fault.per),
        "window": [time_json(moment) for moment in fault.window],
        "tokenLasts": None if fault.token_lasts is None else time_json(fault.token_lasts),
        "firstUsed": [[token, time_json(when)] for token, when in first_used.items()],
        "delay": _delay_json(fault.delay.written),
        "wall": fault.wall,
        "drop": fault.drop,
        "reset": fault.reset,
        "malformed": fault.malformed,
        "dribble": time_json(fault.dribble),
        "cutAfter": fault.cut_after,
        "workerAway": time_json(fault.worker_away),
        "s3": fault.s3,
        "where": fault.where,
        "place": fault.place,
        "ofPreset": fault.of_preset,
    }


def _delay_json(written: Any) -> Any:
    if isinstance(written, timedelta):
        return nanoseconds(written) / SECOND
    if isinstance(written, Mapping):
        return {name: _delay_json(one) for name, one in written.items()}
    if isinstance(written, (list, tuple)):
        return [_delay_json(one) for one in written]
    return written


def _delay(given: Any) -> Any:
    """A delay, which `Fault` looks at."""
    if isinstance(given, (dict, str, int, float)):
        return given
    raise Unreadable("it is not a delay")


def _probability(given: Any) -> float:
    if type(given) not in (int, float) or not 0 < given <= 1:
        raise Unreadable("a probability is more than 0 and at most 1")
    return float(given)


def _times(given: Any) -> Any:
    return given if given == "always" else whole(given)


def _where(given: Any) -> dict[str, str]:
    found = mapping(given)
    for name, one in found.items():
        with below(name):
            if name not in ("method", "route", "workflow", "workflow_id"):
                raise Unreadable("faults do not go by that")
            text(one)
    return found


def _headers(given: Any) -> dict[str, str]:
    found = mapping(given)
    for name, one in found.items():
        with below(name):
            text(one)
    return found


_FAULT: Mapping[str, Callable[[Any], Any]] = {
    "id": whole,
    "times": _times,
    "left": maybe(whole),
    "struck": whole,
    "seen": whole,
    "probability": _probability,
    "after": whole,
    "status": maybe(whole),
    "body": lambda given: given,
    "headers": _headers,
    "retryAfter": maybe(whole),
    "limit": maybe(whole),
    "per": time,
    "window": many(time),
    "tokenLasts": maybe(time),
    "firstUsed": many(lambda given: row(given, maybe(text), time)),
    "delay": _delay,
    "wall": flag,
    "drop": maybe(one_of(*get_args(Loss))),
    "reset": flag,
    "malformed": flag,
    "dribble": time,
    "cutAfter": maybe(whole),
    "workerAway": time,
    "s3": maybe(one_of(*get_args(Trouble))),
    "where": _where,
    "place": text,
    "ofPreset": flag,
}


def _fault(given: Any) -> Fault:
    read = fields(given, _FAULT)
    body = read["body"]
    if type(body) is not list or len(body) > 1:
        raise Unreadable("a body is a list of one or of none")
    lasts = read["tokenLasts"]
    try:
        fault = Fault(
            times=read["times"],
            probability=read["probability"],
            after=read["after"],
            status=read["status"],
            body=as_json(body[0]) if body else None,
            headers=read["headers"],
            retry_after=read["retryAfter"],
            limit=read["limit"],
            per=read["per"] / SECOND,
            token_lasts=None if lasts is None else lasts / SECOND,
            delay=read["delay"],
            wall=read["wall"],
            drop=read["drop"],
            reset=read["reset"],
            malformed=read["malformed"],
            dribble=read["dribble"] / SECOND,
            cut_after=read["cutAfter"],
            worker_away=read["workerAway"] / SECOND,
            s3=read["s3"],
            **read["where"],
        )
    except (ValueError, OverflowError) as error:
        raise Unreadable(str(error)) from None
    fault.id, fault.struck, fault.seen = read["id"], read["struck"], read["seen"]
    fault.left = math.inf if read["left"] is None else read["left"]
    # As they were, to the nanosecond.
    fault.per, fault.dribble, fault.worker_away = read["per"], read["dribble"], read["workerAway"]
    fault.token_lasts = lasts
    fault.window = deque(read["window"])
    fault.first_used = dict(read["firstUsed"])
    fault.place, fault.of_preset = read["place"], read["ofPreset"]
    return fault
