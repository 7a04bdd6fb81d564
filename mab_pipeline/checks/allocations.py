"""Decisions: computed from fresh windows, complete, and in agreement with the exact method."""

from mab_pipeline.allocation.cross_check import disagreements
from mab_pipeline.allocation.gate import missing_rows, wrong_totals
from mab_pipeline.checks.asset_checks import AssetChecks, Check
from mab_pipeline.checks.finders import gate_check, stale_windows

CHECKS = AssetChecks(
    "allocations",
    tables=("allocations",),
    own=(
        Check(
            "windows_are_fresh",
            "The decisions rest on windows that match the loaded data.",
            stale_windows,
            blocking=True,
        ),
        Check(
            "every_running_variant_has_a_row",
            "Every variant that runs tomorrow has a share.",
            gate_check(missing_rows),
        ),
        Check(
            "shares_sum_to_100",
            "The shares of an experiment sum to exactly 100.00 %.",
            gate_check(wrong_totals),
        ),
        Check(
            "monte_carlo_agrees_with_exact",
            "No share is all but impossible under the exact probability (tail below 1e-9), nor "
            "that probability under literal draws.",
            gate_check(disagreements),
        ),
    ),
)
