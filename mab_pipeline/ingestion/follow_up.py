"""Follow-up: computed days follow a change of their inputs (docs/adr/0019).

A late file or event touches days of `daily_metrics` and windows. They are recomputed in the
transaction of the change. So the windows always agree with `daily_metrics` and the registry,
whatever started the run. Decisions of earlier days are history and stay.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.windows import compute_windows
from mab_pipeline.ingestion.judged_days import Judge
from mab_pipeline.ingestion.registry_changes import RegistryChange
from mab_store.days import Days, unbroken
from mab_store.settings import Settings
from mab_store.warehouse.warehouse import Transaction


@dataclass(slots=True)
class FollowUp:
    """The days that were recomputed.

    Attributes:
        metric_days: Days of `daily_metrics`, ascending.
        as_of_days: As-of days of `windowed_aggregates`, ascending.
    """

    metric_days: list[date] = field(default_factory=list)
    as_of_days: list[date] = field(default_factory=list)


def made_days(transaction: Transaction, start: date) -> list[date]:
    """Return the as-of days from `start` on that have windows or decisions, ascending."""
    made = transaction.fetch_arrow("follow_up/made_days", {"start_date": start})
    days: list[date] = made["as_of_date"].to_pylist()
    return days


def follow_metrics(transaction: Transaction, settings: Settings, days: Days) -> FollowUp:
    """Recompute `days` of daily_metrics, and all that late rows of other days touch.

    This compares the days in the windows of `days` with their current rows, and also the days up to
    the newest computed one: a run of an older day may find late files there. Days that nothing
    touched since they agreed are not read.

    Args:
        transaction: The open transaction.
        settings: For the lengths of the windows.
        days: Days to recompute in any case.

    Returns:
        The other days that were out of date, and the windows that were recomputed.
    """
    reach = timedelta(days=settings.max_window_days - 1)
    seen = Days(max(days.start - reach, settings.mab_start_date), days.start)
    judge = Judge(transaction)
    stale = judge.stale_days(seen)
    if made := made_days(transaction, days.start):
        stale |= judge.stale_days(days)
        stale |= judge.stale_days_with_rows(Days(days.end, made[-1] + timedelta(days=1)))
    other = sorted(day for day in stale if not days.start <= day < days.end)
    ranges = [days, *unbroken(other)]
    as_of_days = _make_days(transaction, settings, stale, ranges=ranges)
    judge.note(transaction, ranges)
    return FollowUp(other, as_of_days)


def follow_registry(
    transaction: Transaction, settings: Settings, change: RegistryChange
) -> FollowUp:
    """Recompute all that a registry change touches: rows that are valid now, and windows.

    Args:
        transaction: The open transaction; it holds the new registry already.
        settings: For the lengths of the windows.
        change: The difference from the old registry.
    """
    touched = Days(change.first_metric_date, date.max)
    named = unbroken(sorted(change.waiting_days))
    if change.fingerprint_before:
        for days in (touched, *named):
            transaction.execute("follow_up/forget_judged_days", days.parameters)
        before = {"registry_fingerprint": change.fingerprint_before}
        transaction.execute("follow_up/keep_judged_days", before)
    judge = Judge(transaction)
    stale = judge.stale_days_with_rows(touched)
    for days in named:
        stale |= judge.stale_days(days)
    ranges = unbroken(sorted(stale))
    as_of_days = _make_days(
        transaction, settings, stale, ranges=ranges, first_as_of=change.first_as_of
    )
    judge.note(transaction, ranges)
    return FollowUp(sorted(stale), as_of_days)


def _make_days(
    transaction: Transaction,
    settings: Settings,
    stale: Collection[date],
    *,
    ranges: Iterable[Days],
    first_as_of: date | None = None,
) -> list[date]:
    """Recompute ranges of daily_metrics, then each window over a stale day or changed registry."""
    oldest = min(stale, default=date.max)
    before = _starts_by_data(transaction, oldest) if stale else {}
    for days in ranges:
        transaction.execute("assets/daily_metrics", days.parameters)
    after = _starts_by_data(transaction, oldest) if stale else {}
    first = min(oldest, first_as_of or date.max)
    if first == date.max:
        return []
    moved = [_moved(before.get(name), after.get(name)) for name in before.keys() | after.keys()]
    reach = timedelta(days=settings.max_window_days - 1)
    spans = [(day, day + reach) for day in stale] + [span for span in moved if span]
    touched = [
        day
        for day in made_days(transaction, first)
        if (first_as_of and day >= first_as_of) or any(a <= day <= b for a, b in spans)
    ]
    rule = RuleSettings.of(settings)
    for days in unbroken(touched):
        compute_windows(transaction, rule, days)
    return touched


def _starts_by_data(transaction: Transaction, day: date) -> dict[str, tuple[date, date]]:
    """Return first data and registration of experiments that were registered after a day."""
    rows = transaction.fetch_arrow("follow_up/starts_by_data", {"start_date": day}).to_pylist()
    return {row["experiment_id"]: (row["first_metric_date"], row["created_date"]) for row in rows}


def _moved(
    before: tuple[date, date] | None, after: tuple[date, date] | None
) -> tuple[date, date] | None:
    """Return the days whose running state changed because the experiment's first data moved."""
    if before == after:
        return None
    known = [start for start in (before, after) if start]
    return min(first for first, _ in known), max(created for _, created in known)
