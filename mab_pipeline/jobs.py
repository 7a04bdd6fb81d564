"""Jobs: selections of assets that are run together.

What belongs here: the selections. What does not: when they run (`schedules.py`).
"""

import dagster as dg

DAILY_ALLOCATION = "daily_allocation"

daily_allocation = dg.define_asset_job(
    DAILY_ALLOCATION,
    selection=dg.AssetSelection.all(),
    description="One day, or a range of days as one run: from the inbox to what is served.",
)
