"""CSV for a spreadsheet: no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from mab_store.plain_text import plain

_STARTS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Return rows as CSV, a header first.

    Args:
        columns: The columns, in order.
        rows: The rows; a missing value is empty.
    """
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow([guarded(name) for name in columns])
    writer.writerows([guarded(row.get(name)) for name in columns] for row in rows)
    return buffer.getvalue()


def guarded(value: object) -> object:
    """Return a cell: text that a spreadsheet would run as a formula begins with an apostrophe.

    Numbers stay numbers, also negative ones.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.lstrip().startswith(_STARTS) or value.startswith(_STARTS) else text
