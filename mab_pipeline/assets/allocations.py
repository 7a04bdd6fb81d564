"""The decisions: each variant's share of tomorrow's traffic; only missing ones are computed."""

from datetime import date, timedelta
from typing import Any, NamedTuple

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mab_pipeline.allocation.code_version import code_version
from mab_pipeline.allocation.decide import Decisions, decide, identify
from mab_pipeline.allocation.gate import current_allocations, identified
from mab_pipeline.allocation.inputs import read_inputs
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.timestamps import next_stamp
from mab_pipeline.assets.table_asset import same_columns, table_asset
from mab_pipeline.metadata import add_days, first_shares, names_of, shares_plot, shares_table
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform
from mab_store.days import Days
from mab_store.plain_text import plain
from mab_store.warehouse.warehouse import Transaction

_FROM_POSTERIOR = ("alpha", "beta", "probability_best", "allocation_hundredths")


class Allocated(NamedTuple):
    """The result of deciding.

    Attributes:
        row_count: Rows of the decisions, new and old.
        added: Rows that were added now.
        by_day: Rows and experiments of each day.
    """

    row_count: int
    added: int
    by_day: dict[date, dict[str, int]]


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
    row_count, added = 0, 0
    by_day: dict[date, dict[str, int]] = {}
    for chunk in days.parts():
        done = allocate(platform, chunk, run_id=context.run.run_id)
        row_count, added = row_count + done.row_count, added + done.added
        by_day |= done.by_day
        last = chunk.end - timedelta(days=1)
        message = f"{chunk.start} to {last}: {done.row_count} shares, {done.added} new"
        context.log.info(plain(message))
    last_day = Days(days.end - timedelta(days=1), days.end)
    with platform.warehouse.transaction() as transaction:
        platform.journal.write_missing(transaction)
        current = current_allocations(transaction, last_day, platform)
        names = names_of(transaction)
    shown = first_shares(current)
    of_last_day = {
        "plot_of_the_day": shares_plot(shown, names),
        "shares_of_the_day": shares_table(shown, names),
        "served_now": dg.MetadataValue.asset(dg.AssetKey("publication")),
    }
    context.add_asset_metadata(of_last_day, partition_key=str(last_day.start))
    add_days(context, days, by_day)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": row_count,
            "rows_added": added,
            "experiments_of_the_last_day": len(current.decisions),
        }
    )


def allocate(platform: Platform, days: Days, *, run_id: str) -> Allocated:
    """Decide what these days lack.

    Only the loading holds the warehouse, so runs in other processes do not wait; decisions that
    one of them has added meanwhile are not added again.
    """
    rule = RuleSettings.of(platform.settings)
    version = code_version()
    with platform.warehouse.transaction() as transaction:
        inputs = read_inputs(transaction, days, rule)
        existing = transaction.fetch_arrow("assets/allocations_existing", days.parameters)
        now = next_stamp(platform, transaction)
    decisions = _undecided(platform, inputs, existing)
    if len(decisions) == 0:
        return Allocated(len(inputs), 0, _by_day(inputs))
    rows = decide(decisions, version=version, now=now, run_id=run_id)
    with platform.warehouse.transaction() as transaction:
        existing = transaction.fetch_arrow("assets/allocations_existing", days.parameters)
        new = rows.filter(pc.invert(pc.is_in(rows["allocation_id"], existing["allocation_id"])))
        transaction.load_arrow("allocations", _at_a_moment_of_its_own(new, transaction))
    return Allocated(len(inputs), len(new), _by_day(inputs))


def _by_day(inputs: pa.Table) -> dict[date, dict[str, int]]:
    """Count the rows and experiments of each day."""
    ids = ("experiment_id", "count"), ("experiment_id", "count_distinct")
    return {
        row["as_of_date"]: {
            "rows": row["experiment_id_count"],
            "experiments": row["experiment_id_count_distinct"],
        }
        for row in inputs.group_by("as_of_date").aggregate(list(ids)).to_pylist()
    }


def _undecided(platform: Platform, inputs: pa.Table, existing: pa.Table) -> Decisions:
    """Return the decisions that are not there yet; they cost much more than their names."""
    decisions = identified(inputs, platform)
    stored = set(existing["allocation_id"].to_pylist())
    is_new = np.array([name not in stored for name in decisions.allocation_ids], dtype=bool)
    if is_new.all():
        return decisions
    rows = pa.array(np.repeat(is_new, decisions.sizes))
    rule = RuleSettings.of(platform.settings)
    return identify(inputs.filter(rows), rule, version=code_version())


def _at_a_moment_of_its_own(rows: pa.Table, transaction: Transaction) -> pa.Table:
    """Return rows whose `computed_at` no other commit has: it names their entry in the journal.

    Runs that began at once can have read the same time.
    """
    if len(rows) == 0:
        return rows
    taken = set(transaction.fetch_arrow("journal/allocations_entries")["entry"].to_pylist())
    moment = rows["computed_at"][0].as_py()
    while moment in taken:
        moment += timedelta(microseconds=1)
    place = rows.schema.get_field_index("computed_at")
    field = rows.schema.field(place)
    return rows.set_column(place, field, pa.repeat(pa.scalar(moment, field.type), len(rows)))
