"""Windows: the sums over each variant's days that decisions rest on; the rule is in the SQL."""

from collections import Counter

import pyarrow as pa

from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_store.days import Days
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Queries, Transaction


def compute_windows(transaction: Transaction, rule: RuleSettings, days: Days) -> None:
    """Compute `windowed_aggregates` of these as-of days from daily_metrics and the registry.

    Args:
        transaction: The open transaction.
        rule: Says how long the windows are.
        days: The as-of days; a long range takes several statements.
    """
    for part in days.parts():
        transaction.execute("assets/windowed_aggregates", part.parameters | rule.window_parameters)


def windows_that_differ(
    queries: Queries, rule: RuleSettings, days: Days
) -> set[tuple[object, ...]]:
    """Return rows of the windows that only the table has, or only its inputs give now.

    The statement that computes the windows is run as a query: nothing is written, so that no lock
    is needed.

    Args:
        queries: The open warehouse.
        rule: Says how long the windows are.
        days: The as-of days.
    """
    table = declared_tables()["windowed_aggregates"]
    present = queries.fetch_arrow("checks/windowed_aggregates_rows", days.parameters)
    expected = [
        queries.fetch_arrow("assets/windowed_aggregates", part.parameters | rule.window_parameters)
        for part in days.parts()
    ]
    order = [(name, "ascending") for name in table.grain]
    sides = [
        rows.cast(table.arrow_schema).sort_by(order)
        for rows in (present, pa.concat_tables(expected))
    ]
    if sides[0].equals(sides[1]):
        return set()
    stored, given = (Counter(tuple(row.values()) for row in side.to_pylist()) for side in sides)
    return {*(stored - given), *(given - stored)}
