"""The registry of experiments: event files can be read, stay the same and stay there."""

from mab_pipeline.checks.asset_checks import AssetChecks, Check
from mab_pipeline.checks.finders import noted_files, unreadable_files

CHECKS = AssetChecks(
    "experiments",
    tables=("experiments", "variants", "inbox_files"),
    own=(
        Check(
            "event_files_are_readable",
            "Every event file could be used.",
            unreadable_files("experiments_files_readable"),
            is_warning=True,
        ),
        Check(
            "files_never_change",
            "No event file changed after it was loaded.",
            noted_files("changed"),
            is_warning=True,
        ),
        Check(
            "registrations_are_kept",
            "No event file vanished: a missing inbox must not empty the published allocations.",
            noted_files("vanished"),
            blocking=True,
        ),
    ),
)
