"""Raw rows: a file's content as rows of raw_metrics, loaded in chunks of a bounded size."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Transaction

if TYPE_CHECKING:
    from mab_pipeline.ingestion.file_ledger import LedgerRow

ROWS_AT_ONCE = 1 << 16


class RawRows:
    """Loads rows into raw_metrics in chunks of a bounded size.

    They are loaded as they are read: the files of one day may be larger than memory.

    Args:
        transaction: The open transaction.
        only: Texts of the column `experiment` whose rows are loaded; all rows if omitted. Of a file
            with none of them its first row is loaded, which says that the file was.
    """

    def __init__(self, transaction: Transaction, *, only: Collection[str] | None = None) -> None:
        self._transaction = transaction
        self._only = None if only is None else pa.array(sorted(only), pa.string())
        self._schema = declared_tables()["raw_metrics"].arrow_schema
        self._waiting: list[pa.Table] = []

    def add(self, row: "LedgerRow", parsed: pa.Table) -> None:
        """Load the rows of a file, or one row with the reason if there are none."""
        if row.error:
            self._take(row, pa.nulls(1, pa.string()), first=0, parsed=None)
        for start in range(0, 0 if row.error else len(parsed), ROWS_AT_ONCE):
            part = parsed.slice(start, ROWS_AT_ONCE)
            self._take(row, pa.nulls(len(part), pa.string()), first=start + 1, parsed=part)

    def finish(self) -> None:
        """Load the pending rows."""
        if self._waiting:
            self._transaction.load_arrow("raw_metrics", pa.concat_tables(self._waiting))
            self._waiting = []

    def _take(self, row: "LedgerRow", nothing: pa.Array, *, first: int, parsed: Any) -> None:
        constants = {
            "metric_date": row.metric_date,
            "source_file": row.source_file,
            "received_at": row.received_at,
            "error": row.error,
        }
        numbers = pa.array(range(first, first + len(nothing)), pa.int64())
        columns = dict.fromkeys(self._schema.names, nothing) | {"row_number": numbers}
        columns |= (
            {name: parsed[name] for name in parsed.column_names} if parsed is not None else {}
        )
        for name, value in constants.items():
            kind = self._schema.field(name).type
            columns[name] = pa.repeat(pa.scalar(value, kind), len(nothing))
        arrays = [columns[name] for name in self._schema.names]
        rows = pa.Table.from_arrays(arrays, schema=self._schema)
        if self._only is not None:
            is_wanted = pc.is_in(rows["experiment"], value_set=self._only)
            rows = rows.filter(pc.or_(is_wanted, pc.less_equal(rows["row_number"], 1)))
        self._waiting.append(rows)
        if sum(map(len, self._waiting)) >= ROWS_AT_ONCE:
            self.finish()
