"""History files: the older days of the published copies, in Parquet files that never change.

A copy itself holds the registry, the ledger and the newest days. The days before are in a file for
each table and period, which all copies with these rows share: five days of the month of the newest
publication, or a whole month before it. The name of a file has the fingerprint of its rows, so a
period that did not change has its file already, and one that did gets another (docs/adr/0034).
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from datetime import date, timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from mab_store.atomic_files import sync_folder
from mab_store.warehouse.sql_loader import load_sql, sql_fingerprint
from mab_store.warehouse.table_schema import Table, declared_tables

FOLDER = "history"
BLOCK_DAYS = 5
COPY = "serving_copy"
"""The name under which a connection of the warehouse knows the copy that it writes."""
VIEWS = ("schema/02_create_views", "schema/02_create_served_views")
MONTHLY_VIEWS = "schema/02_create_monthly_views"
# Its views have a row per month and are stored like tables: the table that each of them counts.
COUNTED = {"served_published_months": "publications", "served_observed_months": "daily_metrics"}
UNREAD = frozenset({"judged_days"})
"""Tables that only the pipeline reads."""
ROWS_OF_A_GROUP = 8192
"""Rows that are read at a time: of few days, and of few experiments if there are many."""
_LIST_SEPARATOR = ","  # of the folders in DuckDB's `file_search_path`


class Period(NamedTuple):
    """Some days.

    Attributes:
        first: The first day.
        end: The day after the last.
    """

    first: date
    end: date


class Stored(NamedTuple):
    """The rows of a table in a period.

    Attributes:
        period: The days.
        row_count: Number of rows; None if it is not known before they are written.
        fingerprint: Changes when a row does.
    """

    period: Period
    row_count: int | None
    fingerprint: str


class Part(NamedTuple):
    """A table, or a view that is stored like one.

    Attributes:
        name: Its name.
        day_column: The column that tells the period.
        recent: First day of the rows that the copy itself holds.
        older: The rows before, oldest first.
    """

    name: str
    day_column: str
    recent: date
    older: tuple[Stored, ...]

    def file_name(self, stored: Stored) -> str:
        """Return the name of a file, below the folder of the copies."""
        first, last = stored.period.first, stored.period.end - timedelta(days=1)
        return f"{FOLDER}/{self.name}-{first:%Y%m%d}-{last:%Y%m%d}-{stored.fingerprint}.parquet"


def period_of(day: date, newest: date) -> Period:
    """Return the period of a day.

    Args:
        day: The day.
        newest: The newest published day; months before its month are whole periods.
    """
    month = day.replace(day=1)
    next_month = (month + timedelta(days=31)).replace(day=1)
    if next_month <= newest:
        return Period(month, next_month)
    block = min((day.day - 1) // BLOCK_DAYS, 30 // BLOCK_DAYS - 1)  # the sixth takes the 31st too
    first = month + timedelta(days=block * BLOCK_DAYS)
    return Period(first, min(first + timedelta(days=BLOCK_DAYS + (block == 5)), next_month))


def write_copy(connection: duckdb.DuckDBPyConnection, folder: Path, target: Path) -> None:
    """Write a copy of the committed data, and the history files that are not there yet.

    Args:
        connection: The warehouse, in no transaction.
        folder: Folder of the copies.
        target: The copy; nothing has this name yet.

    Raises:
        OSError: A file cannot be written. History files that were complete stay.
        duckdb.Error: As for the warehouse.
    """
    parts = list(_parts(connection, _newest_day(connection, folder)))
    for part in parts:
        for stored in part.older:
            _write_history(connection, folder, part, stored)
    if any(part.older for part in parts):
        sync_folder(folder / FOLDER)
        sync_folder(folder)
    _write_recent(connection, target, parts)
    with target.open("rb+") as written:
        os.fsync(written.fileno())


def used_by(copy: Path) -> set[str]:
    """Return the history files of a copy, relative to the folder of the copies.

    Raises:
        duckdb.Error: The copy cannot be read.
    """
    with closing(duckdb.connect(copy, read_only=True, config=search_path(copy.parent))) as opened:
        try:
            rows = opened.execute("select name from history_files").fetchall()
        except duckdb.CatalogException:  # a whole copy, of a version without history files
            return set()
    return {name for (name,) in rows}


def drop_unused(folder: Path, copies: Iterable[Path]) -> None:
    """Drop history files that none of these copies has; nothing if one of them cannot be read."""
    if not (folder / FOLDER).is_dir():
        return
    try:
        used = {name for copy in copies for name in used_by(copy)}
    except duckdb.Error:
        return
    for path in (folder / FOLDER).iterdir():
        if f"{FOLDER}/{path.name}" not in used:
            path.unlink(missing_ok=True)


def search_path(
    folder: Path, config: Mapping[str, str] | None = None
) -> dict[str, str | bool | int | float | list[str]]:
    """Return settings with which DuckDB finds history files, wherever the home is moved.

    Args:
        folder: Folder of the copies.
        config: Other settings of DuckDB.
    """
    return {"file_search_path": str(folder.absolute()), **(config or {})}


def _newest_day(connection: duckdb.DuckDBPyConnection, folder: Path) -> date:
    """Return the newest published day; the first of all days if the copy is to hold everything."""
    if _LIST_SEPARATOR in str(folder.absolute()):
        return date.min
    (statement,) = load_sql("serving/newest_published_day")
    ((newest,),) = connection.execute(statement.text).fetchall()
    return newest or date.min


def _parts(connection: duckdb.DuckDBPyConnection, newest: date) -> Iterator[Part]:
    """Yield the tables and views whose rows have days."""
    recent, month = period_of(newest, newest).first, newest.replace(day=1)
    for table in declared_tables().values():
        day = table.grain[0]
        if table.arrow_schema.field(day).type != pa.date32() or table.name in UNREAD:
            continue
        older = tuple(_older(connection, table, newest))
        yield Part(table.name, day, recent, older)
        months = tuple(_counted(stored) for stored in older if stored.period.end <= month)
        for view in (view for view, counted in COUNTED.items() if counted == table.name):
            yield Part(view, "month", month, months)


def _older(connection: duckdb.DuckDBPyConnection, table: Table, newest: date) -> Iterator[Stored]:
    """Yield the periods before the newest; JSON is not looked at, as its rows never change."""
    day = table.grain[0]
    described = connection.execute(f"select * from {table.name} limit 0").description
    held = [name for name, *_ in described or ()]
    texts = {column.name for column in table.columns if column.unit == "JSON"}
    hashed = ", ".join(name for name in held if name not in texts)
    days = connection.execute(
        f"select {day}, count(*), sum(hash({hashed})) from {table.name} where {day} < ? "
        f"group by {day} order by {day}",
        [period_of(newest, newest).first],
    ).fetchall()
    for period, group in groupby(days, lambda row: period_of(row[0], newest)):
        counts, sums = zip(*((count, total) for _, count, total in group), strict=True)
        mark = _short(f"{sum(counts)} {sum(sums)} {held}")
        yield Stored(period, sum(counts), mark)


def _counted(stored: Stored) -> Stored:
    """Return the rows of a monthly view: they change with the rows that it counts, or its SQL."""
    mark = _short(f"{stored.fingerprint} {sql_fingerprint(MONTHLY_VIEWS)}")
    return Stored(stored.period, None, mark)


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write_history(
    connection: duckdb.DuckDBPyConnection, folder: Path, part: Part, stored: Stored
) -> None:
    """Write a file unless it is there, whole."""
    path = folder / part.file_name(stored)
    if _is_whole(path, stored.row_count):
        return
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f"{path.name}.part")
    connection.execute(
        f"copy (select * from {part.name} where {part.day_column} >= date '{stored.period.first}' "
        f"and {part.day_column} < date '{stored.period.end}') to {_quoted(temporary)} "
        f"(format parquet, compression zstd, row_group_size {ROWS_OF_A_GROUP})"
    )
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def _is_whole(path: Path, row_count: int | None) -> bool:
    """Return whether a file is there and ends as it must: a disk may have cut it."""
    try:
        rows: int = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        return False
    return row_count in {rows, None}


def _write_recent(connection: duckdb.DuckDBPyConnection, target: Path, parts: list[Part]) -> None:
    """Write the copy itself: tables of the newest days, and views that add the history files."""
    ((warehouse,),) = connection.execute("select current_database()").fetchall()
    connection.execute("set file_search_path = ?", [str(target.parent.absolute())])
    connection.execute(f"attach {_quoted(target)} as {COPY} (recovery_mode no_wal_writes)")
    try:
        dated = {part.name for part in parts}
        for table in declared_tables():
            if table not in dated | UNREAD:
                connection.execute(f"create table {COPY}.{table} as select * from {table}")
        for part in parts:
            name = f"recent_{part.name}" if part.older else part.name
            connection.execute(
                f"create table {COPY}.{name} as select * from {part.name} "
                f"where {part.day_column} >= date '{part.recent}'"
            )
        connection.execute(f"create table {COPY}.history_files (name varchar)")
        files = [[part.file_name(stored)] for part in parts for stored in part.older]
        if files:
            connection.executemany(f"insert into {COPY}.history_files values (?)", files)
        connection.execute(f"use {COPY}")
        for statement in _view_statements(parts):
            connection.execute(statement)
        connection.execute(f"checkpoint {COPY}")
    finally:
        connection.execute(f"use {warehouse}")
        connection.execute(f"detach {COPY}")


def _view_statements(parts: list[Part]) -> Iterator[str]:
    """Yield the statements that create the views of a copy, in their order."""
    for part in parts:
        if part.older:
            files = ", ".join(f"'{part.file_name(stored)}'" for stored in part.older)
            yield (
                f"create view {part.name} as select * from recent_{part.name} "
                f"union all select * from read_parquet([{files}])"
            )
    for name in VIEWS:
        for statement in load_sql(name):
            yield statement.text


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
