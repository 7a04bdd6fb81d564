"""The inbox in the lineage: external assets, as other systems write the files.

They are assets without partitions although metrics lie in a folder per day: Dagster would show each
day as missing, since it does not see files arrive; the ledger knows which are there.
"""

import dagster as dg

from mab_pipeline.assets.table_asset import OWNERS

EVENT_FILES = dg.AssetKey(["inbox", "experiments"])
METRIC_FILES = dg.AssetKey(["inbox", "metrics"])


def inbox_sources() -> list[dg.AssetSpec]:
    """Return the external assets that the pipeline begins with."""
    return [
        dg.AssetSpec(
            EVENT_FILES,
            description=(
                "One file per event: an experiment was registered or changed. "
                "`inbox/experiments/<experiment_id>/<anything>.json`, from `POST /experiments`, "
                "`mab ingest` or a person; never changed once it is there."
            ),
            group_name="inbox",
            owners=list(OWNERS),
            kinds={"json"},
            metadata={
                "dagster/column_schema": _columns(
                    experiment_id="exp_ and twelve hexadecimal digits, made from the name.",
                    created_at="When the event happened (UTC); events are applied in this order.",
                    name="The experiment's name, in its first event.",
                    variants="Its variants, in its first event and in events that change them.",
                )
            },
        ),
        dg.AssetSpec(
            METRIC_FILES,
            description=(
                "Impressions and clicks per variant and day, as the daily export job hands them "
                "over. `inbox/metrics/<YYYY-MM-DD>/<anything>.{json,csv,parquet}`; the folder is "
                "the day; a correction is another file."
            ),
            group_name="inbox",
            owners=list(OWNERS),
            kinds={"json", "csv", "parquet"},
            metadata={
                "dagster/column_schema": _columns(
                    experiment="Id or name of the experiment.",
                    variant_name="Name of the variant.",
                    impressions="Sessions that saw it on that day.",
                    clicks="Those of them that clicked.",
                )
            },
        ),
    ]


def _columns(**meanings: str) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(name, "string", description=meaning)
            for name, meaning in meanings.items()
        ]
    )
