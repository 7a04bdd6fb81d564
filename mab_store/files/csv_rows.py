"""CSV rows: read a file one row at a time.

The parser is the standard library's, because it never reads more than one row: on a quoted field
with a million line breaks, other parsers slowed down without bound.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import pyarrow as pa
import pyarrow.compute as pc

from mab_store.errors import UnreadableFileError
from mab_store.files.json_rows import MOST_CHARACTERS, cell
from mab_store.files.limits import COLUMNS, RowCollector

MOST_COLUMNS = 1_000
MOST_IN_A_ROW = 1 << 20
# Few rows live at a time: the garbage collector walks thousands of lists again and again, which
# took longer than reading them.
_CHUNK_CELLS = 1 << 12

csv.field_size_limit(MOST_IN_A_ROW)


def read_rows(
    payload: bytes, rows: RowCollector, *, check_header: Callable[[list[str]], None]
) -> None:
    """Collect the rows of a file.

    Args:
        payload: The file; it is UTF-8.
        rows: Collects them.
        check_header: Refuses a header that lacks a column.

    Raises:
        UnreadableFileError: It is not a CSV, has a row with more fields than the header, or exceeds
            a limit.
    """
    require_short_lines(payload)
    records = Records(payload)
    try:
        header = [name.strip().lower() for name in next(records, [])]
        if len(header) > MOST_COLUMNS:
            raise UnreadableFileError(f"has {len(header)} columns; the limit is {MOST_COLUMNS}")
        check_header(header)
        while chunk := list(islice(records, max(1, _CHUNK_CELLS // len(header)))):
            _collect(chunk, header, rows)
    except csv.Error as error:
        raise UnreadableFileError(f"is not a CSV: {error} in line {records.line}") from None


def _collect(chunk: list[list[str]], header: list[str], rows: RowCollector) -> None:
    width = len(header)
    for record in chunk:
        if len(record) < width:
            record.extend([""] * (width - len(record)))
    by_name = dict(zip(header, zip(*chunk, strict=True), strict=True))
    nothing = pa.nulls(len(chunk), pa.string())
    columns = [_texts(by_name[name]) if name in by_name else nothing for name in COLUMNS]
    sizes = (pc.sum(pc.binary_length(column)).as_py() or 0 for column in columns)
    rows.reserve(rows=len(chunk), text_bytes=sum(sizes))
    rows.add(columns)


def _texts(values: Sequence[str]) -> pa.Array:
    """Return texts as `cell` would store them; the file is UTF-8, so only a long one differs."""
    column = pa.array(values, pa.string())
    if (pc.max(pc.binary_length(column)).as_py() or 0) <= MOST_CHARACTERS:
        return column
    return pa.array(map(cell, values), pa.string())


class Records:
    """The records of a CSV in order, without blank lines; none is longer than MOST_IN_A_ROW.

    Args:
        payload: The file; it is UTF-8.
        delimiter: The character between two fields.
        is_ragged: Whether a row may have more fields than the first one, as below title rows.

    Raises, while they are read:
        UnreadableFileError: A row has more fields than the header, or is too long.
        csv.Error: It is not a CSV.
    """

    def __init__(self, payload: bytes, *, delimiter: str = ",", is_ragged: bool = False) -> None:
        self._lines = io.TextIOWrapper(io.BytesIO(payload), "utf-8-sig", newline="")
        self._reader = csv.reader(self._feed(), delimiter=delimiter)
        self._length = 0
        self._width = 0
        self._is_ragged = is_ragged

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        while True:
            record = next(self._reader)
            self._length = 0
            if not self._width:  # the header, even if it is blank
                self._width = max(1, len(record))
                return record
            if len(record) > self._width and not self._is_ragged:
                raise UnreadableFileError(
                    f"has more fields in line {self.line} than the header: {len(record)}, not "
                    f"{self._width}"
                )
            if len(record) > 1 or (record and record[0].strip()):
                return record

    @property
    def line(self) -> int:
        """Number of the last line that was read, from 1."""
        return self._reader.line_num

    def _feed(self) -> Iterator[str]:
        """Yield lines; refuse a record that is too long or does not end before the file does."""
        for line in self._lines:
            self._length += len(line)
            if self._length > MOST_IN_A_ROW:
                raise UnreadableFileError(
                    f"has a row of more than {MOST_IN_A_ROW} characters that ends at line "
                    f"{self.line} or later"
                )
            yield line
        if self._length:
            raise UnreadableFileError("is not a CSV: a quote is opened and never closed")


def require_short_lines(payload: bytes) -> None:
    """Refuse a line of more than MOST_IN_A_ROW bytes before it is decoded."""
    start = 0
    while len(payload) - start > MOST_IN_A_ROW:
        end = start + MOST_IN_A_ROW
        start = max(payload.rfind(b"\n", start, end), payload.rfind(b"\r", start, end)) + 1
        if start == 0:
            raise UnreadableFileError(f"has a line of more than {MOST_IN_A_ROW} bytes")
