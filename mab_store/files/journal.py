"""The journal: immutable Parquet files of decisions and loads, which cannot be recomputed.

    <MAB_HOME>/journal/<table>/<entry>.parquet

An entry holds the rows of one transaction: those that one run wrote (publications,
publication_holds, analysis), or those with one time of computation (allocations) or load
(inbox_files, the ledger). A long run decides in several transactions, and another run may write the
journal between them; an entry per run would then stay incomplete. The warehouse commits first, then
the entry is written. `write_missing` compares the two, so the next run writes an entry that a crash
prevented. Nothing is served before its entry is on the disk.

Reading is idempotent. A decision has an identity, the grain of its table. If several entries hold
the same decision (a day was decided again in an empty warehouse, files were copied under other
names), the first counts. In the ledger the last row of each file counts (`last_of_each_file`).

The warehouse may hold more than the journal, as it commits first. It never holds less, except for
rows that an interrupted `mab prune` dropped; `missing_from` finds an empty or older warehouse.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mab_store.atomic_files import write_atomically
from mab_store.errors import HomeError
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Transaction

# The tables of decisions, and the column with the time of each row.
DECISIONS = {
    "allocations": "computed_at",
    "publications": "published_at",
    "publication_holds": "held_at",
    "analysis": "analysed_at",
}
LEDGER = "inbox_files"
JOURNALED = (LEDGER, *DECISIONS)


class Journal:
    """The journal of one MAB_HOME."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write_missing(self, transaction: Transaction) -> int:
        """Write the missing entries of all committed rows; return how many.

        Raises:
            HomeError: An entry cannot be written; the next call writes it.
        """
        written = 0
        for table in JOURNALED:
            present = {path.stem for path in self._paths(table)}
            entries = _entries(transaction, table)
            for entry in sorted(entries):
                name = _entry_name(entry)
                if name in present:
                    continue
                rows = transaction.fetch_arrow(f"journal/{table}_entry", {"entry": entry})
                rows = rows.cast(declared_tables()[table].arrow_schema)
                self._write(self._folder / table / f"{name}.parquet", rows)
                written += 1
        return written

    def forget(self, table: str, column: str, values: Collection[str]) -> None:
        """Drop the rows with these values; delete an entry that holds no other row.

        Each entry is replaced whole; run again after a crash, it has the same result.
        """
        wanted = pa.array(values, pa.string())
        for path in self._paths(table) if values else []:
            rows = _read(path, table)
            kept = rows.filter(pc.invert(pc.is_in(rows[column], value_set=wanted)))
            if len(kept) == 0:
                path.unlink()
            elif len(kept) < len(rows):
                self._write(path, kept)

    def read(self, table: str) -> pa.Table:
        """Return the journaled rows of a table, in the order of its grain.

        Decisions: the first row of each identity. Ledger: every row.
        """
        return self._rows(table, self._paths(table))

    def first_day(self) -> date | None:
        """Return the first day that was loaded or decided; None if there is none.

        Only the statistics at the end of each entry are read.

        Raises:
            HomeError: An entry cannot be read.
        """
        days = [
            day
            for table, column in ((LEDGER, "metric_date"), ("allocations", "as_of_date"))
            for path in self._paths(table)
            if (day := _least(path, column)) is not None
        ]
        return min(days, default=None)

    def missing_from(self, transaction: Transaction) -> dict[str, int]:
        """Count by table the journaled rows that the warehouse lacks; omit complete tables.

        Only entries whose name the warehouse does not know are read.
        """
        counts = {table: self._missing_decisions(transaction, table) for table in DECISIONS}
        counts[LEDGER] = self._missing_files(transaction)
        return {table: count for table, count in counts.items() if count}

    def _missing_decisions(self, transaction: Transaction, table: str) -> int:
        known = {_entry_name(entry) for entry in _entries(transaction, table)}
        rows = self._rows(table, [path for path in self._paths(table) if path.stem not in known])
        if len(rows) == 0:
            return 0
        grain = list(declared_tables()[table].grain)
        span = pc.min_max(rows["as_of_date"]).as_py()
        days = {"start_date": span["min"], "end_date": span["max"] + timedelta(days=1)}
        held = transaction.fetch_arrow(f"journal/{table}_identities", days)
        journaled = rows.select(grain)
        return len(journaled.join(held.cast(journaled.schema), grain, join_type="left anti"))

    def _missing_files(self, transaction: Transaction) -> int:
        """Count the files of loads that are newer than any load in the warehouse.

        An older load proves nothing: its rows are replaced when the files are loaded again.
        """
        newest = max(_entries(transaction, LEDGER), default=None)
        name = _entry_name(newest) if newest else ""
        newer = [path for path in self._paths(LEDGER) if _may_be_after(path.stem, name)]
        rows = self._rows(LEDGER, newer)
        if newest:
            rows = rows.filter(pc.greater(rows["loaded_at"], pa.scalar(newest)))
        return len(pc.unique(rows["source_file"]))

    def _rows(self, table: str, paths: Iterable[Path]) -> pa.Table:
        schema = declared_tables()[table].arrow_schema
        parts = [_read(path, table) for path in paths]
        rows = pa.concat_tables([schema.empty_table(), *parts])
        grain = declared_tables()[table].grain
        if table not in DECISIONS:
            return rows.sort_by([(column, "ascending") for column in grain])
        # The sort is stable: among rows with the same time, the first file's row stays.
        rows = rows.sort_by([(column, "ascending") for column in (*grain, DECISIONS[table])])
        return rows.filter(pa.concat_arrays([_some(rows[:1]), _differs_from_next(rows, grain)]))

    def _paths(self, table: str) -> list[Path]:
        return sorted((self._folder / table).glob("*.parquet"))

    def _write(self, path: Path, rows: pa.Table) -> None:
        buffer = pa.BufferOutputStream()
        pq.write_table(rows, buffer)
        try:
            write_atomically(path, buffer.getvalue().to_pybytes(), root=self._folder.parent)
        except OSError as error:
            raise HomeError(
                f"The journal entry {path} cannot be written: {error.strerror}. The warehouse "
                "has committed its rows; free space there and run the same days again."
            ) from None


