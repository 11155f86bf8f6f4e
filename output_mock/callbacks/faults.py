"""What can go wrong with a request of a workflow on its way: it is lost, late, sent twice, or overtaken."""

from __future__ import annotations

from typing import Literal, NamedTuple

from output_mock.callbacks.request import normal
from output_mock.durations import Duration, format_duration, nanoseconds

# What can be lost, or late.
Way = Literal["request", "answer"]
WAYS: tuple[Way, ...] = ("request", "answer")


class Delivery(NamedTuple):
    """What happens to a request on its way. Durations are nanoseconds on the fake's clock."""

    # What is lost, if anything is.
    lost: Way | None = None
    # How late the request comes, and the answer.
    late: int = 0
    answer_late: int = 0
    # How often it comes.
    copies: int = 1
    # Whether the next one comes before it.
    is_overtaken: bool = False

    @property
    def words(self) -> str:
        """What goes wrong."""
        if self.lost is not None:
            return f"loses its {self.lost}"
        if self.copies > 1:
            return "comes twice"
        if self.is_overtaken:
            return "comes after the next one"
        way = "request" if self.late else "answer"
        return f"has its {way} come {format_duration(self.late or self.answer_late)} late"


ON_TIME = Delivery()


class CallbackFault:
    """A fault of requests of workflows.

    Takes the URL of the requests that it affects (as in `respond`; None: all), how many of them (None: all),
    and what happens to them. Raises `ValueError` for wrong values.
    """

    def __init__(
        self,
        delivery: Delivery,
        *,
        url: str | None = None,
        times: int | None = 1,
        place: str = "",
    ) -> None:
        if times is not None and (isinstance(times, bool) or not isinstance(times, int) or times < 1):
            raise ValueError(f"times must be a number of requests, 1 or more, not {times!r}")
        self.delivery = delivery
        self.times = times
        # Where it is written.
        self.place: str = place
        self.url: str | None = None if url is None else normal(url)
        self.left: int | None = times

    @property
    def unused(self) -> str | None:
        """That it has affected no request, in words; None when it has, or need not."""
        if self.times is None or self.left != self.times:
            return None
        to = "" if self.url is None else f" to {self.url}"
        return f"a request of a workflow{to} that {self.delivery.words} never came"

    def fits(self, url: str) -> bool:
        """Whether it affects a request to this URL."""
        return self.left != 0 and (self.url is None or is_at(url, self.url))


def is_at(url: str, wanted: str) -> bool:
    """Whether a URL matches the wanted one, which may have no query, and may end with `*` for any rest."""
    if wanted.endswith("*"):
        return url.startswith(wanted[:-1])
    return wanted in (url, url.partition("?")[0])


def dropped(lose: Way) -> Delivery:
    """The connection breaks, before the application has the request or before the workflow has the answer."""
    return Delivery(lost=_way(lose, "lose"))


def delayed(delay: Duration, late: Way) -> Delivery:
    """The request comes late, or the answer does."""
    length = nanoseconds(delay)
    return Delivery(late=length) if _way(late, "late") == "request" else Delivery(answer_late=length)


def _way(given: Way, name: str) -> Way:
    if given not in WAYS:
        raise ValueError(f"{name} must be one of {', '.join(WAYS)}, not {given!r}")
    return given
