"""The registry: experiments and their variants, folded from every event file."""

from typing import Any

import dagster as dg
import pyarrow as pa

from mab_pipeline.allocation.timestamps import next_stamp
from mab_pipeline.assets.source_files import EVENT_FILES
from mab_pipeline.assets.table_asset import table_asset
from mab_pipeline.ingestion.file_ledger import LedgerRow, ledger_row, ledger_rows
from mab_pipeline.ingestion.follow_up import FollowUp, follow_registry, log_follow_up
from mab_pipeline.ingestion.registry_changes import registry_change
from mab_pipeline.resources import Platform
from mab_store.experiments.events import Registry, fold_events
from mab_store.plain_text import plain
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Transaction

PREFIX = {"prefix": "experiments/%"}


@table_asset(group="registry", deps=[EVENT_FILES], sql=["assets/experiments"])
def experiments(
    context: dg.AssetExecutionContext, platform: dg.ResourceParam[Platform]
) -> dg.MaterializeResult[Any]:
    """Experiments and variants with the days on which each version of them is true."""
    registry, follow_up = load_experiments(platform)
    log_follow_up(context, follow_up)
    names = {row["experiment_name"] for row in registry.experiments}
    notices = [f"{source_file} {error}" for source_file, error in registry.errors.items()]
    notices += [
        f"{source_file} has another content than before" for source_file in registry.changed
    ]
    notices += [f"{source_file} was loaded before and is gone" for source_file in registry.vanished]
    for notice in notices:
        context.log.warning(plain(notice))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(registry.experiments),
            "experiments": len(names),
            "variant_rows": len(registry.variants),
            "quarantined_files": len(registry.errors),
            "changed_files": dict.fromkeys(registry.changed),
            "vanished_files": dict.fromkeys(registry.vanished),
            "days_made_again": [str(day) for day in follow_up.metric_days],
            "windows_made_again": [str(day) for day in follow_up.as_of_days],
        }
    )


def load_experiments(platform: Platform) -> tuple[Registry, FollowUp]:
    """Replace the registry by the events of the files, and enter the files in the ledger.

    Returns:
        The registry, and the days that were recomputed since it changed. While a file is gone the
        tables keep their rows: a check stops the run until the file is back.
    """
    files = platform.inbox.experiment_files()
    contents = {file.source_file: platform.inbox.read(file) for file in files}
    registry = fold_events(contents)
    with platform.warehouse.transaction() as transaction:
        now = next_stamp(platform, transaction)
        known = {
            row["source_file"]: LedgerRow(**row)
            for row in transaction.fetch_arrow("ledger/undated_files", PREFIX).to_pylist()
        }
        seen = dict(known)
        used = [name for name, row in known.items() if row.error is None]
        registry.vanished += [name for name in used if name not in contents]
        registry.changed += [
            name
            for name, row in known.items()
            if name in contents and contents[name].sha256 != row.sha256
        ]
        for file in files:
            error = registry.errors.get(file.source_file)
            seen[file.source_file] = ledger_row(
                file,
                contents[file.source_file],
                known.get(file.source_file),
                now=now,
                row_count=0 if error else 1,
                error=error,
            )
        transaction.execute("ledger/delete_undated_files", PREFIX)
        transaction.load_arrow("inbox_files", ledger_rows(seen.values()))
        change = registry_change(transaction, registry)
        if registry.vanished and change.has_old:
            return registry, FollowUp()
        _replace(transaction, registry)
        return registry, follow_registry(transaction, platform.settings, change)


def _replace(transaction: Transaction, registry: Registry) -> None:
    transaction.execute("assets/experiments")
    for table, rows in (
        ("experiments", registry.experiments),
        ("variants", registry.variants),
    ):
        schema = declared_tables()[table].arrow_schema
        transaction.load_arrow(table, pa.Table.from_pylist(rows, schema=schema))
