"""Checks: what must be true of each table, one evaluation per day also where a run spans many.

What belongs here: the list of checks and how a finding becomes Dagster's evaluation. What does
not: finding (`findings.py`; SQL in `sql/checks/`; `gate.py` where a finding names an experiment).

A blocking check stops the assets behind it. A check that names experiments does not: publication
holds back those experiments alone (docs/adr/0006). A warning fails without stopping anything.
"""

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import dagster as dg

from mab_pipeline.allocation.gate import Failure, missing_rows, unlikely_draws, wrong_totals
from mab_pipeline.allocation.publish import DATA_GAP
from mab_pipeline.allocation.variant_gaps import VARIANT_GAP
from mab_pipeline.checks.finders import (
    Find,
    Subject,
    each_day,
    gate_check,
    late_publication,
    noted_files,
    sql_check,
    stale_windows,
    unloaded_days,
    unreadable_files,
    waiting_files,
    wrong_columns,
)
from mab_pipeline.partitions import daily_partitions, days_of
from mab_pipeline.resources import Platform
from mab_pipeline.runs.failures import FENCES
from mab_store.plain_text import plain
from mab_store.settings import Settings
from mab_store.warehouse.query_tag import query_tag

FAILURES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Check:
    """A check of one asset.

    Attributes:
        name: Its name in the UI.
        description: What must be true.
        find: Returns what is not.
        blocking: Whether a failure stops the assets behind it.
        is_warning: Whether a failure is a warning.
    """

    name: str
    description: str
    find: Find
    blocking: bool = False
    is_warning: bool = False


def build_checks(settings: Settings) -> list[dg.AssetChecksDefinition]:
    """Return one definition per asset that evaluates all its checks."""
    return [_checks_of(asset, checks, settings) for asset, checks in CHECKS.items()]


def _structure(table: str) -> tuple[Check, Check]:
    """Return the two checks that every table has."""
    return (
        Check(
            "grain_is_unique",
            "No two rows share the declared grain.",
            sql_check(f"{table}_grain"),
            blocking=True,
        ),
        Check(
            "columns_as_declared",
            "Columns and types are those of sql/schema/02_create_tables.sql.",
            wrong_columns,
            blocking=True,
        ),
    )


CHECKS: dict[str, Sequence[Check]] = {
    "experiments": (
        *_structure("experiments"),
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
            "No event file vanished: an inbox that is not there must not empty what is served.",
            noted_files("vanished"),
            blocking=True,
        ),
    ),
    "raw_metrics": (
        *_structure("raw_metrics"),
        Check(
            "files_are_readable",
            "Every metrics file could be parsed.",
            unreadable_files("raw_metrics_files_readable"),
            is_warning=True,
        ),
        Check(
            "no_file_waits_for_others",
            "No file waits until the other files of its day, which are gone, are back.",
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
    "daily_metrics": (
        *_structure("daily_metrics"),
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
    "windowed_aggregates": (
        *_structure("windowed_aggregates"),
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
    "allocations": (
        *_structure("allocations"),
        Check(
            "windows_are_fresh",
            "The windows decided on are those that the loaded data give.",
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
            "No share is all but impossible under the exact probability (tail below 1e-9).",
            gate_check(unlikely_draws),
        ),
    ),
    "publication": (
        *_structure("publications"),
        Check(
            "feeds_are_alive",
            "No experiment keeps an old publication because its data stopped.",
            sql_check("publication_open_holds", reason=DATA_GAP),
        ),
        Check(
            "variants_are_complete",
            "No experiment keeps an old publication as some of its rows are rejected or missing.",
            sql_check("publication_open_holds", reason=VARIANT_GAP),
        ),
        Check(
            "newest_day_is_decided",
            "The newest day that is due has been decided.",
            late_publication,
            is_warning=True,
        ),
    ),
}


def _checks_of(asset: str, checks: Sequence[Check], settings: Settings) -> dg.AssetChecksDefinition:
    partitions = daily_partitions(settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # partitioned checks; pinned version
        specs = [
            dg.AssetCheckSpec(
                check.name,
                asset=asset,
                description=check.description,
                blocking=check.blocking,
                partitions_def=partitions,
            )
            for check in checks
        ]

    @dg.multi_asset_check(name=f"{asset}_checks", specs=specs)
    def evaluate(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        platform.enter(context.run.run_id, context.log.warning)
        subject = Subject(platform, days_of(context), context.instance, asset, _began(context))
        for check in checks:
            with query_tag(f"{asset}.{check.name}", context.run.run_id):
                failures = check.find(subject)
            if context.has_partition_key_range:
                _log_each_day(context, asset, check, failures)
            yield dg.AssetCheckResult(
                asset_key=asset,
                check_name=check.name,
                passed=not failures,
                severity=_severity(check),
                metadata=_evidence(failures),
            )

    return evaluate


def _began(context: dg.AssetCheckExecutionContext) -> float:
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return record.start_time if record and record.start_time else math.inf


def _log_each_day(
    context: dg.AssetCheckExecutionContext, asset: str, check: Check, failures: list[Failure]
) -> None:
    """Log an evaluation for each day of a range; Dagster's own has no partition.

    What concerns a day outside the range (a late one) shows on the nearest day of it.
    """
    days = list(each_day(days_of(context)))
    by_day: dict[date, list[Failure]] = defaultdict(list)
    for failure in failures:
        by_day[min(max(failure.day, days[0]), days[-1])].append(failure)
    for day in days:
        context.op_execution_context.log_event(
            dg.AssetCheckEvaluation(  # type: ignore[arg-type]  # it takes these too
                asset_key=dg.AssetKey(asset),
                check_name=check.name,
                partition=str(day),
                passed=not by_day[day],
                severity=_severity(check),
                blocking=check.blocking,
                metadata=_evidence(by_day[day]),
            )
        )


def _severity(check: Check) -> dg.AssetCheckSeverity:
    return dg.AssetCheckSeverity.WARN if check.is_warning else dg.AssetCheckSeverity.ERROR


def _evidence(failures: list[Failure]) -> dict[str, Any]:
    """Return what was found, readable: how much, whom it concerns, and the newest of it."""
    evidence: dict[str, Any] = {"failures": len(failures)}
    experiments = sorted({failure.experiment_id for failure in failures if failure.experiment_id})
    if experiments:
        evidence["experiments"] = experiments
    if failures:
        newest = sorted(failures, key=lambda failure: failure.day, reverse=True)[:FAILURES_SHOWN]
        shown = [plain(f"{failure.day}: {failure.detail}") for failure in newest]
        evidence["found"] = dg.MetadataValue.md("\n".join([FENCES[0], *shown, FENCES[1]]))
    return evidence
