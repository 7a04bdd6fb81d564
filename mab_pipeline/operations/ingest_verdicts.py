"""The rows of a file that the run would reject, found before the file is stored.

The run's own SQL judges them, in a database in memory. A row that will be rejected still goes into
the inbox: the audit keeps every received row, and a row of an unknown experiment counts once that
experiment is registered.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from mab_store.days import Days
from mab_store.experiments.events import fold_events
from mab_store.experiments.schemas import experiment_id_of
from mab_store.files.inbox import Inbox
from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Transaction

MOST_SHOWN = 3
MOST_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Rejections:
    """Rows that the run will reject for one reason.

    Attributes:
        reason: The reason.
        row_count: Number of rows.
        examples: The first few, in words.
    """

    reason: str
    row_count: int
    examples: list[str]


def rejections(
    inbox: Inbox, parts: Mapping[str, tuple[date, pa.Table]], *, now: datetime
) -> list[Rejections]:
    """Return the rows that the run would reject, by reason.

    Args:
        inbox: The inbox with the registered experiments.
        parts: Day and rows (of `read_metrics`) of each file, by its name below the inbox. A
            column `row_number` gives each row's place; without it rows are counted from 1.
        now: The time, as naive UTC.
    """
    named: set[str] = set()
    for _, rows in parts.values():
        named.update(text for text in pc.unique(rows["experiment"]).to_pylist() if text)
    with duckdb.connect(":memory:") as connection:
        transaction = DuckDBTransaction(connection)
        for file in SCHEMA_FILES:
            transaction.execute(file)
        _load_registry(transaction, inbox, named)
        for name, (day, rows) in parts.items():
            transaction.load_arrow("raw_metrics", _raw_rows(name, day, rows, now))
        return rejections_of(transaction, Days(date.min, date.max), most=MOST_SHOWN)


def rejections_of(transaction: Transaction, days: Days, *, most: int) -> list[Rejections]:
    """Return the loaded rows of some days that are rejected, by reason.

    Args:
        transaction: Holds `validated_metrics`.
        days: Their days.
        most: How many examples each reason has.
    """
    parameters = {**days.parameters, "most": most}
    by_reason: dict[str, Rejections] = {}
    for row in transaction.fetch_arrow("ingest/rejected_rows", parameters).to_pylist():
        reason = row["rejection_reason"]
        entry = by_reason.setdefault(reason, Rejections(reason, row["row_count"], []))
        entry.examples.append(_example(row))
    return list(by_reason.values())


def _example(row: Mapping[str, Any]) -> str:
    if row["error"]:
        return f"{row['source_file']} {row['error']}"
    named = ("experiment", "variant_name", "impressions", "clicks")
    values = ", ".join(_short(row[name]) for name in named)
    return f"row {row['row_number']} of {row['source_file']}: {values}"


def _load_registry(transaction: DuckDBTransaction, inbox: Inbox, named: Iterable[str]) -> None:
    """Load the experiments that rows name, by id or by name."""
    wanted = {text for name in named for text in (name, experiment_id_of(name))}
    files = [
        file
        for experiment_id in wanted.intersection(inbox.experiment_ids())
        for file in inbox.event_files(experiment_id)
    ]
    registry = fold_events({file.source_file: inbox.read(file) for file in files})
    for table, rows in (("experiments", registry.experiments), ("variants", registry.variants)):
        schema = declared_tables()[table].arrow_schema
        transaction.load_arrow(table, pa.Table.from_pylist(rows, schema=schema))


def _raw_rows(source_file: str, day: date, rows: pa.Table, now: datetime) -> pa.Table:
    schema = declared_tables()["raw_metrics"].arrow_schema
    constants = {"metric_date": day, "source_file": source_file, "received_at": now, "error": None}
    columns = {name: rows[name] for name in rows.column_names}
    columns.setdefault("row_number", pa.array(range(1, len(rows) + 1), pa.int64()))
    for name, value in constants.items():
        columns[name] = pa.repeat(pa.scalar(value, schema.field(name).type), len(rows))
    return pa.table([columns[name] for name in schema.names], schema=schema)


def _short(value: str | None) -> str:
    text = repr(value) if value is not None else "nothing"
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"
