"""The figures of `compare` count each pair of answers once."""

from __future__ import annotations

from output_mock.comparing.judgement import Judged
from output_mock.comparing.kinds import Kind
from output_mock.comparing.report import Report


def test_a_pair_that_differs_in_two_places_is_counted_once() -> None:
    status, completed = Kind("GET /status", "body/status"), Kind("GET /status", "body/completedAt")
    other = Kind("GET /result", "200 / 424")
    report = Report(1)
    report.count(
        6, [Judged(0), Judged(1, (status, completed)), Judged(2, (other,)), Judged(3, unstable=True)]
    )
    assert (report.answers, report.different, report.late, report.unstable, report.afterwards) == (
        4,
        2,
        0,
        1,
        2,
    )
    report.was_late(status)
    assert (report.different, report.late) == (2, 0)
    report.was_late(completed)
    assert (report.different, report.late, report.same) == (1, 1, 1)
    assert set(report.kinds) == {other}
    report.count(1, [Judged(0, (status,))], {status})
    assert (report.different, report.late) == (1, 2)
