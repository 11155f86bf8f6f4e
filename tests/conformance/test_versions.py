"""`output-mock verify` checks a deployment against its own version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from output_contract import report_text, verification
from output_contract.checks import Check
from output_contract.conformity import document_for
from output_contract.detection import detect
from output_contract.pack import script
from output_contract.server import Server
from output_contract.target import Target
from output_contract.verdict import Verdict
from output_contract.verification import Wanted
from output_contract.versions import KNOWN, NEWEST, Judged, Span, known
from output_mock import OutputMock, Script
from output_mock.cli.verify import verify
from output_mock.recording.transport import InProcessTransport

RECORDINGS = Path(__file__).parents[1] / "recordings"
# Recorded deployments: the folder, and the versions of API and SDK.
RECORDED = {
    "0.8": ("0.8.0", "0.8.0"),
    "0.9": ("0.9.2", "0.9.2"),
    "0.10": ("0.10.0", "0.10.0"),
    "0.10+sdk0.11": ("0.10.0", "0.11.0"),
    "0.11+sdk0.10": ("0.11.0", "0.10.0"),
    "0.11": ("0.11.0", "0.11.0"),
}
# Checks that differ or do not apply in some versions.
DIFFERENT = (
    "catalog.names",
    "history.input-and-result",
    "history.long-poll-ends",
    "history.long-poll-ignored",
    "history.malformed-run",
    "history.query",
    "history.typical",
    "messages.feedback",
    "messages.signal-kept",
    "results.error",
    "results.keys",
    "results.thrown-text",
    "routing.unknown-workflow",
    "run.ended",
    "run.no-input",
    "start.pinned",
    "stop.result",
    "stream.closed",
    "system.headers",
    "traces.closed",
    "traces.stopped",
    "traces.untraced",
    "validation.unknown-workflow",
)


def judged(api: str, sdk: str, *only: str, **wanted: Any) -> Verdict:
    """The verdict on a fake of these versions."""
    mock = OutputMock("real", scripts=[script], api_version=api, sdk_version=sdk)
    try:
        return verification.verify(Wanted(target=Target(mock.app), only=only, examples=3, **wanted))
    finally:
        mock.close()


@pytest.mark.parametrize("name", RECORDED)
def test_a_deployment_conforms_to_its_own_versions(name: str) -> None:
    api, sdk = RECORDED[name]
    verdict = judged(api, sdk, *DIFFERENT)
    assert verdict.judged == Judged(api, sdk, "found", "found")
    assert verdict.exit_status == 0, "\n".join(report_text.whole(verdict))
    assert f"judged as API {api} with workers of SDK {sdk} (found by asking)" in verdict.judged_as
    assert not verdict.of("not_checked")


@pytest.mark.parametrize(("api", "sdk"), [("0.10", "0.10"), ("0.9", "0.11"), ("0.11", "0.9")])
def test_the_newest_deployment_does_not_conform_to_older_versions(api: str, sdk: str) -> None:
    only = ("results.error", "history.long-poll-ignored", "traces.closed")
    verdict = judged(NEWEST, NEWEST, *only, api_version=api, sdk_version=sdk)
    assert verdict.exit_status == 1
    assert verdict.judged == Judged(known(api), known(sdk), "said", "said")


def test_an_older_deployment_does_not_conform_to_the_newest_version() -> None:
    verdict = judged("0.10", "0.10", "history.query", "history.typical", api_version="0.11")
    assert [outcome.id for outcome in verdict.failed] == ["history.query[longPollTimeoutMs=0]"]


def test_checks_that_do_not_apply_are_reported_with_their_versions() -> None:
    verdict = judged("0.8", "0.8", "stream", "start.input", "catalog.names")
    assert {outcome.area for outcome in verdict.of("not_applicable")} == {"stream", "start", "catalog"}
    text = "\n".join(report_text.whole(verdict))
    assert (
        "not applicable (19): 17 because it applies from API 0.9.0 on; 1 because it applies from API" in text
    )
    assert verdict.counts()["not_checked"] == 0, "nobody can do anything about them"


def test_a_server_that_cannot_read_newer_results_is_noted() -> None:
    verdict = judged("0.10", "0.11", "run.result", "run.failed")
    reasons = {outcome.id: outcome.reason for outcome in verdict.of("not_applicable")}
    assert reasons == {"run.result": "an API of 0.10.0 cannot read the results of SDK 0.11.0"}
    (note,) = verdict.notes
    assert "results have no output and no trace. Upgrade the API before the workers." in note


def test_a_server_that_cannot_find_older_workflows_is_noted() -> None:
    own = Script()
    own.workflow("conf_sum").returns({"total": 3})
    mock = OutputMock("real", scripts=[own], api_version="0.11", sdk_version="0.8")
    try:
        verdict = verification.verify(Wanted(target=Target(mock.app), only=["run.result", "system.health"]))
    finally:
        mock.close()
    assert (verdict.judged.api, verdict.judged.sdk) == ("0.11.0", "0.8.0")
    assert [outcome.id for outcome in verdict.of("not_applicable")] == ["run.result"]
    (note,) = verdict.notes
    assert "it answers 424 for all of them. Upgrade the workers before the API." in note


def test_without_a_workflow_to_run_the_sdk_version_defaults_to_the_api_version() -> None:
    mock = OutputMock("real", api_version="0.9", sdk_version="0.9")
    try:
        assert detect(Server(InProcessTransport(mock.app))) == Judged("0.9.2", "0.9.2", "found", "assumed")
    finally:
        mock.close()


@pytest.mark.parametrize("version", ["0.8.0", "0.9.2", "0.10.0", "0.11.0"])
def test_the_api_version_is_detected_without_a_worker(version: str) -> None:
    mock = OutputMock("real", api_version=version)
    try:
        server = Server(InProcessTransport(mock.app), catalog="not-there-yet")
        assert detect(server) == Judged(version, version, "found", "assumed")
    finally:
        mock.close()


def test_detecting_the_versions_in_read_only_mode_starts_no_run() -> None:
    mock = OutputMock("real", scripts=[script], api_version="0.9", sdk_version="0.10")
    before = set(mock.runs)
    try:
        found = detect(Server(InProcessTransport(mock.app), read_only=True))
        assert set(mock.runs) == before
    finally:
        mock.close()
    assert found == Judged("0.9.2", "0.9.2", "found", "assumed")


def test_responses_of_other_servers_do_not_determine_the_api_version() -> None:
    def pages(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("404 Not Found", [("Content-Type", "text/html")])
        yield b"<html>none</html>"

    assert detect(Server(InProcessTransport(pages))) == Judged(NEWEST, NEWEST, "assumed", "assumed")


def test_the_report_shows_the_versions(tmp_path: Path) -> None:
    arguments = ["--api-version", "0.9", "--only", "system.health", "--report", str(tmp_path)]
    result = CliRunner().invoke(verify, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "judged as API 0.9.2 (as you said) with workers of SDK 0.11.0" in result.output
    assert json.loads((tmp_path / "verdict.json").read_text())["judgedAs"]["api"] == "0.9.2"
    assert "judged as API 0.9.2" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("version", ["new", "0", "0.7", "11", "0.11.0.1"])
def test_an_invalid_version_is_refused(version: str) -> None:
    result = CliRunner().invoke(verify, ["--api-version", version, "--only", "system.health"])
    assert result.exit_code == 2
    assert "is not a version; write it like" in result.output or "is older than 0.8.0" in result.output


@pytest.mark.parametrize(
    ("version", "meant"),
    [("0.9", "0.9.2"), ("0.9.1", "0.9.0"), ("v0.10.3", "0.10.0"), ("0.11", "0.11.0"), ("1.0", "0.11.0")],
)
def test_an_unknown_version_means_the_next_older_known_version(version: str, meant: str) -> None:
    assert known(version) == meant


def test_a_check_shows_the_versions_that_it_applies_to() -> None:
    check = Check("a.b", "required", "s", (Span("0.9.0", "0.11.0"),), (Span("0.10.0"),))
    applying = {(api, sdk) for api in KNOWN for sdk in KNOWN if check.excluded(api, sdk) is None}
    assert applying == {(api, sdk) for api in ("0.9.0", "0.9.2", "0.10.0") for sdk in ("0.10.0", "0.11.0")}
    assert check.excluded("0.8.0", "0.11.0") == "it applies from API 0.9.0 on"
    assert check.excluded("0.11.0", "0.11.0") == "it applied only before API 0.11.0"
    assert check.excluded("0.9.0", "0.9.2") == "it applies from SDK 0.10.0 on"


def _recorded(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for file in sorted((RECORDINGS / folder).glob("*.json")):
        # The document of a deployment with local traces does not know the addresses of remote ones.
        if not file.stem.startswith("remote_"):
            for step in json.loads(file.read_text())["steps"]:
                if "status" in step.get("answer", {}):
                    yield f"{file.stem}: {step['request']}", step


UUID = "0d9d0a6e-1b4e-4f0e-9d0c-2f9f6f1d7a11"
# What stands for the masks of the recordings, as JSON. What other masks stand for is a text too.
UNMASKED = {
    r'"<uuid>"|"\{\{(rid\d*|last)\}\}"': f'"{UUID}"',
    '"<time>"': '"2026-11-29T12:00:00.000Z"',
    r'"<(ms|n)>"': "1764417600000",
    '"<historySizeBytes>"': '{"low": 500, "high": 0, "unsigned": false}',
    '"<workerVersion>"': '{"buildId": "b"}',
    r'"<(sdkMetadata|meteringMetadata|acceptedRequest)>"': "{}",
    r'"<(workflowExecutionExpirationTime|backoff)>"': '{"seconds": "5", "nanos": 0}',
    '"<token>"': '"eyJhIjoxfQ=="',
}


def unmasked(text: str) -> str:
    for mask, value in UNMASKED.items():
        text = re.sub(mask, value, text)
    return text


@pytest.mark.parametrize("folder", RECORDED)
def test_the_document_of_a_version_matches_its_recordings(folder: str) -> None:
    document = document_for(*RECORDED[folder])
    found = []
    for name, step in _recorded(folder):
        method, _, path = step["request"].partition(" ")
        answer = step["answer"]
        text = json.dumps(answer["json"]) if "json" in answer else answer.get("text", "")
        path = re.sub(r"\{\{[^}]*\}\}", "x", path)
        headers = {name: UUID if value == "<uuid>" else value for name, value in answer["headers"].items()}
        problems = document.response_problems(
            method, path, answer["status"], headers, unmasked(text).encode()
        )
        # A masked payload is an object, where the server sends Base64; a recording may end before a stream.
        found += [f"{name}: {one}" for one in problems if not re.search("<payload>|cut off", one)]
    assert found == []
