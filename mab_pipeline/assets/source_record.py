"""The record of a pull in Dagster: metadata, the check, and the days that are still missing.

A source that fails is materialised all the same and its check fails: an asset that failed would
stop raw_metrics, and with it the day of every other source.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg

from mab_pipeline.runs.failures import FENCES
from mab_pipeline.sources.config import Source
from mab_pipeline.sources.pull import Pulled
from mab_store.plain_text import plain

CHECK = "is_pulled"
PREFIX = "source_"
RECORDS_LOOKED_AT = 200
_SHOWN = 20
_PULLED, _MISSING = "pulled_days", "missing_days"


def source_key(name: str) -> dg.AssetKey:
    """Return the key of a source's asset."""
    return dg.AssetKey(f"{PREFIX}{name}")


def is_source_check(name: str) -> bool:
    """Return whether a check, as `asset.check`, is that of a source."""
    return name.startswith(PREFIX) and name.endswith(f".{CHECK}")


def metadata_of(pulled: Pulled) -> dict[str, Any]:
    """Return the metadata of a pull for the asset's page."""
    return {
        "dagster/row_count": pulled.rows,
        "files_added": pulled.added,
        "files_unchanged": len(pulled.unchanged),
        "rows_of_other_days": pulled.other_days,
        "notes": [plain(note) for note in pulled.notes[:_SHOWN]],
        _PULLED: [str(day) for day in pulled.days],
        _MISSING: {str(day): plain(reason) for day, reason in pulled.failed.items()},
    }


def check_of(source: Source, pulled: Pulled) -> dict[str, Any]:
    """Return the check of a pull, as arguments of a result or an evaluation."""
    evidence: dict[str, Any] = {"failures": len(pulled.failed)}
    if pulled.failed:
        newest = sorted(pulled.failed.items(), reverse=True)[:_SHOWN]
        shown = [plain(f"{day}: {reason}") for day, reason in newest]
        evidence["found"] = dg.MetadataValue.md("\n".join([FENCES[0], *shown, FENCES[1]]))
    return {
        "asset_key": source_key(source.name),
        "check_name": CHECK,
        "passed": not pulled.failed,
        "severity": dg.AssetCheckSeverity.WARN,
        "metadata": evidence,
    }


def record_pull(instance: dg.DagsterInstance, source: Source, pulled: Pulled, day: date) -> None:
    """Record a pull of one day that no run made."""
    key = source_key(source.name)
    event = dg.AssetMaterialization(key, partition=str(day), metadata=metadata_of(pulled))
    instance.report_runless_asset_event(event)
    instance.report_runless_asset_event(dg.AssetCheckEvaluation(**check_of(source, pulled)))


def missing_days(instance: dg.DagsterInstance, source: Source) -> dict[str, str]:
    """Return the days that no pull brought, and why the newest pull of each did not."""
    asked = dg.AssetRecordsFilter(source_key(source.name))
    brought: set[str] = set()
    failed: dict[str, str] = {}
    for record in instance.fetch_materializations(asked, limit=RECORDS_LOOKED_AT).records:
        event = record.asset_materialization
        metadata = event.metadata if event else {}
        brought |= set(map(str, _value(metadata, _PULLED)))
        failed = dict(_value(metadata, _MISSING)) | failed  # the newest record comes first
    return {day: str(reason) for day, reason in failed.items() if day not in brought}


def _value(metadata: Mapping[str, Any], name: str) -> Any:
    return metadata[name].value if name in metadata else {}
