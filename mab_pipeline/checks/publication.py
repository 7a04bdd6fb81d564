"""Publications: feeds are alive, variants complete, and the newest day is decided."""

from mab_pipeline.allocation.publish import DATA_GAP
from mab_pipeline.allocation.variant_gaps import VARIANT_GAP
from mab_pipeline.checks.asset_checks import AssetChecks, Check
from mab_pipeline.checks.finders import sql_check, undecided_due_day
from mab_pipeline.checks.sample_ratio import sample_ratio_mismatches

CHECKS = AssetChecks(
    "publication",
    tables=("publications", "publication_holds", "analysis"),
    own=(
        Check(
            "feeds_are_alive",
            "No experiment keeps an old publication because its data stopped.",
            sql_check("publication_open_holds", reason=DATA_GAP),
        ),
        Check(
            "variants_are_complete",
            "No experiment keeps an old publication because rows are rejected or missing.",
            sql_check("publication_open_holds", reason=VARIANT_GAP),
        ),
        Check(
            "traffic_follows_shares",
            "The impressions fit the published shares (p at least 0.001).",
            sample_ratio_mismatches,
            is_warning=True,
        ),
        Check(
            "current_rows_are_the_newest",
            "Readers get the newest publication, hold and analysis of each experiment.",
            sql_check("publication_current"),
        ),
        Check(
            "newest_day_is_decided",
            "The newest day that is due has been decided.",
            undecided_due_day,
            is_warning=True,
        ),
    ),
)
