"""Notes on an export: rows left out or added up, and totals that differ from their rows."""

from collections.abc import Iterable

from mab_pipeline.sources.counts import Decimal, whole_number
from mab_pipeline.sources.rows import DataRow, Rows

_MOST_NAMED = 4


def notes_on(
    rows: Rows, decimal: Decimal, added: int, *, is_day_first: bool, is_whole: bool
) -> list[str]:
    """Say how an export was read: the rows that do not count, and totals that differ.

    Args:
        rows: Its rows.
        decimal: Its decimal sign.
        added: How many rows were added to others.
        is_day_first: Whether its language decides that the day comes first in its dates.
        is_whole: Whether a total counts what the rows count: no filter, and no other events.
    """
    notes = []
    if is_day_first:
        notes.append("dates that fit two orders are read with the day first, as its language does")
    if added:
        notes.append(f"{_counted(added)} added to others of the same day and variant")
    if rows.filtered:
        notes.append(f"{_counted(rows.filtered)} left out by the filter")
    if rows.other_events:
        count = sum(rows.other_events.values())
        notes.append(f"{_counted(count)} left out: other events ({_names(rows.other_events)})")
    if rows.nameless:
        notes.append(
            f"{_listed(rows.nameless)} left out: (not set), or the like, in the place of a name"
        )
    if rows.headers:
        notes.append(f"{_listed(rows.headers)} left out: the header again")
    if rows.totals:
        notes.append(f"{_listed(rows.totals)} left out: a total")
    if rows.notes:
        notes.append(f"{_listed(rows.notes)} left out: neither variant nor counts")
    if len(rows.totals) == 1 and is_whole:
        notes += _check_total(rows, decimal)
    return notes


def _check_total(rows: Rows, decimal: Decimal) -> Iterable[str]:
    """Compare the file's own total with its rows: an export that was cut short shows here."""
    (total,) = rows.totals
    for role in ("impressions", "clicks"):
        stated = whole_number(getattr(total, role), decimal)
        numbers = [whole_number(getattr(row, role), decimal) for row in rows.data]
        counted = sum(number for number in numbers if number is not None)
        if None not in numbers and stated is not None and stated != counted:
            yield (
                f"the total in row {total.number} says {stated:,} {role}, and the rows add up to "
                f"{counted:,}: the export may be cut short"
            )


def _counted(rows: int) -> str:
    return "1 row was" if rows == 1 else f"{rows} rows were"


def _names(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _MOST_NAMED} more" if len(shown) > _MOST_NAMED else ""
    return ", ".join(name[:60] for name in shown[:_MOST_NAMED]) + more


def _listed(rows: list[DataRow]) -> str:
    numbers = ", ".join(str(row.number) for row in rows[:_MOST_NAMED])
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return f"row {numbers}{more}" if len(rows) == 1 else f"rows {numbers}{more}"
