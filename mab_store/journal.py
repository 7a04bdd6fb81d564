"""The journal: immutable Parquet files of what cannot be computed again.

What belongs here: writing entries that are missing, reading them all back, dropping rows that
nobody needs any more. What does not: any decision about what is in them.

    <MAB_HOME>/journal/<table>/<entry>.parquet

An entry is what one transaction committed: of publications and publication_holds what one run
wrote, of allocations what was computed and of the ledger (inbox_files) what was loaded at one
moment. A long run decides in several transactions, between which another run may write the
journal; an entry by run would then stay incomplete. The warehouse is committed first and the
entry written after; `write_missing` compares the two, so an entry that a crash prevented is
written by the next run. Nothing is served before its entry is on the disk.
"""

from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mab_store.errors import HomeError
from mab_store.files import write_atomically
from mab_store.schema import declared_tables
from mab_store.warehouse import Transaction

JOURNALED = ("inbox_files", "allocations", "publications", "publication_holds")


class Journal:
    """The journal of one MAB_HOME."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write_missing(self, transaction: Transaction) -> int:
        """Write an entry for everything committed that has none yet; return how many.

        Raises:
            HomeError: An entry cannot be written; the next call writes it.
        """
        written = 0
        for table in JOURNALED:
            present = {path.stem for path in (self._folder / table).glob("*.parquet")}
            entries = transaction.fetch_arrow(f"journal/{table}_entries")["entry"].to_pylist()
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
        """Drop the rows with these values; an entry that holds no other row goes with them.

        Each entry is replaced whole; done again after a crash, this comes to the same end.
        """
        wanted = pa.array(values, pa.string())
        for path in sorted((self._folder / table).glob("*.parquet")) if values else []:
            rows = pq.read_table(path, schema=declared_tables()[table].arrow_schema)
            kept = rows.filter(pc.invert(pc.is_in(rows[column], value_set=wanted)))
            if len(kept) == 0:
                path.unlink()
            elif len(kept) < len(rows):
                self._write(path, kept)

    def read(self, table: str) -> pa.Table:
        """Return every row that was journaled of a table, in the order of its grain."""
        declared = declared_tables()[table]
        paths = sorted((self._folder / table).glob("*.parquet"))
        parts = [pq.read_table(path, schema=declared.arrow_schema) for path in paths]
        rows = pa.concat_tables([declared.arrow_schema.empty_table(), *parts])
        return rows.sort_by([(column, "ascending") for column in declared.grain])

    def _write(self, path: Path, rows: pa.Table) -> None:
        buffer = pa.BufferOutputStream()
        pq.write_table(rows, buffer)
        try:
            write_atomically(path, buffer.getvalue().to_pybytes(), root=self._folder.parent)
        except OSError as error:
            raise HomeError(
                f"The journal entry {path} cannot be written: {error.strerror}. The warehouse "
                "holds what it is about; free space there and run the same days again."
            ) from None


def last_of_each_file(entries: pa.Table) -> pa.Table:
    """Return the ledger that entries of `inbox_files` add up to: of each file the last one."""
    rows = entries.sort_by([("source_file", "ascending"), ("loaded_at", "ascending")])
    if len(rows) == 0:
        return rows
    names = rows["source_file"].combine_chunks()
    is_last = pc.not_equal(names.slice(0, len(names) - 1), names.slice(1))
    return rows.filter(pa.concat_arrays([is_last, pa.array([True])]))


def _entry_name(entry: str | datetime) -> str:
    return f"{entry:%Y%m%dT%H%M%S%f}" if isinstance(entry, datetime) else entry
