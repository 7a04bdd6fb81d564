"""Lateness: one deadline, and both sides of its edge."""

from datetime import date, datetime, timedelta

import pytest

from mab_store.allocation_payload import is_stale
from mab_store.lateness import INSTANT, newest_day_past_deadline, publication_deadline
from mab_store.settings import load_settings

AS_OF = date(2025, 3, 19)


@pytest.mark.parametrize(
    ("schedule_hour", "deadline_hours", "deadline"),
    [
        (2, 2, "2025-03-20T04:00"),
        (0, 1, "2025-03-20T01:00"),
        (23, 24, "2025-03-21T23:00"),
    ],
)
def test_a_day_is_late_after_its_deadline_and_not_at_it(schedule_hour, deadline_hours, deadline):
    settings = load_settings(
        mab_schedule_hour=schedule_hour, publication_deadline_hours=deadline_hours, _env_file=None
    )
    deadline = datetime.fromisoformat(deadline)
    before = AS_OF - timedelta(days=1)

    assert publication_deadline(AS_OF, settings=settings) == deadline
    assert newest_day_past_deadline(deadline, settings=settings) == before
    assert newest_day_past_deadline(deadline + INSTANT, settings=settings) == AS_OF
    # The allocation of the day before is for this day: it is stale once this day is late.
    assert not is_stale(AS_OF, now=deadline, settings=settings)
    assert is_stale(AS_OF, now=deadline + INSTANT, settings=settings)
