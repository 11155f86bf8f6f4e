"""A verdict as one self-contained HTML page: no scripts, no external fonts or pictures."""

from __future__ import annotations

from datetime import datetime
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, Template

from output_contract.checks import AREAS
from output_contract.verdict import Status, Verdict


@cache
def _template() -> Template:
    # All text from a server is escaped.
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html")


def document(verdict: Verdict) -> str:
    """The page."""

    def ids_with(status: Status, reason: str) -> list[str]:
        return [one.id for one in verdict.of(status) if (one.reason or "no reason given") == reason]

    causes = verdict.causes
    failed = verdict.of("failed")
    return _template().render(
        verdict=verdict,
        kind={0: "conforms", 1: "fails", 2: "unchecked"}[verdict.exit_status],
        date=_readable(verdict.date),
        requests=sum(outcome.requests for outcome in verdict.outcomes),
        causes=causes,
        numbers={outcome.id: number for number, outcome in enumerate(failed)},
        # For each cause, the page shows one check. The others can be unfolded.
        folded={id for cause in causes for id in cause.checks[1:]},
        unexplained=len(failed) - len({id for cause in causes for id in cause.checks}),
        areas=AREAS,
        excluded=len(verdict.of("not_applicable")),
        ids_with=ids_with,
        lacks_pack=any("output-mock pack" in (one.reason or "") for one in verdict.of("not_checked")),
        passed_in=lambda area: [one for one in verdict.of("passed") if one.area == area],
    )


def _readable(date: str) -> str:
    """An ISO time in readable form; empty if the verdict has none."""
    return datetime.fromisoformat(date).strftime("%d %B %Y, %H:%M UTC").lstrip("0") if date else ""
