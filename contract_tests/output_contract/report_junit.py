"""A verdict as JUnit XML, for continuous integration."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from output_contract.report_text import answer_line
from output_contract.verdict import Outcome, Verdict

# Characters that XML 1.0 cannot contain, not even escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(verdict: Verdict) -> bytes:
    """The verdict, with a test suite for each area."""
    counts = verdict.counts()
    root = ElementTree.Element(
        "testsuites",
        name=_text(f"output-mock verify {verdict.url}"),
        tests=str(len(verdict.outcomes)),
        failures=str(counts["failed"]),
        skipped=str(counts["not_checked"] + counts["not_applicable"]),
        errors=str(len(verdict.problems)),
        time=f"{verdict.seconds:.3f}",
    )
    if verdict.date:
        root.set("timestamp", verdict.date)
    for area, numbers in verdict.by_area():
        outcomes = sorted((one for one in verdict.outcomes if one.area == area), key=lambda one: one.id)
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=area,
            tests=str(len(outcomes)),
            failures=str(numbers["failed"]),
            skipped=str(numbers["not_checked"] + numbers["not_applicable"]),
            errors="0",
            time=f"{sum(one.seconds for one in outcomes):.3f}",
        )
        for outcome in outcomes:
            _add_case(suite, outcome)
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, "utf-8", xml_declaration=True)
    return text


def _add_case(suite: ElementTree.Element, outcome: Outcome) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"contract.{outcome.area}",
        name=_text(outcome.id),
        time=f"{outcome.seconds:.3f}",
    )
    properties = ElementTree.SubElement(case, "properties")
    for name, value in (("level", outcome.level), ("source", outcome.source)):
        ElementTree.SubElement(properties, "property", name=name, value=_text(value))
    if outcome.status == "not_checked":
        ElementTree.SubElement(case, "skipped", message=_text(outcome.reason or ""))
    elif outcome.status == "not_applicable":
        ElementTree.SubElement(case, "skipped", message=_text(f"does not apply: {outcome.reason}"))
    elif outcome.status == "failed":
        found = outcome.failure or {}
        expected = found.get("expected", "")
        failed = ElementTree.SubElement(case, "failure", message=_text(expected.partition("\n")[0]))
        lines = [expected]
        if "curl" in found:
            lines += [found["curl"], answer_line(found["answer"])]
        failed.text = _text("\n\n".join(lines))


def _text(text: str) -> str:
    return _NOT_XML.sub("�", text)
