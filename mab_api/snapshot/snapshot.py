"""The snapshot: everything that is answered from memory, immutable, of one published copy.

A body depends on the clock in one place only: `is_stale` turns true at a known moment. Each entry
holds its fresh bytes, and builds the stale ones at their first request after that moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from threading import Lock
from typing import Any

import orjson

from mab_api.snapshot.allocation_list import NEVER, Listing, build_listing
from mab_api.snapshot.encoded import Answer, encode, http_date, later_second
from mab_api.snapshot.experiment_index import Packed
from mab_api.snapshot.page_cache import PageCache
from mab_store.allocation_payload import stale_after
from mab_store.settings import Settings
from mab_store.warehouse.publication_loss import Published
from mab_store.warehouse.reader import Reader


class Entry:
    """The published allocation of one experiment.

    Attributes:
        published_at: When it was published.
        stale_after: Last moment at which it is not stale; a frozen one never is.
        is_listed: Whether it is part of `GET /allocations`.
        since: Since when its fresh body is served.
        fresh: The answer until it is stale.
        stale: The answer from then on; None before its first request.
    """

    __slots__ = ("fresh", "is_listed", "published_at", "since", "stale", "stale_after")

    def __init__(self, body: dict[str, Any], *, settings: Settings, now: datetime) -> None:
        effective = date.fromisoformat(body["effective_date"])
        self.published_at = datetime.fromisoformat(body["published_at"]).replace(tzinfo=None)
        self.stale_after = NEVER if body["is_frozen"] else stale_after(effective, settings=settings)
        self.is_listed = body["status"] in {"running", "paused"}
        self.since = max(self.published_at, now)  # its status can be newer than its publication
        self.fresh = encode(body | {"is_stale": False}, last_modified=self.since)
        self.stale: Answer | None = None

    def at(self, now: datetime) -> Answer:
        """Return the answer for this moment (naive UTC)."""
        if now <= self.stale_after:
            return self.fresh
        if self.stale is None:
            body = orjson.loads(self.fresh.body) | {"is_stale": True}
            self.stale = encode(body, last_modified=max(self.stale_after, self.since))
        return self.stale

    def keep_moment(self, old: "Entry | None") -> None:
        """Keep the Last-Modified of the same body, or set a later second than another body's.

        Args:
            old: The experiment's entry that was served until now, if any.
        """
        if old is None:
            return
        if old.fresh.etag == self.fresh.etag:
            self.since, self.fresh, self.stale = old.since, old.fresh, old.stale
            return
        shown = old.since if old.stale is None else max(old.stale_after, old.since)
        since = later_second(self.since, shown)
        if since != self.since:
            self.since = since
            self.fresh = self.fresh._replace(last_modified=http_date(since))

    def body_at(self, now: datetime) -> bytes:
        """Return the encoded body of this moment."""
        return self.at(now).body


def keep_moments(entries: Mapping[str, Entry], old: Mapping[str, Entry]) -> None:
    """Set the Last-Modified of each entry, given the entries served until now."""
    for experiment_id, entry in entries.items():
        entry.keep_moment(old.get(experiment_id))


@dataclass(slots=True, eq=False)
class Snapshot:
    """The content of one published copy on one day.

    Attributes:
        copy: The copy, still open, for queries that are not answered from memory.
        entries: Published allocations by experiment id, in the order of the list.
        records: Every experiment by id, by name.
        listing: The body of `GET /allocations` at its last request.
        published_at: Moment of the newest publication; None if there is none.
        published: How far the published history of each entry reaches, by experiment id.
        pages: Pages of history that were requested.
    """

    copy: Reader
    entries: Mapping[str, Entry]
    records: Mapping[str, Packed]
    listing: Listing
    published_at: datetime | None
    published: Mapping[str, Published]
    pages: PageCache = field(default_factory=PageCache)
    _lock: Lock = field(default_factory=Lock)

    def relist(self, now: datetime) -> Listing:
        """Return the list of this moment, recomputed if an entry has turned stale since."""
        with self._lock:
            if now > self.listing.valid_until:
                since = self.listing.last_modified
                self.listing = build_listing(self.entries.values(), now=now, since=since)
            return self.listing
