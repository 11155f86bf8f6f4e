"""Answers that are late."""

from __future__ import annotations

from random import Random
from typing import ClassVar

from output_mock.contract.schemas import DURATION, fields, flag, many
from output_mock.http.faults.delays import Delay
from output_mock.http.faults.kind import Effect, Options, OptionSchemas


class Late(Effect):
    """A `delay` of the answer: a duration, `{"uniform": ["1s", "3s"]}` or
    `{"lognormal": {"median": "200ms", "sigma": 0.5}}`, on the fake's clock or (`wall`) in real time.
    """

    options: ClassVar[OptionSchemas] = {
        "delay": {
            "description": "How late the answer is: a duration; or a random one, evenly distributed between "
            "two (`uniform`) or around a median (`lognormal`).",
            "anyOf": [
                *DURATION["anyOf"],
                fields({"uniform": many(DURATION, minItems=2, maxItems=2)}, "uniform"),
                fields(
                    {
                        "lognormal": fields(
                            {"median": DURATION, "sigma": {"type": "number", "minimum": 0, "maximum": 10}},
                            "median",
                        )
                    },
                    "lognormal",
                ),
            ],
        },
        "wall": flag("Whether the delay is in real time, not on the world's clock."),
    }

    def __init__(self, options: Options) -> None:
        self.delay: Delay = Delay(options["delay"])
        self.wall: bool = options.get("wall", False)

    @property
    def is_nothing(self) -> bool:
        return not self.delay

    def words(self) -> str:
        return f"delay by {self.delay.words}{' in real time' if self.wall else ''}"

    def lateness(self, chance: Random) -> tuple[int, int]:
        length = self.delay.draw(chance)
        return (0, length) if self.wall else (length, 0)
