"""Parsers: turn a metrics file of any accepted format into rows of text.

A count stays the received text until SQL proves it to be an integer. A file that cannot be parsed
raises `UnreadableFileError`, whose message goes into the quarantine.

Files are read in chunks into compact arrays, and never beyond `Limits`: the limits bound the memory
and time of a file, whatever it contains.
"""

import codecs
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from pathlib import PurePosixPath
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mab_store.errors import UnreadableFileError
from mab_store.files.csv_rows import MOST_COLUMNS, read_rows
from mab_store.files.json_rows import MOST_CHARACTERS, cell, read_submissions
from mab_store.files.limits import COLUMNS as KEPT
from mab_store.files.limits import DEFAULT_LIMITS, Limits, RowCollector

COLUMNS = ("experiment", "variant_name", "impressions", "clicks")
_CHUNK_BYTES = 1 << 20
_CHUNK_ROWS = 1 << 13


class MetricsFile(NamedTuple):
    """A parsed file.

    Attributes:
        rows: One row per received row; columns `experiment`, `variant_name`, `impressions`,
            `clicks` and `submission_id`, all text or null. A text of more than 10,000 characters
            is cut and marked as cut, so it can match no name and be no count.
    """

    rows: pa.Table


def read_metrics(
    source_file: str, payload: bytes, *, metric_date: date, limits: Limits = DEFAULT_LIMITS
) -> MetricsFile:
    """Parse a metrics file by its extension.

    Args:
        source_file: Its name; the extension selects the parser.
        payload: Its bytes.
        metric_date: Day that its folder names.
        limits: Limits of its content.

    Raises:
        UnreadableFileError: The file cannot be parsed or exceeds a limit; the message says why.
    """
    extension = PurePosixPath(source_file).suffix.lower()
    if extension not in _READERS:
        raise UnreadableFileError(
            f"has the extension {extension!r}; only .json, .csv and .parquet are read"
        )
    if not payload:
        raise UnreadableFileError("is empty")
    rows = RowCollector(limits)
    try:
        _READERS[extension](payload, metric_date, rows)
    except RecursionError:
        raise UnreadableFileError("is not usable JSON: it is nested too deeply") from None
    except MemoryError:
        raise UnreadableFileError(
            "needs more memory than is available; split it into several files"
        ) from None
    return MetricsFile(rows.table())


def _read_csv(payload: bytes, _metric_date: date, rows: RowCollector) -> None:
    _require_utf8(payload)
    read_rows(payload, rows, check_header=_require_columns)


def _read_parquet(payload: bytes, _metric_date: date, rows: RowCollector) -> None:
    try:
        for batch in _batches(payload, rows):
            columns = {name: _texts(batch.column(name)) for name in batch.schema.names}
            sizes = (_expanded_size(column) for column in columns.values())
            rows.reserve(rows=len(batch), text_bytes=sum(sizes))
            nothing = pa.nulls(len(batch), pa.string())
            kept = [columns.get(name, nothing) for name in KEPT]
            rows.add([column.cast(pa.string()) for column in kept])
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise UnreadableFileError(f"is not a Parquet file: {error}") from None


def _batches(payload: bytes, rows: RowCollector) -> Iterator[pa.RecordBatch]:
    """Read the wanted columns a few rows at a time; a repeated text is held once."""
    file = pq.ParquetFile(pa.BufferReader(payload))
    names = {name: name.strip().lower() for name in file.schema_arrow.names}
    if len(file.schema_arrow.names) > MOST_COLUMNS:
        raise UnreadableFileError(f"has more than {MOST_COLUMNS} columns")
    _require_columns([name.strip().lower() for name in file.schema_arrow.names])
    wanted = [name for name, ours in names.items() if ours in KEPT]
    for name in wanted:
        _require_text_or_integer(names[name], file.schema_arrow.field(name).type)
    rows.check_stated(file.metadata, wanted)
    texts = [name for name in wanted if _is_text(file.schema_arrow.field(name).type)]
    file = pq.ParquetFile(pa.BufferReader(payload), read_dictionary=texts)
    for batch in file.iter_batches(_CHUNK_ROWS, columns=wanted, use_threads=False):
        yield batch.rename_columns([names[name] for name in batch.schema.names])


def _require_text_or_integer(name: str, kind: pa.DataType) -> None:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if name in COLUMNS and not (
        pa.types.is_integer(kind) or _is_text(kind) or pa.types.is_null(kind)
    ):
        raise UnreadableFileError(f"has the column {name} as {kind}; it must be text or integer")


def _texts(column: pa.Array) -> pa.Array:
    """Return a column as text, long values cut; a dictionary column stays a dictionary."""
    if pa.types.is_dictionary(column.type):
        return pa.DictionaryArray.from_arrays(column.indices, _texts(column.dictionary))
    column = column.cast(pa.string())
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise UnreadableFileError(f"holds text that is not UTF-8: {error}") from None
    return _cut(column)


def _expanded_size(column: pa.Array) -> int:
    """Return the bytes of a column's text, each text counted as often as it occurs."""
    if pa.types.is_dictionary(column.type):
        sizes = pc.binary_length(column.dictionary).take(column.indices)
    else:
        sizes = pc.binary_length(column)
    return int(pc.sum(pc.cast(sizes, pa.int64())).as_py() or 0)


def _cut(column: pa.Array) -> pa.Array:
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    if longest <= MOST_CHARACTERS:
        return column
    return pa.array([cell(value) for value in column.to_pylist()], pa.string())


def _read_json(payload: bytes, metric_date: date, rows: RowCollector) -> None:
    _require_utf8(payload)
    read_submissions(payload, rows, metric_date=metric_date)


_READERS: dict[str, Callable[[bytes, date, RowCollector], None]] = {
    ".csv": _read_csv,
    ".json": _read_json,
    ".parquet": _read_parquet,
}


def _require_utf8(payload: bytes) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(payload), _CHUNK_BYTES):
        held = len(decoder.getstate()[0])
        is_last = start + _CHUNK_BYTES >= len(payload)
        try:
            decoder.decode(payload[start : start + _CHUNK_BYTES], final=is_last)
        except UnicodeDecodeError as error:
            place = start - held + error.start
            raise UnreadableFileError(
                f"is not UTF-8: byte 0x{payload[place]:02X} at offset {place}"
            ) from None
    if b"\0" in payload:
        raise UnreadableFileError(f"holds a NUL byte at offset {payload.index(0)}")


def _require_columns(header: Iterable[str]) -> None:
    names = list(header)
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise UnreadableFileError(
            f"lacks the column {', '.join(missing)}; it has {', '.join(names) or 'none'}"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise UnreadableFileError(f"has the column {', '.join(repeated)} more than once")


def _is_text(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )
