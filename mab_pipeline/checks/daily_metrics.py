"""Accepted counts: every row is accounted for, and every count is possible."""

from mab_pipeline.checks.asset_checks import AssetChecks, Check
from mab_pipeline.checks.finders import sql_check

CHECKS = AssetChecks(
    "daily_metrics",
    tables=("daily_metrics",),
    own=(
        Check(
            "every_row_is_accounted_for",
            "Rows received = accepted + superseded + rejected.",
            sql_check("daily_metrics_accounting"),
            blocking=True,
        ),
        Check(
            "counts_are_possible",
            "0 <= clicks <= impressions < 2^53.",
            sql_check("daily_metrics_counts"),
            blocking=True,
        ),
        Check(
            "few_rows_are_rejected",
            "At most MAX_REJECTED_SHARE of the rows of a day was rejected.",
            sql_check("daily_metrics_rejected_share", "max_rejected_share"),
            is_warning=True,
        ),
    ),
)