def last_of_each_file(entries: pa.Table) -> pa.Table:
    """Return the ledger that the entries of `inbox_files` give: the last row of each file."""
    rows = entries.sort_by([("source_file", "ascending"), ("loaded_at", "ascending")])
    return rows.filter(
        pa.concat_arrays([_differs_from_next(rows, ["source_file"]), _some(rows[:1])])
    )


def _differs_from_next(rows: pa.Table, columns: Sequence[str]) -> pa.Array:
    """Return for each row but the last whether one of the columns differs in the next row."""
    differs = pa.array([False] * max(len(rows) - 1, 0), pa.bool_())
    for column in columns if len(differs) else ():
        values = rows[column].combine_chunks()
        differs = pc.or_(differs, pc.not_equal(values[:-1], values[1:]))
    return differs


def _some(rows: pa.Table) -> pa.Array:
    return pa.array([True] * len(rows), pa.bool_())


def _read(path: Path, table: str) -> pa.Table:
    schema = declared_tables()[table].arrow_schema
    with _readable(path), pq.ParquetFile(path) as file:
        if file.schema_arrow.equals(schema):
            return file.read()  # in a fifth of the time that the next line takes
        return pq.read_table(path, schema=schema)


def _least(path: Path, column: str) -> date | None:
    """Return the least value of a column of days, from the statistics; None if it has no value."""
    with _readable(path):
        footer = pq.read_metadata(path)
    place = footer.schema.names.index(column)
    groups = (footer.row_group(number).column(place) for number in range(footer.num_row_groups))
    found = (group.statistics for group in groups)
    return min((each.min for each in found if each and each.has_min_max), default=None)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise HomeError(
            f"The journal entry {path} cannot be read ({str(error).splitlines()[0]}). Restore it "
            "from a backup; nothing else holds its decisions."
        ) from None


def _entries(transaction: Transaction, table: str) -> list[str | datetime]:
    entries: list[str | datetime] = transaction.fetch_arrow(f"journal/{table}_entries")[
        "entry"
    ].to_pylist()
    return entries


def _entry_name(entry: str | datetime) -> str:
    return f"{entry:%Y%m%dT%H%M%S%f}" if isinstance(entry, datetime) else entry


def _may_be_after(name: str, newest: str) -> bool:
    """Return whether an entry of the ledger may hold later loads; a copy can have any name."""
    return name > newest or not re.fullmatch(r"[0-9]{8}T[0-9]{12}", name)
