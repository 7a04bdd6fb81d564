"""Ranges of days, cut into parts."""

from datetime import date, timedelta

import pytest

from mab_store.days import DAYS_AT_ONCE, Days

FIRST = date(2025, 1, 1)


@pytest.mark.parametrize("count", [0, 1, 30, 31, 32, 62, 101, 400])
def test_the_parts_are_the_range_and_none_is_too_long(count):
    """Snowflake ends a recursive query after 100 steps; the emulator has no such limit."""
    days = Days(FIRST, FIRST + timedelta(days=count))
    parts = list(days.parts())
    assert [len(part) for part in parts if len(part) > DAYS_AT_ONCE or len(part) < 1] == []
    assert sum(len(part) for part in parts) == count
    assert [part.start for part in parts[1:]] == [part.end for part in parts[:-1]]
    if parts:
        assert (parts[0].start, parts[-1].end) == (days.start, days.end)
    assert DAYS_AT_ONCE < 100
