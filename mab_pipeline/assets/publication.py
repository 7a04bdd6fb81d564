"""The act of publishing, as an asset: it reports publications and holds to Dagster."""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from mab_pipeline.allocation.publish import Order, PublicationReport, publish
from mab_pipeline.allocation.variant_gaps import accepted_detail
from mab_pipeline.assets.table_asset import same_columns, table_asset
from mab_pipeline.ingestion.folded_events import fold_old_events
from mab_pipeline.metadata import add_days, names_of, served_table
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform
from mab_store.days import Days
from mab_store.errors import MabError
from mab_store.how_many import how_many
from mab_store.plain_text import plain
from mab_store.warehouse.sql_loader import sql_fingerprint


class PublicationConfig(dg.Config):
    """The options of one run, as its launchpad shows them."""

    republish: bool = Field(
        default=False,
        description="Publish a day older than the newest published one again if its decision "
        "changed, and decisions of experiments that are paused or finished by now. The same as "
        "`mab run --republish`.",
    )
    accept_loss: bool = Field(
        default=False,
        description="Publish although readers lose experiments or days that they are served now; "
        "otherwise such a run fails. The same as `mab run --accept-loss`.",
    )
    accept_variant_gap: bool = Field(
        default=False,
        description="Publish experiments whose data lack a variant, or a share of their rows; "
        "otherwise they keep their last publication. The same as `mab run --accept-variant-gap`.",
    )


@table_asset(
    group="serving",
    deps=["allocations"],
    lookback=["daily_metrics"],
    version=lambda: sql_fingerprint(
        "assets/publication_state",
        "assets/publication_data_through",
        "assets/publication_rejected_impressions",
        "assets/publication_silent_variants",
    ),
    lineage={
        **same_columns("allocations", "as_of_date", "experiment_id", "allocation_id"),
        "buckets": [("allocations", "allocation_hundredths")],
        "data_through": [("daily_metrics", "metric_date")],
    },
)
def publication(
    context: dg.AssetExecutionContext,
    config: PublicationConfig,
    platform: dg.ResourceParam[Platform],
) -> dg.MaterializeResult[Any]:
    """What readers are served: decisions that passed the gate, with their buckets."""
    order = Order(
        context.run.run_id,
        republish=config.republish,
        accept_loss=config.accept_loss,
        accept_variant_gap=config.accept_variant_gap,
    )
    days = days_of(context)
    report = publish(platform, days, order)
    name_of = _names(platform, report)
    for row in report.held:
        name, day = name_of(str(row["experiment_id"])), row["as_of_date"]
        context.log.warning(plain(f"{name} keeps its last publication on {day}: {row['detail']}"))
    for row in report.accepted:
        name, day = name_of(str(row["experiment_id"])), row["as_of_date"]
        detail = accepted_detail(str(row["detail"]))
        context.log.warning(
            plain(f"{name} is published on {day} with a variant gap, which was accepted: {detail}")
        )
    add_days(context, days, _by_day(report, days))
    served = {"served_now": served_table(report.served)}
    last = str(days.end - timedelta(days=1))
    context.add_asset_metadata(served, partition_key=last)
    # The decisions' page shows it too: whether a decision is served is known only here.
    context.log_event(dg.AssetObservation("allocations", partition=last, metadata=served))
    try:
        if folded := fold_old_events(platform):
            context.log.info(plain(f"Folded {how_many(folded, 'event file')}."))
    except (MabError, OSError) as error:  # the day is published, and nothing is lost
        context.log.warning(plain(f"Event files stay loose: {error}"))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(report.published),
            "live": sum(bool(row["was_live"]) for row in report.published),
            "unchanged": report.unchanged,
            "held_back": sorted({name_of(experiment_id) for _, experiment_id in report.held_back}),
            "held_back_now": sorted(map(name_of, report.held_now)),
            "accepted_gaps": sorted({name_of(str(r["experiment_id"])) for r in report.accepted}),
        }
    )


def _names(platform: Platform, report: PublicationReport) -> Callable[[str], str]:
    """Return the function from ids to names; the served rows have them, the held back first."""
    names = {str(row["experiment_id"]): str(row["experiment_name"]) for row in report.served}
    named = {experiment_id for _, experiment_id in report.held_back}
    named |= {str(row["experiment_id"]) for row in report.accepted}
    if not named <= names.keys():
        with platform.warehouse.reading() as queries:
            names = names_of(queries)
    return lambda experiment_id: names.get(experiment_id, experiment_id)


def _by_day(report: PublicationReport, days: Days) -> dict[date, dict[str, object]]:
    """Count what was published and held back on each day."""
    published = Counter(row["as_of_date"] for row in report.published)
    held = Counter(day for day, _ in report.held_back)
    return {day: {"published": published[day], "held_back": held[day]} for day in days.listed}
