"""Limits of one file's content, and the row collector that enforces them for every parser.

A file of a few kilobytes can expand a thousandfold: a Parquet column is compressed and stores a
text once for millions of rows. So the size of the file bounds nothing, and its metadata are checked
but not trusted: rows and text are counted while they are read.
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple, Self

import pyarrow as pa
import pyarrow.parquet as pq

from mab_store.errors import UnreadableFileError
from mab_store.settings import Settings

# Limit of a file's decoded text, as a multiple of INBOX_MAX_FILE_MB.
TEXT_PER_FILE_BYTE = 4
# An event has at most 100 variants and 2,000 characters of description.
MAX_EVENT_BYTES = 1 << 20
COLUMNS = ("experiment", "variant_name", "impressions", "clicks", "submission_id")


class Limits(NamedTuple):
    """Limits of one metrics file.

    Attributes:
        max_rows: Rows.
        max_text_bytes: Bytes of text in the columns that are read, decoded [UTF-8 bytes].
    """

    max_rows: int
    max_text_bytes: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return the limits that the settings define."""
        most = (settings.inbox_max_file_mb << 20) * TEXT_PER_FILE_BYTE
        return cls(settings.inbox_max_file_rows, most)

    def check(self, *, rows: int, text_bytes: int) -> None:
        """Refuse a file that exceeds these limits.

        Raises:
            UnreadableFileError: It does; the message names the setting and its value.
        """
        if rows > self.max_rows:
            raise UnreadableFileError(
                f"has more rows than the {self.max_rows} that INBOX_MAX_FILE_ROWS allows; split it "
                "into several files"
            )
        if text_bytes > self.max_text_bytes:
            raise UnreadableFileError(
                f"holds more text than the {self.max_text_bytes >> 20} MB that a file may hold "
                f"once it is decoded ({TEXT_PER_FILE_BYTE} times INBOX_MAX_FILE_MB); split it into "
                "several files"
            )


DEFAULT_LIMITS = Limits(5_000_000, (64 << 20) * TEXT_PER_FILE_BYTE)


class RowCollector:
    """Rows of a file, collected in compact chunks while it is read; never more than the limits."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._chunks: list[pa.RecordBatch] = []
        self._rows = 0
        self._text_bytes = 0

    def reserve(self, *, rows: int, text_bytes: int) -> None:
        """Count the next rows before they take memory.

        Raises:
            UnreadableFileError: They take the file over a limit.
        """
        self._rows += rows
        self._text_bytes += text_bytes
        self._limits.check(rows=self._rows, text_bytes=self._text_bytes)

    def check_stated(self, metadata: pq.FileMetaData, columns: Collection[str]) -> None:
        """Refuse a Parquet file by the figures in its footer, before a page of it is read.

        Raises:
            UnreadableFileError: It states more than the limits.
        """
        groups = (metadata.row_group(place) for place in range(metadata.num_row_groups))
        parts = (group.column(place) for group in groups for place in range(group.num_columns))
        size = sum(
            max(0, part.total_uncompressed_size)
            for part in parts
            if part.path_in_schema.split(".")[0] in columns
        )
        self._limits.check(rows=metadata.num_rows, text_bytes=size)

    def add(self, columns: Sequence[pa.Array]) -> None:
        """Add rows that were reserved: five arrays of text, in the order of COLUMNS."""
        if len(columns[0]):
            self._chunks.append(pa.RecordBatch.from_arrays(list(columns), names=list(COLUMNS)))

    def table(self) -> pa.Table:
        """Return the rows."""
        schema = pa.schema([(name, pa.string()) for name in COLUMNS])
        return pa.Table.from_batches(self._chunks, schema=schema)
