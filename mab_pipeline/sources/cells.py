"""Cells: the rows and values of every kind of export as text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, time

from mab_store.errors import UnreadableFileError
from mab_store.files.csv_rows import MOST_COLUMNS
from mab_store.files.json_rows import cell
from mab_store.files.limits import Limits

Row = tuple[int, list[str]]
_THOUSANDS_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Sheet:
    """One way to read a file.

    Attributes:
        kind: The way, in words, such as `CSV with semicolons`.
        name: Name of the sheet of a workbook; empty for other files.
        is_comma_separated: Whether it is a CSV with commas, whose counts have no decimal commas.
        rows: Begins to read: yields the number of each row that is not blank, from 1, and its
            cells as text. Raises UnreadableFileError if a row cannot be read.
    """

    kind: str
    name: str
    rows: Callable[[], Iterator[Row]]
    is_comma_separated: bool = False


def counted(rows: Iterator[Row], limits: Limits) -> Iterator[Row]:
    """Pass rows on without blank ones.

    Raises:
        UnreadableFileError: There are too many, or one is too wide.
    """
    text_bytes = 0
    for count, (number, cells) in enumerate(rows, start=1):
        text_bytes += sum(map(len, cells))
        limits.check(rows=count, text_bytes=text_bytes)
        if len(cells) > MOST_COLUMNS:
            raise UnreadableFileError(
                f"has {len(cells)} columns in row {number}; at most {MOST_COLUMNS} are read"
            )
        if any(cells):
            yield number, cells


def text_of(value: object) -> str:
    """Return a cell as text: dates as ISO, whole numbers without a decimal point."""
    if isinstance(value, datetime):
        is_day = value.time() == time() and value.tzinfo is None
        return value.date().isoformat() if is_day else value.isoformat(sep=" ")
    if isinstance(value, float):
        return number_text(repr(value))
    if isinstance(value, bytes):  # a Parquet file of Spark or Hive may not say that it is text
        return text_of(_decoded(value))
    text = "" if value is None else value if isinstance(value, str) else str(value)
    return (cell(text) or "").strip()


def _decoded(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise UnreadableFileError(
            "has bytes in a column that are no UTF-8 text; write it as a column of strings"
        ) from None


def number_text(text: str) -> str:
    """Return a typed number as text that no rule about thousands and decimals can misread."""
    try:
        number = float(text)
    except ValueError:
        return text
    if number.is_integer() and abs(number) < 2**53:
        return str(int(number))
    is_like_thousands = len(text.partition(".")[2]) == _THOUSANDS_DIGITS
    return f"{text}0" if is_like_thousands else text
