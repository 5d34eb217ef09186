"""Images an hour, from how many were recorded when it is asked."""

from __future__ import annotations

import pytest

from casewise.server.pace import Pace


def test_images_an_hour_are_those_of_the_last_hour() -> None:
    now, recorded = 0.0, 100

    def asked(moment: float, count: int) -> float | None:
        nonlocal now, recorded
        now, recorded = moment, count
        return pace.an_hour()

    pace = Pace(lambda: recorded, lambda: now)
    assert asked(10, 101) is None
    assert asked(60, 110) == 600
    assert asked(1800, 600) == 1000
    for minute in range(31, 240):
        found = asked(60 * minute, 600)  # nothing more
    assert found == 0
    assert asked(60 * 270, 630) == pytest.approx(60 * 30 / 60)  # thirty in the last half hour; the reading before is an hour old


def test_results_that_were_removed_are_no_pace() -> None:
    counts = iter([5, 3])
    moments = iter([0.0, 100.0])
    assert Pace(lambda: next(counts), lambda: next(moments)).an_hour() == 0
