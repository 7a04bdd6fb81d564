"""The snapshot: everything that is answered from memory, immutable, of one published copy.

What belongs here: published allocations, encoded once, and what is kept of a version. What does
not: reading it (`parts.py`), when that is done (`refresher.py`), and HTTP.

A body depends on the clock in one place only: `is_stale` turns true at a known moment. Each entry
holds its fresh bytes and makes the stale ones when they are first asked for after that moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Lock
from typing import Any

import orjson

from mab_api.encoding import Answer, encode
from mab_api.history import PageCache
from mab_api.listing import NEVER, Listing, build_listing
from mab_api.registry import Packed
from mab_store.allocation_body import stale_after
from mab_store.reading import Reader
from mab_store.settings import Settings


class Entry:
    """The published allocation of one experiment.

    Attributes:
        published_at: When it was published.
        stale_after: Last moment at which it is not stale; a frozen one never is.
        is_listed: Whether it is part of `GET /allocations`.
    """

    __slots__ = ("_fresh", "_stale", "is_listed", "published_at", "stale_after")

    def __init__(self, body: dict[str, Any], *, settings: Settings) -> None:
        effective = date.fromisoformat(body["effective_date"])
        self.published_at = datetime.fromisoformat(body["published_at"]).replace(tzinfo=None)
        self.stale_after = NEVER if body["is_frozen"] else stale_after(effective, settings=settings)
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

    copy: Reader
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
                self.listing = build_listing(self.entries.values(), now=now)
            return self.listing
