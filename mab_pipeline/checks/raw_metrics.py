"""Received rows: every file can be read, stays the same and counts."""

from mab_pipeline.checks.asset_checks import AssetChecks, Check
from mab_pipeline.checks.finders import noted_files, unreadable_files, waiting_files

CHECKS = AssetChecks(
    "raw_metrics",
    tables=("raw_metrics",),
    own=(
        Check(
            "files_are_readable",
            "Every metrics file could be parsed.",
            unreadable_files("raw_metrics_files_readable"),
            is_warning=True,
        ),
        Check(
            "no_file_waits_for_others",
            "No file waits for missing files of its day.",
            waiting_files,
            is_warning=True,
        ),
        Check(
            "files_never_change",
            "No file changed or vanished after it was loaded.",
            noted_files("changed", "vanished"),
            is_warning=True,
        ),
    ),
)
