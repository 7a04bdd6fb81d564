"""Small files that become large: each function makes one.

What belongs here: making them. What does not: what must come of them (`test_bombs.py`). None is
stored; LIMITS are small, so that a bomb is made in an instant and is far too much.
"""

import gzip
import io
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq

from mab_store.files.limits import Limits

HEADER = b"experiment,variant_name,impressions,clicks\n"
LIMITS = Limits(max_rows=100_000, max_text_bytes=16 << 20)
MAX_FILE_BYTES = 4 << 20
ROWS = "has more rows than the 100000 that INBOX_MAX_FILE_ROWS allows"
TEXT = "holds more text than the 16 MB that a file may hold once it is decoded"
LONG_VALUE = "has a row or a value of more than 1048576 characters"


def same_row(rows: int) -> bytes:
    """The bomb of the issue: one row, said millions of times in a few kilobytes."""
    one = pa.array([0] * rows, pa.int8())
    text = pa.DictionaryArray.from_arrays(one, pa.array(["e"]))
    return parquet(pa.table([text, text, one, one], names=_NAMES))


def long_text(rows: int) -> bytes:
    """A text of a megabyte in a dictionary, and rows that point to it."""
    one = pa.array([0] * rows, pa.int8())
    long = pa.DictionaryArray.from_arrays(one, pa.array(["x" * (1 << 20)]))
    return parquet(pa.table([long, long, one, one], names=_NAMES))


def compressed_text() -> bytes:
    """Plain pages of zeros that zstd makes a thousandth of."""
    texts = pa.array(["0" * 9_000] * 20_000)
    table = pa.table([texts, texts, texts, texts], names=_NAMES)
    return parquet(table, use_dictionary=False)


def understated_rows() -> bytes:
    """A footer that states one row of a million: num_rows, of the file and of its row group."""
    payload = same_row(1_000_000)
    return payload.replace(_varint(1_000_000), _varint(1, length=3))


def understated_text() -> bytes:
    """A footer that understates its columns' sizes, in front of pages of many megabytes."""
    payload = compressed_text()
    metadata = pq.ParquetFile(pa.BufferReader(payload)).metadata
    for column in range(4):
        size = metadata.row_group(0).column(column).total_uncompressed_size
        payload = payload.replace(_varint(size), _varint(100, length=len(_varint(size))))
    return payload


def parquet(table: pa.Table, **options: object) -> bytes:
    """Write a table as one row group, compressed."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", row_group_size=len(table) or 1, **options)
    return sink.getvalue()


def _varint(number: int, length: int = 0) -> bytes:
    """Write a number as Thrift does (zigzag), padded to a length."""
    number, digits = number << 1, []
    while number > 0x7F or len(digits) < length - 1:
        digits.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*digits, number])


_NAMES = ["experiment", "variant_name", "impressions", "clicks"]
MB = 1 << 20
# name: (how the file is made, why it is refused)
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "rows.parquet": (lambda: same_row(10_000_000), ROWS),
    "text.parquet": (lambda: long_text(90_000), TEXT),
    "pages.parquet": (compressed_text, TEXT),
    "understated rows.parquet": (understated_rows, ""),
    "understated text.parquet": (understated_text, TEXT),
    "wide.parquet": (lambda: parquet(pa.table({f"c{i}": [1] for i in range(3_000)})), "columns"),
    "rows.csv": (lambda: HEADER + b"e,a,1,1\n" * 400_000, ROWS),
    "short rows.csv": (lambda: HEADER + b",\n" * (2 * MB - 50), ROWS),
    "one line.csv": (
        lambda: HEADER + b"x" * (4 * MB - 50),
        "has a line of more than 1048576 bytes",
    ),
    "fields.csv": (lambda: HEADER + b"," * (4 * MB - 50), "has a line of more than 1048576 bytes"),
    "columns.csv": (lambda: b"," * (MB - 1), "has 1048576 columns"),
    "many columns.csv": (lambda: b",".join(b"%d" % i for i in range(9_000)), "has 9000 columns"),
    "open quote.csv": (lambda: HEADER + b'"' + b"\n" * (MB - 50), "is opened and never closed"),
    "quoted line breaks.csv": (lambda: HEADER + b'"\n",' * (MB - 50), "has a row of more than"),
    "objects.json": (lambda: b'{"metrics":[' + b"{}," * (MB - 50) + b"{}]}", ROWS),
    "submissions.json": (lambda: b"[" + b'{"metrics":[{}]},' * (MB // 5) + b"{}]", ROWS),
    "empty submissions.json": (
        lambda: b"[" + b'{"metrics":[]},' * (MB // 4) + b"{}]",
        "submission 262145 is not an object",
    ),
    "lists.json": (lambda: b'{"metrics":[{"clicks":[' + b"[]," * MB + b"[]]}]}", LONG_VALUE),
    "keys.json": (
        lambda: b"{" + b",".join(b'"%d":1' % i for i in range(300_000)) + b"}",
        "has more than 1000 keys",
    ),
    "keys of a row.json": (
        lambda: b'{"metrics":[{' + b",".join(b'"%d":1' % i for i in range(300_000)) + b"}]}",
        LONG_VALUE,
    ),
    "depth.json": (lambda: b"[" * (4 * MB), "nested too deeply"),
    "depth of objects.json": (lambda: b'{"a":' * (MB // 2), "nested too deeply"),
    "number.json": (lambda: b'{"metrics":[{"clicks":' + b"9" * (3 * MB) + b"}]}", LONG_VALUE),
    "exponent.json": (lambda: b'{"metrics":[{"clicks":1e999999999}]}', ""),
    "text.json": (lambda: b'{"metrics":[{"clicks":"' + b"x" * (3 * MB) + b'"}]}', LONG_VALUE),
    "a text for all.json": (
        lambda: b'{"metrics":[' + b"{}," * 90_000 + b'{}],"experiment":"' + b"x" * 9_000 + b'"}',
        TEXT,
    ),
    "wide characters.json": (
        lambda: b'{"metrics":[' + b"{}," * (MB // 2) + '"🙂"'.encode() + b"]}",
        ROWS,
    ),
    "spaces.json": (lambda: b" " * (4 * MB), "is not JSON"),
    "compressed.csv": (lambda: gzip.compress(HEADER * MB), "is not UTF-8"),
}
