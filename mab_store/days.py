"""Ranges of days that a run covers."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta


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
