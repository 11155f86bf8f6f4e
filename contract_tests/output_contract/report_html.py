"""A verdict as one HTML page that needs nothing else: no script, no font, no picture from anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from output_contract.checks import AREAS
from output_contract.verdict import Outcome, Verdict

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1c2126; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.verdict { padding: .8rem 1rem; border-radius: 6px; font-weight: 600 }
.conforms { background: #e2f4e6 } .deviates { background: #fbe4e4 } .unchecked { background: #fdf3d7 }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; text-align: right }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left }
tr + tr td { border-top: 1px solid #e3e6ea }
.failed { color: #b3261e; font-weight: 600 } .quiet { color: #667 }
article { border: 1px solid #e3c3c1; border-radius: 6px; padding: .2rem 1rem .8rem; margin: 1rem 0 }
article h3 { font-size: 1rem; margin: .6rem 0 0 }
pre { background: #f4f6f8; border-radius: 4px; padding: .6rem; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; font-size: 13px; margin: .3rem 0 }
summary { cursor: pointer; margin: .4rem 0 } code { font-size: 13px }
@media (prefers-color-scheme: dark) { body { color: #e4e7ea; background: #16191c } pre { background: #23272b }
  .conforms { background: #1c3a24 } .deviates { background: #4a1f1d } .unchecked { background: #453a16 }
  .failed { color: #ff8a80 } .quiet { color: #9aa4ad } article { border-color: #5c302d }
  tr + tr td { border-top-color: #343a40 } }
"""


def document(verdict: Verdict) -> str:
    """The page."""
    return "".join(f"{line}\n" for line in _page(verdict))


def _page(verdict: Verdict) -> Iterator[str]:
    kind = {0: "conforms", 1: "deviates", 2: "unchecked"}[verdict.exit_status]
    yield "<!doctype html>"
    yield '<html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Is {escape(verdict.url)} a true Output API?</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>Is <code>{escape(verdict.url)}</code> a true Output API?</h1>"
    yield f'<p class="verdict {kind}">It {escape(verdict.words)}.</p>'
    for problem in verdict.problems:
        yield f'<p class="failed">{escape(problem)}</p>'
    for workflow_id in verdict.left_running:
        yield f'<p class="failed">Left running: <code>{escape(workflow_id)}</code></p>'
    requests = sum(outcome.requests for outcome in verdict.outcomes)
    yield f'<p class="quiet">{len(verdict.outcomes)} checks, {requests} requests, {verdict.seconds:.1f} s, '
    yield f"output-mock {escape(verdict.version)}</p>"
    yield from _table(verdict)
    failed = verdict.of("failed")
    if failed:
        yield "<h2>Deviations</h2>"
    for outcome in failed:
        yield from _failure(outcome)
    if verdict.of("not_checked"):
        yield "<h2>Not checked</h2>"
    for reason, number in verdict.reasons():
        ids = [one.id for one in verdict.of("not_checked") if (one.reason or "no reason given") == reason]
        yield f"<details><summary>{number}: {escape(reason)}</summary>"
        yield f"<p>{', '.join(f'<code>{escape(one)}</code>' for one in ids)}</p></details>"
    yield "<h2>Passed</h2>"
    for area in AREAS:
        passed = [one for one in verdict.of("passed") if one.area == area]
        if passed:
            yield f"<details><summary>{area}: {len(passed)}</summary><ul>"
            for one in passed:
                yield f"<li><code>{escape(one.id)}</code> <span class='quiet'>{one.level}; "
                yield f"{escape(one.source)}</span></li>"
            yield "</ul></details>"
    yield "</body></html>"


def _table(verdict: Verdict) -> Iterator[str]:
    yield "<table><tr><th>area</th><th>passed</th><th>failed</th><th>not checked</th><th></th></tr>"
    for area, counts in verdict.by_area():
        failed = f'<span class="failed">{counts["failed"]}</span>' if counts["failed"] else "·"
        yield f"<tr><td>{area}</td><td>{counts['passed'] or '·'}</td><td>{failed}</td>"
        yield f'<td>{counts["not_checked"] or "·"}</td><td class="quiet">{AREAS[area]}</td></tr>'
    yield "</table>"


def _failure(outcome: Outcome) -> Iterator[str]:
    found = outcome.failure or {}
    yield f'<article id="{escape(outcome.id)}"><h3><code>{escape(outcome.id)}</code></h3>'
    yield f'<p class="quiet">{outcome.level}; stands on {escape(outcome.source)}</p>'
    yield f"<p>{escape(found.get('test', ''))}</p>"
    yield f"Found<pre>{escape(found.get('expected', ''))}</pre>"
    if found.get("before"):
        yield f"After<pre>{escape(chr(10).join(found['before']))}</pre>"
    if "curl" in found:
        answer = found["answer"]
        headers = "\n".join(f"{name}: {value}" for name, value in answer["headers"].items())
        yield f"Request<pre>{escape(found['curl'])}</pre>"
        yield f"Answer<pre>{answer['status']}\n{escape(headers)}\n\n{escape(answer['body'])}</pre>"
    yield "</article>"
