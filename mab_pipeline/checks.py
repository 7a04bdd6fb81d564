"""Checks: what must be true of each table, one evaluation per day also where a run spans many.

What belongs here: the list of checks and how a finding becomes Dagster's evaluation. What does
not: conditions (SQL in `sql/checks/`, or `gate.py` where a finding names an experiment).

A blocking check stops the assets behind it. A check that names experiments does not: publication
holds back those experiments alone (docs/adr/0006). A warning fails without stopping anything.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import dagster as dg

from mab_pipeline.assets.declare import Days, days_of
from mab_pipeline.gate import (
    CurrentAllocations,
    Failure,
    current_allocations,
    missing_rows,
    unlikely_draws,
    wrong_totals,
)
from mab_pipeline.ledger import known_files, unloaded_files
from mab_pipeline.partitions import daily_partitions
from mab_pipeline.platform import Platform
from mab_store.schema import declared_tables
from mab_store.settings import Settings

FAILURES_SHOWN = 20
ASSET_TABLES = {
    "experiments": ("experiments", "variants", "inbox_files"),
    "raw_metrics": ("raw_metrics",),
    "daily_metrics": ("daily_metrics",),
    "windowed_aggregates": ("windowed_aggregates",),
    "allocations": ("allocations",),
    "publication": ("publications", "publication_holds"),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What a check looks at."""

    platform: Platform
    days: Days
    instance: dg.DagsterInstance
    asset: str


Find = Callable[[Subject], list[Failure]]


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


def sql_check(name: str) -> Find:
    """Return a finder that runs `sql/checks/<name>.sql`; each row (day, detail) is a failure."""

    def find(subject: Subject) -> list[Failure]:
        with subject.platform.warehouse.transaction() as transaction:
            rows = transaction.fetch_arrow(f"checks/{name}", subject.days.parameters).to_pylist()
        last_day = subject.days.end - timedelta(days=1)
        return [Failure(row["day"] or last_day, row["detail"]) for row in rows]

    return find


def wrong_columns(subject: Subject) -> list[Failure]:
    """Find tables of the asset whose columns are not those of `02_create_tables.sql`."""
    failures = []
    for table in ASSET_TABLES[subject.asset]:
        with subject.platform.warehouse.transaction() as transaction:
            found = transaction.fetch_arrow("checks/table_columns", {"table_name": table})
        present = [(row["column_name"], row["data_type"]) for row in found.to_pylist()]
        declared = [(column.name, column.type) for column in declared_tables()[table].columns]
        if present != declared:
            odd = sorted({" ".join(pair) for pair in set(present) ^ set(declared)}) or ["order"]
            detail = f"{table} differs from its declaration in: {', '.join(odd)}"
            failures.append(Failure(subject.days.end - timedelta(days=1), detail))
    return failures


def unloaded_days(subject: Subject) -> list[Failure]:
    """Find as-of days whose windows contain a day that is not loaded as the inbox holds it."""
    platform, days = subject.platform, subject.days
    lookback = Days(platform.lookback_start(days.start), days.end)
    with platform.warehouse.transaction() as transaction:
        known = known_files(transaction, lookback.start, lookback.end)
        stale = transaction.fetch_arrow("assets/daily_metrics_stale_days", lookback.parameters)
    files = unloaded_files(platform.inbox, known, lookback.start, lookback.end)
    faults = {day: f"{name} is not loaded" for name, day in files.items()}
    faults |= {
        day: f"daily_metrics of {day} is older than raw_metrics"
        for day in stale["metric_date"].to_pylist()
    }
    window = timedelta(days=platform.settings.max_window_days - 1)
    return [
        Failure(as_of, f"{fault}; materialise raw_metrics and daily_metrics of {day}")
        for as_of in _each(days)
        for day, fault in sorted(faults.items())
        if as_of - window <= day <= as_of
    ]


def changed_files(subject: Subject) -> list[Failure]:
    """Find files that the last load found changed or gone; a file in the inbox never changes."""
    event = subject.instance.get_latest_materialization_event(dg.AssetKey("raw_metrics"))
    materialization = event.asset_materialization if event else None
    if materialization is None:
        return []
    failures = []
    for kind in ("changed", "vanished"):
        entry = materialization.metadata.get(f"{kind}_files")  # a person's own report has none
        value = entry.value if entry else {}
        assert isinstance(value, dict)
        failures += [
            Failure(date.fromisoformat(day), f"{name} has {kind} since it was loaded")
            for name, day in value.items()
        ]
    return failures


def late_publication(subject: Subject) -> list[Failure]:
    """Find that the newest day that should be decided by now is not."""
    platform = subject.platform
    due = platform.clock() - timedelta(days=1, hours=platform.settings.mab_schedule_hour + 1)
    with platform.warehouse.transaction() as transaction:
        (row,) = transaction.fetch_arrow("checks/publication_newest_day").to_pylist()
    newest = row["newest_day"]
    if newest is not None and newest >= due.date():
        return []
    detail = f"the newest decided day is {newest}, {due.date()} is due; run it"
    return [Failure(subject.days.end - timedelta(days=1), detail)]


def gate_check(find: Callable[[CurrentAllocations], list[Failure]]) -> Find:
    """Return a finder for a condition that publication obeys too."""

    def run(subject: Subject) -> list[Failure]:
        with subject.platform.warehouse.transaction() as transaction:
            current = current_allocations(transaction, subject.days, subject.platform.settings)
        return find(current)

    return run


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
            sql_check("experiments_files_readable"),
            is_warning=True,
        ),
    ),
    "raw_metrics": (
        *_structure("raw_metrics"),
        Check(
            "files_are_readable",
            "Every metrics file could be parsed.",
            sql_check("raw_metrics_files_readable"),
            is_warning=True,
        ),
        Check(
            "files_never_change",
            "No file changed or vanished after it was loaded.",
            changed_files,
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
            "At most one row in a hundred was rejected.",
            sql_check("daily_metrics_rejected_share"),
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
            sql_check("publication_dead_feeds"),
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
        subject = Subject(platform, days_of(context), context.instance, asset)
        for check in checks:
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


def _log_each_day(
    context: dg.AssetCheckExecutionContext, asset: str, check: Check, failures: list[Failure]
) -> None:
    """Log an evaluation for each day of a range; Dagster's own has no partition.

    What concerns a day outside the range (a late one) shows on the nearest day of it.
    """
    days = list(_each(days_of(context)))
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
        shown = [f"{failure.day}: {failure.detail}" for failure in newest]
        evidence["found"] = dg.MetadataValue.md("\n".join(f"* {line}" for line in shown))
    return evidence


def _each(days: Days) -> Iterator[date]:
    return (days.start + timedelta(days=offset) for offset in range(len(days)))
