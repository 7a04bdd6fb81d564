"""The registry: experiments and their variants, folded from every event file."""

from typing import Any

import dagster as dg

from mab_pipeline.assets.source_files import EVENT_FILES
from mab_pipeline.assets.table_asset import table_asset
from mab_pipeline.ingestion.loaders import load_experiments
from mab_pipeline.metadata import log_follow_up
from mab_pipeline.resources import Platform
from mab_store.plain_text import plain


@table_asset(group="registry", deps=[EVENT_FILES], sql=["assets/experiments"])
def experiments(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """Experiments and variants with the days on which each version of them is true."""
    registry, follow_up = load_experiments(platform)
    log_follow_up(context, follow_up)
    names = {row["experiment_name"] for row in registry.experiments}
    notices = [f"{source_file} {error}" for source_file, error in registry.errors.items()]
    notices += [
        f"{source_file} has another content than before" for source_file in registry.changed
    ]
    notices += [f"{source_file} was loaded before and is gone" for source_file in registry.vanished]
    for notice in notices:
        context.log.warning(plain(notice))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(registry.experiments),
            "experiments": len(names),
            "variant_rows": len(registry.variants),
            "quarantined_files": len(registry.errors),
            "changed_files": dict.fromkeys(registry.changed),
            "vanished_files": dict.fromkeys(registry.vanished),
            "days_made_again": [str(day) for day in follow_up.metric_days],
            "windows_made_again": [str(day) for day in follow_up.as_of_days],
        }
    )
