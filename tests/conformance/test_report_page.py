"""The page that `output-mock verify --report` writes."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from output_contract import report_html
from output_contract.server import NEEDS_PACK
from output_contract.verdict import Outcome, Verdict
from output_contract.versions import Judged

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
# How long to wait for a browser that hangs, in seconds; no result depends on it.
PATIENCE = 120
HOSTILE = "<script>alert(1)</script>\"'&"


def a_verdict() -> Verdict:
    """A verdict with everything that a page shows, and hostile text from a server."""
    verdict = Verdict(f"http://a/{HOSTILE}", date="2026-11-29T09:05:00+00:00", version="0.1.0")
    verdict.judged = Judged("0.9.2", "0.8.0", "said", "found")
    verdict.seen.update({"answers": 3, "server nginx/1.24.0": 3, "HTTP/1.0": 3})
    for number in range(3):
        answer = {"status": 200, "headers": {HOSTILE: "x" * 500}, "body": f"{HOSTILE}{'y' * 900}"}
        failure = {
            "test": HOSTILE,
            "expected": f"{HOSTILE} {'z' * 300}",
            "curl": f"curl 'http://a/{'w' * 400}'",
            "answer": answer,
            "before": [f"GET /{'v' * 300} 200"],
            "evidence": [["header removed", "x-request-id"]],
        }
        identifier = f"system.request-id[GET {HOSTILE} {number}]"
        verdict.add(Outcome(identifier, "required", HOSTILE, "failed", failure=failure))
    nothing = {
        "test": "t",
        "expected": "no answer: gone",
        "curl": "curl",
        "answer": {"status": None, "broken": "gone"},
    }
    verdict.add(Outcome("run.child", "required", "s", "failed", failure=nothing))
    verdict.add(Outcome("run.alias", "required", "s", "not_checked", reason=NEEDS_PACK))
    verdict.add(
        Outcome("run.result", "required", "s", "not_applicable", reason="it applies from API 0.11.0 on")
    )
    verdict.add(Outcome("runs.list", "required", HOSTILE, "passed"))
    verdict.problems, verdict.left_running = [HOSTILE], [HOSTILE]
    return verdict


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def test_text_from_a_server_is_escaped_on_the_page() -> None:
    page = report_html.document(a_verdict())
    assert "<script" not in page
    # The address, a problem, an open run, and the texts of each failed check.
    assert text_of(page).count(HOSTILE) >= 12


def test_the_page_shows_when_and_against_which_version_the_server_was_checked() -> None:
    page = report_html.document(a_verdict())
    assert '<time datetime="2026-11-29T09:05:00+00:00">29 November 2026, 09:05 UTC</time>' in page
    text = text_of(page)
    assert "It was judged as API 0.9.2 (as you said) with workers of SDK 0.8.0 (found by asking)." in text
    assert "All answers come in HTTP/1.0" in text
    assert "Not applicable to these versions" in text
    assert "1: it applies from API 0.11.0 on" in text


def test_the_page_says_how_to_get_the_workflows_that_checks_need() -> None:
    assert "output-mock pack DIR writes them as TypeScript" in text_of(report_html.document(a_verdict()))
    without = Verdict("http://a", [Outcome("run.alias", "required", "s", "passed")])
    assert "output-mock pack" not in report_html.document(without)


def test_the_page_names_each_cause_with_its_checks() -> None:
    page = report_html.document(a_verdict())
    assert (
        "3 checks: Something in front of the server (nginx/1.24.0) removes the header X-Request-ID"
        in text_of(page)
    )
    links = re.findall(r'href="#([^"]+)"', page)
    assert len(links) == 3
    for link in links:
        assert page.count(f'id="{link}"') == 1, "each leads to its check"
    assert "1 more check failed for a reason of its own; see below." in text_of(page)


def test_a_request_without_a_response_has_no_status_on_the_page() -> None:
    page = text_of(report_html.document(a_verdict()))
    assert "none: gone" in page
    assert "Answernone: gone" in page.replace("\n", "")


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium here (Debian's package is chromium)")
def test_the_page_fits_a_phone(tmp_path: Path) -> None:
    assert BROWSER is not None
    page = report_html.document(a_verdict()).replace("<details>", "<details open>")
    widths = [320, 390]
    script = "document.title += `${this.width} ${this.contentDocument.documentElement.scrollWidth};`"
    file = tmp_path / "phones.html"
    file.write_text(
        "".join(
            f'<iframe width="{width}" height="600" frameborder="0" onload="{script}" '
            f'srcdoc="{html.escape(page)}"></iframe>'
            for width in widths
        )
    )
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--dump-dom"]
    done = subprocess.run(
        [BROWSER, *flags, f"--user-data-dir={tmp_path}/browser", file.as_uri()],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    found = re.search(r"<title>(.*?)</title>", done.stdout)
    assert found is not None, done.stdout[:500]
    measured = {int(width): int(needed) for width, needed in re.findall(r"(\d+) (\d+);", found[1])}
    assert sorted(measured) == widths
    assert all(needed <= width for width, needed in measured.items()), measured
