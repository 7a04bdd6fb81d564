"""Lateness: the one rule that says until when an allocation may be published."""

from datetime import date, datetime, time, timedelta

from mab_store.settings import Settings

INSTANT = timedelta(microseconds=1)


def deadline_hours(settings: Settings) -> int:
    """Return the time from the end of an as-of day to its deadline [hours]."""
    return settings.mab_schedule_hour + settings.publication_deadline_hours


def publication_deadline(as_of_date: date, *, settings: Settings) -> datetime:
    """Return the last moment (naive UTC) at which the publication of an as-of day is on time.

    The run starts at MAB_SCHEDULE_HOUR of the next day and has PUBLICATION_DEADLINE_HOURS.
    """
    day_ends = datetime.combine(as_of_date + timedelta(days=1), time())
    return day_ends + timedelta(hours=deadline_hours(settings))


def newest_day_past_deadline(now: datetime, *, settings: Settings) -> date:
    """Return the newest as-of day whose deadline has passed.

    Args:
        now: The time, as naive UTC.
        settings: For the deadline.
    """
    hours = timedelta(hours=deadline_hours(settings))
    return (now - hours - INSTANT).date() - timedelta(days=1)
