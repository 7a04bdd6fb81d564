"""The decisions: each variant's share of tomorrow's traffic.

What belongs here: reading what the windows hold, and adding decisions that are not there yet.
What does not: the rule (`mab_pipeline.rule`, `mab_pipeline.bandit`).
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from mab_pipeline.assets.declare import Days, days_of, same_columns, table_asset
from mab_pipeline.platform import Platform
from mab_pipeline.report import shares_plot, shares_table
from mab_pipeline.rule import RuleSettings, code_version, decide, identify

DAYS_AT_ONCE = 31

_FROM_POSTERIOR = ("alpha", "beta", "probability_best", "allocation_hundredths")


@table_asset(
    group="allocation",
    deps=["experiments", "windowed_aggregates"],
    version=code_version,
    lineage={
        **same_columns(
            "windowed_aggregates",
            "as_of_date", "experiment_id", "variant_name", "window_days", "data_source",
            "impressions", "clicks",
        ),
        **{
            column: [("windowed_aggregates", "impressions"), ("windowed_aggregates", "clicks")]
            for column in _FROM_POSTERIOR
        },
        "effective_date": [("windowed_aggregates", "as_of_date")],
    },
)  # fmt: skip
def allocations(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """Thompson sampling: the share of draws in which a variant has the highest click rate."""
    days = days_of(context)
    computed, added = 0, 0
    newest = None
    for chunk in _chunks(days):
        rows, new_rows = allocate(platform, chunk, run_id=context.run.run_id)
        computed += len(rows)
        added += new_rows
        newest = rows
        context.log.info(f"{chunk.start} to {chunk.end - timedelta(days=1)}: {len(rows)} shares")
    with platform.warehouse.transaction() as transaction:
        platform.journal.write_missing(transaction)
    assert newest is not None
    last_day = newest.filter(
        pc.equal(newest["as_of_date"], pa.scalar(days.end - timedelta(days=1)))
    )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": computed,
            "rows_added": added,
            "experiments_of_the_last_day": len(set(last_day["experiment_id"].to_pylist())),
            "shares_of_the_last_day": shares_table(last_day),
            "plot_of_the_last_day": shares_plot(last_day),
        }
    )


def allocate(platform: Platform, days: Days, *, run_id: str) -> tuple[pa.Table, int]:
    """Decide these days; add the decisions that are not there yet.

    Returns:
        The rows of these days' decisions, and how many of them were added.
    """
    rule = RuleSettings.of(platform.settings)
    version = code_version()
    with platform.warehouse.transaction() as transaction:
        inputs = transaction.fetch_arrow("assets/allocations_inputs", days.parameters)
    decisions = identify(inputs, rule, version=version)
    rows = decide(decisions, rule, version=version, now=platform.clock(), run_id=run_id)
    with platform.warehouse.transaction() as transaction:
        existing = transaction.fetch_arrow("assets/allocations_existing", days.parameters)
        new = rows.filter(pc.invert(pc.is_in(rows["allocation_id"], existing["allocation_id"])))
        transaction.load_arrow("allocations", new)
    return rows, len(new)


def _chunks(days: Days) -> Iterator[Days]:
    """Cut a long range so that memory depends on its days no more than on a month's."""
    start = days.start
    while start < days.end:
        end = min(days.end, start + timedelta(days=DAYS_AT_ONCE))
        yield Days(start, end)
        start = end
