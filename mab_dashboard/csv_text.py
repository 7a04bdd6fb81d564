"""CSV for a spreadsheet: no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence

from mab_store.plain_text import guarded


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
