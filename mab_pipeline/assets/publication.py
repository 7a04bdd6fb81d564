"""The act of publishing, as an asset: it reports publications and holds to Dagster."""

from typing import Any

import dagster as dg

from mab_pipeline.allocation.publish import Order, publish
from mab_pipeline.allocation.variant_gaps import accepted_detail
from mab_pipeline.assets.table_asset import same_columns, table_asset
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform
from mab_store.plain_text import plain
from mab_store.warehouse.sql_loader import sql_fingerprint


class PublicationConfig(dg.Config):
    """The options of one run.

    Attributes:
        republish: Publish a day older than the newest published one again if its decision
            changed; `mab run --republish` sets it.
        accept_loss: Publish although readers lose experiments or days that they are served now;
            `mab run --accept-loss` sets it.
        accept_variant_gap: Publish experiments whose data lack a variant, or a share of their rows;
            `mab run --accept-variant-gap` sets it.
    """

    republish: bool = False
    accept_loss: bool = False
    accept_variant_gap: bool = False


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
    report = publish(platform, days_of(context), order)
    held = sorted({experiment_id for _, experiment_id in report.held_back})
    for row in report.held:
        context.log.warning(
            plain(
                f"{row['experiment_id']} keeps its last publication on {row['as_of_date']}: "
                f"{row['detail']}"
            )
        )
    for row in report.accepted:
        context.log.warning(
            plain(
                f"{row['experiment_id']} is published on {row['as_of_date']} with a variant gap, "
                f"which was accepted: {accepted_detail(str(row['detail']))}"
            )
        )
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(report.published),
            "live": sum(bool(row["was_live"]) for row in report.published),
            "unchanged": report.unchanged,
            "held_back": held,
            "held_back_now": report.held_now,
            "accepted_gaps": sorted({str(row["experiment_id"]) for row in report.accepted}),
        }
    )
