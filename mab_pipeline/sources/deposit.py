"""Deposits: counts from any source as immutable files of the inbox, one per day, named by content.

    <inbox>/metrics/<day>/<series>.<hash>.csv

A series is all that comes from one source. The same counts again add nothing while they are the
newest of their series and day. Otherwise they are a correction and get a file of their own, even if
an older file says the same: the last file received counts.
"""

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from mab_pipeline.sources.import_file import Count
from mab_store.errors import FileInInboxError, InboxError
from mab_store.files.inbox import Inbox, Receiver
from mab_store.files.inbox_file import InboxFile
from mab_store.files.parsers import COLUMNS

ATTEMPTS = 5
_DIGITS = 12


@dataclass(slots=True)
class Deposited:
    """What became of counts.

    Attributes:
        added: Files added to the inbox.
        unchanged: Those that were there already, the newest of their series.
    """

    added: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


class _Place(NamedTuple):
    name: str
    is_held: bool


def files_of_days(counts: Iterable[Count]) -> dict[date, bytes]:
    """Return counts as one CSV per day; equal counts are equal bytes, whatever their order."""
    texts: dict[date, io.StringIO] = {}
    for count in sorted(counts, key=lambda count: count[:3]):
        if count.day not in texts:
            texts[count.day] = io.StringIO()
            csv.writer(texts[count.day], lineterminator="\n").writerow(COLUMNS)
        writer = csv.writer(texts[count.day], lineterminator="\n")
        writer.writerow([count.experiment, count.variant, count.impressions, count.clicks])
    return {day: text.getvalue().encode("utf-8") for day, text in texts.items()}


def deposit(
    inbox: Inbox,
    series: str,
    days: Mapping[date, bytes],
    *,
    receiver: Receiver,
    events: Mapping[str, bytes] | None = None,
) -> Deposited:
    """Put files of days into the inbox, all or none.

    Args:
        inbox: The inbox.
        series: Name of the source: letters, digits, `_` and `-`.
        days: The content of each day.
        receiver: Who received them, and when.
        events: Event files that are added with them.

    Raises:
        FileInInboxError: One of the event files is there by now.
        InboxError: The inbox cannot be written, or a file of it was changed.
    """
    events = events or {}
    for _ in range(ATTEMPTS):
        places = {day: _place(inbox, series, day, payload) for day, payload in days.items()}
        new = {place.name: days[day] for day, place in places.items() if not place.is_held} | dict(
            events
        )
        try:
            if new:
                inbox.write_all(new, receiver=receiver)
        except FileInInboxError:
            if any((inbox.root / name).exists() for name in events):
                raise
            continue  # another process adds the same counts in this very moment
        names = {day: place.name for day, place in places.items()}
        held = [day for day, place in places.items() if place.is_held]
        return Deposited(
            [name for day, name in names.items() if day not in held], [names[day] for day in held]
        )
    raise InboxError(f"The files of {series} are being added by others all the time; try it again.")


def _place(inbox: Inbox, series: str, day: date, payload: bytes) -> _Place:
    """Return the name for a day's counts, and whether they are the newest of the series already."""
    sha256 = hashlib.sha256(payload).hexdigest()
    start = f"metrics/{day}/{series}."
    received = {
        receipt.received_at: receipt
        for receipt in inbox.receipts_of(day).values()
        if receipt.source_file.startswith(start) and (inbox.root / receipt.source_file).exists()
    }
    newest = received[max(received)] if received else None
    if newest is not None and newest.sha256 == sha256:
        _require_same(inbox, newest.source_file, sha256)
        return _Place(newest.source_file, is_held=True)
    name, number = f"{start}{sha256[:_DIGITS]}.csv", 1
    if newest is None and (inbox.root / name).exists():  # its receipt is lost
        _require_same(inbox, name, sha256)
        return _Place(name, is_held=True)
    while (inbox.root / name).exists():
        number += 1
        name = f"{start}{sha256[:_DIGITS]}.{number}.csv"
    return _Place(name, is_held=False)


def _require_same(inbox: Inbox, name: str, sha256: str) -> None:
    """Refuse to call a file unchanged that was changed in the inbox."""
    if inbox.read(InboxFile(inbox.root / name, name)).sha256 != sha256:
        raise InboxError(
            f"{name} is in the inbox with another content: it was changed there. Put the file back "
            "as it was, or delete it and import the export again."
        )
