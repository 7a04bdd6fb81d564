"""Sightings: the order in which the files of a day count as received (docs/adr/0016).

Each file gets its own time: no two are equal, so `received_at` alone is the order. A file that mab
received has a receipt. A file that a person dropped counts from the load that first sees it, or
from the first receipt after its arrival; the arrival is the file system's time, which no copy can
set. Files that were first seen together are ordered by modification time, then by name, a
microsecond apart. The ledger and its journal keep the result.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from mab_store.files.inbox import Inbox
from mab_store.files.inbox_file import InboxFile

_TICK = timedelta(microseconds=1)


class Held(NamedTuple):
    """The ledger's record of a file's content.

    Attributes:
        sha256: Hash of its content.
        received_at: When it was received.
        loaded_at: When it was loaded.
    """

    sha256: str
    received_at: datetime
    loaded_at: datetime


@dataclass(slots=True)
class Order:
    """When each file of a day was received.

    Attributes:
        stamped: Times of files with a receipt, by name and hash.
        sighted: Times that count for files without a receipt, by name.
    """

    stamped: dict[tuple[str, str], datetime] = field(default_factory=dict)
    sighted: dict[str, datetime] = field(default_factory=dict)

    def received_at(self, source_file: str, sha256: str) -> datetime:
        """Return the time of a file that the ledger does not hold with this content."""
        return self.stamped.get((source_file, sha256), self.sighted[source_file])


class _Entry(NamedTuple):
    """A file in the order; at equal times a file without a receipt comes before one with it."""

    moment: datetime
    is_receipt: bool
    modified: int
    source_file: str
    sha256: str = ""


def order_of_receipt(
    inbox: Inbox, files: Iterable[InboxFile], *, known: Mapping[str, Held], now: datetime
) -> Order:
    """Return a time of receipt for each file of a day.

    Args:
        inbox: The inbox.
        files: The day's files.
        known: The ledger's records of the day, by name.
        now: When this load began, as naive UTC; a later receipt counts as this time.

    Returns:
        The times. Do not use those of files that the ledger holds unchanged.
    """
    listed = list(files)
    days = {file.metric_date for file in listed if file.metric_date}
    held = {(name, row.sha256) for name, row in known.items()}
    names = {file.source_file for file in listed}
    receipts = [
        _Entry(min(receipt.received_at, now), True, 0, *key)
        for day in days
        for key, receipt in inbox.receipts_of(day).items()
        if receipt.source_file in names and key not in held
    ]
    moments = sorted(receipt.moment for receipt in receipts)
    received = {receipt.source_file for receipt in receipts}
    entries = list(receipts)
    for file in listed:
        arrived = datetime.fromtimestamp(inbox.arrival(file), UTC).replace(tzinfo=None)
        row = known.get(file.source_file)
        is_new = file.source_file not in received and (row is None or row.loaded_at <= arrived)
        place = bisect_right(moments, arrived)  # of the first receipt after its arrival
        moment = moments[place] if is_new and place < len(moments) else now
        entries.append(_Entry(moment, False, inbox.modified(file), file.source_file))
    order = Order()
    last = max((row.received_at for row in known.values()), default=datetime.min)  # noqa: DTZ901  # naive UTC
    for entry in sorted(entries):
        moment = entry.moment
        if entry.source_file not in known or not entry.is_receipt:
            moment = last = max(moment, last + _TICK)
        if entry.is_receipt:
            order.stamped[entry.source_file, entry.sha256] = moment
        else:
            order.sighted[entry.source_file] = moment
    return order
