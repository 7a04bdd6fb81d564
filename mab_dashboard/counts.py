"""The accepted counts of an experiment as arrays, and its published decisions; pure."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
ONE_DAY = timedelta(days=1)


class Counts(NamedTuple):
    """Counts of consecutive days, 0 on a day without any.

    Attributes:
        first: Day of the first row.
        variants: Names of the columns.
        impressions: Impressions, shape `(n_days, n_variants)`.
        clicks: Clicks, same shape.
    """

    first: date
    variants: tuple[str, ...]
    impressions: IntArray
    clicks: IntArray

    def of(self, variants: Sequence[str]) -> "Counts":
        """Return the columns of these variants, in their order."""
        places = [self.variants.index(name) for name in variants]
        return Counts(
            self.first, tuple(variants), self.impressions[:, places], self.clicks[:, places]
        )

    def through(self, day: date) -> "Counts":
        """Return the rows up to a day."""
        length = max(0, (day - self.first).days + 1)
        return self._replace(impressions=self.impressions[:length], clicks=self.clicks[:length])


class Decided(NamedTuple):
    """A published decision.

    Attributes:
        day: The last day of its evidence.
        variants: Names, in the order in which the rule draws them.
        control: Name of the control; None if no variant is.
        hundredths: Published shares in 0.01 %, one per variant.
    """

    day: date
    variants: tuple[str, ...]
    control: str | None
    hundredths: tuple[int, ...]


def decided(publications: Iterable[Mapping[str, Any]]) -> list[Decided]:
    """Return the decisions of items of `GET /experiments/{id}/allocations`, oldest first.

    Of several publications of a day the last one counts.
    """
    by_day = {date.fromisoformat(item["as_of_date"]): item["allocations"] for item in publications}
    return [
        Decided(
            day,
            tuple(row["variant_name"] for row in rows),
            next((row["variant_name"] for row in rows if row["is_control"]), None),
            tuple(round(100 * row["allocation_percentage"]) for row in rows),
        )
        for day, rows in sorted(by_day.items())
    ]


def counts_of(
    days: Iterable[Mapping[str, Any]], variants: Iterable[str], *, first: date, last: date
) -> Counts:
    """Return items of `/daily` as arrays.

    Args:
        days: The items.
        variants: The columns; counts of other variants are left out.
        first: First row at the latest; earlier if there are earlier counts.
        last: Last row; later counts are left out.
    """
    items = [(date.fromisoformat(item["date"]), item["variants"]) for item in days]
    first = min([first, *(day for day, _ in items)])
    names = tuple(dict.fromkeys(variants))
    place = {name: column for column, name in enumerate(names)}
    shown, hits = np.zeros((2, max(0, (last - first).days + 1), len(names)), np.int64)
    for day, rows in items:
        for row in rows if day <= last else ():
            if row["variant_name"] in place:
                cell = (day - first).days, place[row["variant_name"]]
                shown[cell], hits[cell] = row["impressions"], row["clicks"]
    return Counts(first, names, shown, hits)
