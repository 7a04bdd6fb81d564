"""The order of corrections in words: which of a day's files counts, and why.

`ingestion/sightings.py` decides the order.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any

from mab_store.files.receipts import Receipt, Receipts
from mab_store.warehouse.reader import Reader

MOST_FILES = 5
LEGEND = (
    "Of several files for a day the one received last counts: the moment of its receipt by "
    "`mab ingest` or POST; for a file dropped by hand when a run first saw it, of those seen "
    "together by modification time, then by name."
)


def corrections(copy: Reader, window: Mapping[str, object], receipts: Receipts | None) -> list[str]:
    """Return the order of the files of each day of a window that has several, oldest first."""
    by_day: dict[date, list[dict[str, Any]]] = defaultdict(list)
    for row in copy.fetch_arrow("serving/window_files", window).to_pylist():
        by_day[row["metric_date"]].append(row)
    lines = [
        f"{day}, oldest first: {_files(rows, receipts.of_day(day) if receipts else {})}"
        for day, rows in by_day.items()
    ]
    return [LEGEND, *lines] if lines else []


def _files(rows: list[dict[str, Any]], receipts: Mapping[tuple[str, str], Receipt]) -> str:
    shown = rows[-MOST_FILES:]
    words = [f"{row['source_file'].rsplit('/', 1)[-1]} ({_why(row, receipts)})" for row in shown]
    if len(rows) > len(shown):
        words.insert(0, f"{len(rows) - len(shown)} more")
    return ", ".join(words)


def _why(row: Mapping[str, Any], receipts: Mapping[tuple[str, str], Receipt]) -> str:
    received_at, loaded_at = row["received_at"], row["loaded_at"]
    moment = f"{received_at:%Y-%m-%d %H:%M:%S}"
    receipt = receipts.get((row["source_file"], row["sha256"]))
    if receipt is not None:
        return f"received by {receipt.by} at {moment}"
    if loaded_at is None or received_at >= loaded_at:
        return f"dropped by hand, first seen at {moment}"
    if row["source_file"].rsplit("/", 1)[-1].startswith("post-"):
        return f"received by POST at {moment}"  # older than receipts
    return f"dropped by hand, there before {moment}"
