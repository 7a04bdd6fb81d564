"""Jobs: selections of assets that are run together.

What belongs here: the selections. What does not: when they run (`schedules.py`, `sensors.py`).
"""

import dagster as dg

DAILY_ALLOCATION = "daily_allocation"
LOADED = ["experiments", "raw_metrics", "daily_metrics"]
REFRESHED = [*LOADED, "windowed_aggregates"]


daily_allocation = dg.define_asset_job(
    DAILY_ALLOCATION,
    selection=dg.AssetSelection.all(),
    description="One day, or a range of days as one run: from the inbox to what is served.",
)

refresh_day = dg.define_asset_job(
    "refresh_day",
    selection=LOADED,
    description="Load days again and make again the windows that see them; no decision changes.",
)

refresh_windows = dg.define_asset_job(
    "refresh_windows",
    selection=REFRESHED,
    description="Load days and make their windows, for shards to decide; no decision changes.",
)
