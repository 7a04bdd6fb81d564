"""Chunks of a result as Snowflake sends them."""

import io

import pyarrow as pa

_WIDTHS = ((pa.int8(), 8), (pa.int16(), 16), (pa.int32(), 32), (pa.int64(), 64))


def narrow(rows: pa.Table) -> pa.Table:
    """Send an integer column as Snowflake does: as narrow as the values of the chunk allow."""
    fields, columns = [], []
    for column, sent in zip(rows.columns, rows.schema, strict=True):
        width = sent.type
        if pa.types.is_integer(sent.type):
            values = [abs(value) for value in column.to_pylist() if value is not None]
            bits = max(values, default=0).bit_length()
            width = next(t for t, n in _WIDTHS if bits < n)
        fields.append(sent.with_type(width))
        columns.append(column.cast(width))
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def as_stream(rows: pa.Table) -> bytes:
    """Return rows as an Arrow stream."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue()
