"""Publications: feeds are alive, variants complete, and the newest day is decided."""

from mab_pipeline.allocation.publish import DATA_GAP
from mab_pipeline.allocation.variant_gaps import VARIANT_GAP
from mab_pipeline.checks.asset_checks import AssetChecks, Check
from mab_pipeline.checks.finders import sql_check, undecided_due_day

CHECKS = AssetChecks(
    "publication",
    tables=("publications", "publication_holds"),
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
            "newest_day_is_decided",
            "The newest day that is due has been decided.",
            undecided_due_day,
            is_warning=True,
        ),
    ),
)
