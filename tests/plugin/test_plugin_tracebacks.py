"""A failed assertion is shown where the test makes it, not inside of the fake."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    "assertion",
    [
        "assert_called(started('report'))",
        "assert_called_in_order(started('report'))",
        "assert_called_only(started('report'))",
        "calls(route='start').one()",
    ],
)
def test_the_traceback_of_an_assertion_ends_in_the_test(pytester: pytest.Pytester, assertion: str) -> None:
    pytester.makepyfile(
        f"""
        from output_mock import started

        def test_it(output_mock):
            output_mock.{assertion}
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--tb=short")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*output_mock.{assertion}", "E   AssertionError: expected *"])
    result.stdout.no_fnmatch_line("*output_mock?mock.py*")
    result.stdout.no_fnmatch_line("*expected.py*")
    result.stdout.no_fnmatch_line("*journal.py*")
