"""Ranges of days that a run covers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

DAYS_AT_ONCE = 31
"""Days of one statement over a long range: Snowflake ends a recursive query after 100 steps, and
decisions of many days need memory."""


@dataclass(frozen=True, slots=True)
class Days:
    """The days that a run covers, half-open.

    Attributes:
        start: First day.
        end: Day after the last.
    """

    start: date
    end: date

    @property
    def parameters(self) -> dict[str, object]:
        """The days as SQL parameters."""
        return {"start_date": self.start, "end_date": self.end}

    def parts(self, most: int = DAYS_AT_ONCE) -> Iterator["Days"]:
        """Cut the range into ranges of at most so many days, in order."""
        start = self.start
        while start < self.end:
            end = min(self.end, start + timedelta(days=most))
            yield Days(start, end)
            start = end

    @property
    def listed(self) -> list[date]:
        """Each of the days, ascending."""
        return [self.start + timedelta(days=offset) for offset in range(len(self))]

    def __len__(self) -> int:
        return (self.end - self.start).days


def unbroken(days: Iterable[date]) -> list[Days]:
    """Return ascending days as ranges without gaps."""
    ranges: list[Days] = []
    for day in days:
        end = day + timedelta(days=1)
        if ranges and ranges[-1].end == day:
            ranges[-1] = Days(ranges[-1].start, end)
        else:
            ranges.append(Days(day, end))
    return ranges
