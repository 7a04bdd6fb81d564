"""Convert results to the types of `sql/schema`, and rows to Parquet files for COPY INTO."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_PER_FILE = 1_000_000

# The connector's codes of column types. Snowflake has one integer type; its Arrow type depends on
# the values in a result: a small int, or a decimal.
_ARROW_TYPES = {
    0: pa.int64(),  # FIXED
    1: pa.float64(),  # REAL
    2: pa.string(),  # TEXT
    3: pa.date32(),  # DATE
    4: pa.timestamp("us"),  # TIMESTAMP
    8: pa.timestamp("us"),  # TIMESTAMP_NTZ
    13: pa.bool_(),  # BOOLEAN
}


def result_table(batches: Iterable[pa.Table], description: Any) -> pa.Table:
    """Return a result with lower-case names and declared types.

    Each chunk is cast for itself, since the types of its columns depend on the values in it: the
    width of an integer, the unit of a timestamp.

    Args:
        batches: The chunks of the result; none for an empty one.
        description: The cursor's description of the columns.

    Raises:
        TypeError: A column has a type that no table of ours has.
    """
    schema = pa.schema([(column.name.lower(), _arrow_type(column)) for column in description])
    tables = [_cast(batch, schema) for batch in batches]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def _cast(batch: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        column.cast(field.type, safe=not pa.types.is_timestamp(field.type))  # ns to us
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def write_files(rows: pa.Table, folder: Path) -> Iterator[Path]:
    """Write rows as Parquet files of a size that loads in parallel; yield each one's path."""
    for number, start in enumerate(range(0, len(rows), ROWS_PER_FILE)):
        path = folder / f"part-{number:04}.parquet"
        pq.write_table(rows.slice(start, ROWS_PER_FILE), path)
        yield path


def _arrow_type(column: Any) -> pa.DataType:
    kind = _ARROW_TYPES.get(column.type_code)
    if kind is None or (column.type_code == 0 and column.scale):
        raise TypeError(
            f"column {column.name} has Snowflake's type {column.type_code} (scale {column.scale}); "
            "cast it in the SQL file to a type of sql/schema/02_create_tables.sql"
        )
    return kind
