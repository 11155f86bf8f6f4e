"""A failed assertion is shown in the test, not inside the fake."""

from __future__ import annotations

import pytest

ASSERTIONS = [
    "assert_called(started('report'))",
    "assert_called_in_order(started('report'))",
    "assert_called_only(started('report'))",
    "calls(route='start').one()",
]


def test_the_traceback_of_an_assertion_ends_in_the_test(pytester: pytest.Pytester) -> None:
    tests = [
        f"def test_{number}(output_mock):\n    output_mock.{assertion}\n"
        for number, assertion in enumerate(ASSERTIONS)
    ]
    pytester.makepyfile("from output_mock import started\n\n" + "\n".join(tests))
    # In a separate process, because this process shows its modules differently.
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--tb=short")
    result.assert_outcomes(failed=len(ASSERTIONS))
    for assertion in ASSERTIONS:
        result.stdout.fnmatch_lines([f"*output_mock.{assertion}", "E   AssertionError: expected *"])
    for module in ("output_mock?mock.py", "expected.py", "journal.py"):
        result.stdout.no_fnmatch_line(f"*{module}*")
