"""Jobs: selections of assets that run together.

Dagster concept: https://docs.dagster.io/guides/build/jobs/asset-jobs
"""

import dagster as dg

DAILY_ALLOCATION = "daily_allocation"
LOADED = ["experiments", "raw_metrics", "daily_metrics"]
REFRESHED = [*LOADED, "windowed_aggregates"]


daily_allocation = dg.define_asset_job(
    DAILY_ALLOCATION,
    selection=dg.AssetSelection.all(),
    description="One day, or a range of days as one run: from the inbox to the publication.",
)

refresh_day = dg.define_asset_job(
    "refresh_day",
    selection=LOADED,
    description="Load days again and recompute the windows that see them; no decision changes.",
)

refresh_windows = dg.define_asset_job(
    "refresh_windows",
    selection=REFRESHED,
    description="Load days and compute their windows; no decision changes.",
)
