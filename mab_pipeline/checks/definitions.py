"""The checks as Dagster definitions: one evaluation per day, also if a run spans many.

A blocking check stops the assets downstream. A check that names experiments does not: publication
holds back those experiments alone (docs/adr/0006). A warning fails without stopping anything.
"""

import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import dagster as dg

from mab_pipeline import checks
from mab_pipeline.allocation.gate import Failure
from mab_pipeline.checks.asset_checks import COLUMNS, AssetChecks, Check
from mab_pipeline.checks.finders import Subject
from mab_pipeline.discovery import declared_in
from mab_pipeline.metadata import names_any, names_of, with_names
from mab_pipeline.partitions import days_of
from mab_pipeline.resources import Platform
from mab_pipeline.runs.failures import FENCES
from mab_store.plain_text import plain
from mab_store.warehouse.query_tag import query_tag
from mab_store.warehouse.table_schema import declared_tables

FAILURES_SHOWN = 20

# By asset, in the order of the pipeline, which is that of the tables in the schema.
CHECKS: dict[str, Sequence[Check]] = {
    declared.asset: declared.checks
    for declared in sorted(
        declared_in(checks, AssetChecks),
        key=lambda declared: list(declared_tables()).index(declared.tables[0]),
    )
}


def build_checks(partitions: dg.DailyPartitionsDefinition) -> list[dg.AssetChecksDefinition]:
    """Return one definition per asset that evaluates all its checks."""
    return [_checks_of(asset, own, partitions) for asset, own in CHECKS.items()]


def _checks_of(
    asset: str, own: Sequence[Check], partitions: dg.DailyPartitionsDefinition
) -> dg.AssetChecksDefinition:
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
            for check in own
        ]

    @dg.multi_asset_check(name=f"{asset}_checks", specs=specs)
    def evaluate(
        context: dg.AssetCheckExecutionContext, platform: dg.ResourceParam[Platform]
    ) -> Iterator[dg.AssetCheckResult]:
        platform.enter(context.run.run_id, context.log.warning)
        for check, failures in _evaluated(context, platform, asset, own):
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


def _evaluated(
    context: dg.AssetCheckExecutionContext, platform: Platform, asset: str, own: Sequence[Check]
) -> list[tuple[Check, list[Failure]]]:
    """Run the checks of an asset on one opening, which ends before any result is recorded."""
    evaluated = []
    opened = Subject.opened(
        platform, days_of(context), context.instance, asset, began=_began(context)
    )
    with query_tag(f"{asset}_checks", context.run.run_id), opened as subject:
        for check in own:
            with query_tag(f"{asset}.{check.name}", context.run.run_id):
                evaluated.append((check, check.find(subject)))
        return _with_names(evaluated, subject)


def _with_names(
    evaluated: list[tuple[Check, list[Failure]]], subject: Subject
) -> list[tuple[Check, list[Failure]]]:
    """Name experiments in the findings; the names are read only if a finding has an id.

    Not if a table has other columns than declared: it may be the one with the names.
    """
    found = [failure for _, failures in evaluated for failure in failures]
    is_broken = any(failures for check, failures in evaluated if check.name == COLUMNS)
    if is_broken or not any(names_any(f"{f.experiment_id} {f.detail}") for f in found):
        return evaluated
    names = names_of(subject.queries)
    return [
        (
            check,
            [
                Failure(
                    failure.day,
                    with_names(failure.detail, names),
                    names.get(failure.experiment_id or "", failure.experiment_id),
                )
                for failure in failures
            ],
        )
        for check, failures in evaluated
    ]


def _began(context: dg.AssetCheckExecutionContext) -> float:
    record = context.instance.get_run_record_by_id(context.run.run_id)
    return record.start_time if record and record.start_time else math.inf


def _log_each_day(
    context: dg.AssetCheckExecutionContext, asset: str, check: Check, failures: list[Failure]
) -> None:
    """Log an evaluation for each day of a range; Dagster's own has no partition.

    A finding about a day outside the range (a late day) shows on the nearest day of it.
    """
    days = days_of(context).listed
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
    """Return the findings in readable form: their number, their experiments, the newest of them."""
    evidence: dict[str, Any] = {"failures": len(failures)}
    experiments = sorted({failure.experiment_id for failure in failures if failure.experiment_id})
    if experiments:
        evidence["experiments"] = experiments
    if failures:
        newest = sorted(failures, key=lambda failure: failure.day, reverse=True)[:FAILURES_SHOWN]
        shown = [plain(f"{failure.day}: {failure.detail}") for failure in newest]
        evidence["found"] = dg.MetadataValue.md("\n".join([FENCES[0], *shown, FENCES[1]]))
    return evidence
