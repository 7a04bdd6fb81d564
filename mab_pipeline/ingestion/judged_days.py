"""Judged days: a day's rows are judged again only if something that they are judged by has changed.

Whether daily_metrics of a day is out of date follows from five things: its rows in raw_metrics,
ledger and daily_metrics, the registry, and the SQL that judges. A day that agreed is noted in
`judged_days` with the fingerprints of all five. While they are the same, the answer is too. No
setting and no clock takes part (docs/adr/0029).
"""

from collections.abc import Iterable
from datetime import date

from mab_store.days import Days, unbroken
from mab_store.warehouse.sql_loader import sql_fingerprint
from mab_store.warehouse.warehouse import Queries, Transaction

JUDGING_SQL = (
    "schema/02_create_views",
    "schema/02_create_fingerprints",
    "assets/daily_metrics",
    "assets/daily_metrics_stale_days",
)


class Judge:
    """Finds the days of daily_metrics that are out of date, and remembers which ones it looked at.

    Args:
        queries: The open warehouse.
    """

    def __init__(self, queries: Queries) -> None:
        self._queries = queries
        self._judged: set[date] = set()

    def stale_days(self, days: Days) -> set[date]:
        """Return the days whose rows raw_metrics and the registry give otherwise now."""
        if days.start >= days.end:
            return set()
        return self._stale(changed_days(self._queries, days))

    def stale_days_with_rows(self, days: Days) -> set[date]:
        """Return the same of the days that raw_metrics still holds: the others were pruned."""
        if days.start >= days.end:
            return set()
        held = self._queries.fetch_arrow("follow_up/days_with_rows", days.parameters)
        kept = set(held["metric_date"].to_pylist())
        return self._stale(day for day in changed_days(self._queries, days) if day in kept)

    def note(self, transaction: Transaction, computed: Iterable[Days]) -> None:
        """Note that all judged days agree, once the stale ones among them were computed.

        Args:
            transaction: The open transaction.
            computed: The days of daily_metrics that were computed in it.
        """
        days = {day for span in computed for day in span.listed} | self._judged
        for span in unbroken(sorted(days)):
            parameters = span.parameters | {"code_version": sql_fingerprint(*JUDGING_SQL)}
            transaction.execute("assets/daily_metrics_judged", parameters)

    def _stale(self, changed: Iterable[date]) -> set[date]:
        stale: set[date] = set()
        for span in unbroken(changed):
            found = self._queries.fetch_arrow("assets/daily_metrics_stale_days", span.parameters)
            stale |= set(found["metric_date"].to_pylist())
            self._judged |= set(span.listed)
        return stale


def changed_days(queries: Queries, days: Days) -> list[date]:
    """Return the days that have to be judged, ascending."""
    parameters = days.parameters | {"code_version": sql_fingerprint(*JUDGING_SQL)}
    rows = queries.fetch_arrow("assets/daily_metrics_changed_days", parameters)
    changed: list[date] = rows["metric_date"].to_pylist()
    return changed
