"""Windows: their days are loaded, and their variants can be compared."""

from mab_pipeline.checks.asset_checks import AssetChecks, Check
from mab_pipeline.checks.finders import sql_check, unloaded_days

CHECKS = AssetChecks(
    "windowed_aggregates",
    tables=("windowed_aggregates",),
    own=(
        Check(
            "window_days_are_loaded",
            "Every file of the days that a window sees is loaded, as it is in the inbox.",
            unloaded_days,
            blocking=True,
        ),
        Check(
            "variants_have_traffic",
            "No variant that had traffic has been without for 3 days.",
            sql_check("windowed_aggregates_idle_variants"),
            is_warning=True,
        ),
        Check(
            "variants_share_a_window",
            "All variants of an experiment are judged on the same window.",
            sql_check("windowed_aggregates_mixed_windows"),
            is_warning=True,
        ),
    ),
)
