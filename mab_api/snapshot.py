"""The snapshot: everything that is answered from memory, immutable, of one published copy.

What belongs here: encoding published allocations once, with their headers, and reading them.
What does not: when a snapshot is made (`refresher.py`), and HTTP.

A body depends on the clock in one place only: `is_stale` turns true at a known moment. Each entry
holds its fresh bytes and makes the stale ones when they are first asked for after that moment.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Lock
from typing import Any, Protocol

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from mab_api.encoding import Answer, encode
from mab_api.history import PageCache
from mab_api.listing import Listing, build_listing
from mab_api.registry import Packed, pack, published_records
from mab_store.allocation_body import allocation_bodies, stale_after
from mab_store.errors import NotPublishedError
from mab_store.settings import Settings

SLICE = 8
"""Experiments that are encoded before the event loop gets a turn; about 1 ms of work."""

Pause = Callable[[], None]


class Copy(Protocol):
    """A published copy that can be queried."""

    name: str

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql`."""

    def branch(self) -> "Copy":
        """Return the same copy for another thread."""

    def close(self) -> None:
        """Let go of it."""


class Entry:
    """The published allocation of one experiment.

    Attributes:
        published_at: When it was published.
        stale_after: Last moment at which it is not stale.
        is_listed: Whether it is part of `GET /allocations`.
    """

    __slots__ = ("_fresh", "_stale", "is_listed", "published_at", "stale_after")

    def __init__(self, body: dict[str, Any], *, settings: Settings) -> None:
        effective = date.fromisoformat(body["effective_date"])
        self.published_at = datetime.fromisoformat(body["published_at"]).replace(tzinfo=None)
        self.stale_after = stale_after(effective, settings=settings)
        self.is_listed = body["status"] in {"running", "paused"}
        self._fresh = encode(body | {"is_stale": False}, last_modified=self.published_at)
        self._stale: Answer | None = None

    def at(self, now: datetime) -> Answer:
        """Return the answer for this moment (naive UTC)."""
        if now <= self.stale_after:
            return self._fresh
        if self._stale is None:
            body = orjson.loads(self._fresh.body) | {"is_stale": True}
            self._stale = encode(body, last_modified=self.stale_after)
        return self._stale

    def body_at(self, now: datetime) -> bytes:
        """Return the encoded body of this moment."""
        return self.at(now).body


@dataclass(slots=True, eq=False)
class Snapshot:
    """What one published copy says on one day.

    Attributes:
        copy: The copy, still open, for queries that are not answered from memory.
        entries: Published allocations by experiment id, in the order of the list.
        records: Every experiment by id, by name.
        listing: The body of `GET /allocations` when it was last asked for.
        published_at: Moment of the newest publication; None where there is none.
        pages: Pages of history that were asked for.
    """

    copy: Copy
    entries: Mapping[str, Entry]
    records: Mapping[str, Packed]
    listing: Listing
    published_at: datetime | None
    pages: PageCache = field(default_factory=PageCache)
    _lock: Lock = field(default_factory=Lock)

    def relist(self, now: datetime) -> Listing:
        """Return the list of this moment, made anew where an entry has turned stale since."""
        with self._lock:
            if now > self.listing.valid_until:
                self.listing = build_listing(self.entries.values(), now=now, pause=_no_pause)
            return self.listing


def build_snapshot(copy: Copy, settings: Settings, *, now: datetime, pause: Pause) -> Snapshot:
    """Read a copy and encode everything in it.

    Args:
        copy: The open copy.
        settings: For staleness and windows.
        now: The time, as naive UTC.
        pause: Called after every slice of work, so that whoever waits for the GIL gets it.

    Raises:
        NotPublishedError: The copy holds something that must never be served.
    """
    rows = copy.fetch_arrow(
        "serving/published_allocations", {"today": now.date(), "as_of_date": None}
    )
    entries: dict[str, Entry] = {}
    for part in slices(rows):
        for body in allocation_bodies(part, settings=settings, now=now):
            _check(body, copy.name)
            entries[body["experiment_id"]] = Entry(body, settings=settings)
        pause()
    registry = copy.fetch_arrow("serving/registry", {"today": now.date()})
    records: dict[str, Packed] = {}
    for part in slices(registry):
        records |= {record["experiment_id"]: pack(record) for record in published_records(part)}
        pause()
    return Snapshot(
        copy=copy,
        entries=entries,
        records=records,
        listing=build_listing(entries.values(), now=now, pause=pause),
        published_at=max((entry.published_at for entry in entries.values()), default=None),
    )


def slices(rows: pa.Table) -> Iterator[pa.Table]:
    """Cut rows that are grouped by experiment into parts of a few whole experiments each."""
    if len(rows) == 0:
        return
    runs = pc.run_end_encode(rows["experiment_id"].combine_chunks())
    ends = runs.run_ends.to_numpy()
    first = 0
    for index in range(SLICE - 1, len(ends) + SLICE - 1, SLICE):
        end = int(ends[min(index, len(ends) - 1)])
        yield rows.slice(first, end - first)
        first = end


def _no_pause() -> None:
    """Whoever asks waits for the answer."""


def _check(body: dict[str, Any], name: str) -> None:
    """Refuse what no gate lets through: it means that the copy is not what it was."""
    variants = body["allocations"]
    total = sum(round(variant["allocation_percentage"] * 100) for variant in variants)
    buckets = sorted(pair for variant in variants for pair in variant["buckets"])
    covered = [bucket for first, last in buckets for bucket in range(first, last + 1)]
    if total != 10_000 or covered != list(range(100)):
        raise NotPublishedError(
            f"The copy {name} gives {body['experiment_id']} shares of {total / 100} % in all, or "
            "buckets that are not 0 to 99 once each. It is not served; publish anew with `mab run`."
        )
