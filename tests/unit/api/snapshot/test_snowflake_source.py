"""When Snowflake is asked whether something was published; docs/OPERATIONS.md has the numbers."""

from datetime import UTC, datetime, timedelta

from mab_api.snapshot.snowflake_source import SnowflakeSource
from mab_store.settings import Settings

MIDNIGHT = datetime(2026, 3, 10, tzinfo=UTC).replace(tzinfo=None)
RUN_ENDS = timedelta(hours=2, minutes=10)


def looks(*, published: bool, failures: int = 0, **settings: object) -> int:
    """Count the looks of a day on which the run ends at 02:10, or publishes nothing."""
    source = SnowflakeSource(Settings(_env_file=None, **settings), line=None)
    now, count, served = MIDNIGHT, 0, MIDNIGHT - timedelta(days=1) + RUN_ENDS
    while now < MIDNIGHT + timedelta(days=1):
        count += 1
        if published and now >= MIDNIGHT + RUN_ENDS:
            served = MIDNIGHT + RUN_ENDS
        now += timedelta(seconds=source.wait_seconds(now, served, failures))
    return count


def test_a_usual_day_takes_three_hundred_looks():
    assert looks(published=True) == 24 + 20 + 262


def test_a_day_without_its_publication_is_looked_at_all_the_time_after_its_hour():
    assert looks(published=False) == 24 + 22 * 120


def test_a_day_away_takes_a_look_every_five_minutes():
    assert looks(published=False, failures=5) == 288


def test_the_look_when_a_publication_is_due_is_not_late():
    source = SnowflakeSource(Settings(_env_file=None), line=None)
    served = MIDNIGHT - timedelta(days=1) + RUN_ENDS
    assert source.wait_seconds(MIDNIGHT + timedelta(hours=1, minutes=59), served, 0) == 60
    assert source.wait_seconds(MIDNIGHT + timedelta(hours=2), served, 0) == 30
    assert source.wait_seconds(MIDNIGHT, None, 0) == 30


def test_a_slower_pace_than_the_idle_one_stays_as_it_is():
    assert looks(published=True, api_refresh_seconds=3600.0) == 24
