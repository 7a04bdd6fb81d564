"""The body of `GET /allocations`: all entries, never copied as a whole, compressed once."""

import hashlib
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from mab_api.snapshot.encoded import later_second

HEAD, SEPARATOR, TAIL = b'{"experiments":[', b",", b'],"next_cursor":null}'
EPOCH = datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
NEVER = EPOCH.replace(year=9999)
PIECE = 32
"""Bodies that are joined and compressed at a time: about 50 kB."""


class Timed(Protocol):
    """An entry whose body changes once, at a known moment."""

    is_listed: bool
    published_at: datetime
    stale_after: datetime

    def body_at(self, now: datetime) -> bytes:
        """Return the encoded body of this moment."""


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """The answer of `GET /allocations` between two moments.

    Attributes:
        bodies: The encoded allocation bodies, shared with the entries.
        length: Length of the plain body [bytes].
        digest: Hash of the plain body; the ETags contain it.
        gzipped: The body, compressed.
        valid_until: Last moment at which it is valid; then an entry turns stale.
        last_modified: Since when it has this body.
    """

    bodies: tuple[bytes, ...]
    length: int
    digest: str
    gzipped: bytes
    valid_until: datetime
    last_modified: datetime

    def pieces(self) -> Iterator[bytes]:
        """Yield the plain body in pieces that are small enough to send in one go."""
        return _pieces(self.bodies)

    def without_bodies(self) -> "Listing":
        """Return it without the bodies, which travel with their entries."""
        return replace(self, bodies=())

    def keep_moment(self, old: "Listing") -> "Listing":
        """Return it with the second since which this body is served, never that of another body."""
        if old.digest == self.digest:
            return replace(self, last_modified=old.last_modified)
        return replace(self, last_modified=later_second(self.last_modified, old.last_modified))

    def with_bodies(self, bodies: Iterable[bytes]) -> "Listing":
        """Return it with the bodies that it consists of."""
        return replace(self, bodies=tuple(bodies))


def build_listing(entries: Iterable[Timed], *, now: datetime, since: datetime = EPOCH) -> Listing:
    """Join the listed entries as they are now.

    Args:
        entries: Every entry.
        now: The time, as naive UTC.
        since: Its earliest Last-Modified; that of an entry may be later.
    """
    listed = [entry for entry in entries if entry.is_listed]
    bodies = tuple(entry.body_at(now) for entry in listed)
    length, digest = 0, hashlib.sha256()
    compressor, compressed = zlib.compressobj(level=5, wbits=31), []
    for piece in _pieces(bodies):
        length += len(piece)
        digest.update(piece)
        compressed.append(compressor.compress(piece))
    compressed.append(compressor.flush())
    turned = [entry.stale_after for entry in listed if entry.stale_after < now]
    published = [entry.published_at for entry in listed]
    return Listing(
        bodies=bodies,
        length=length,
        digest=digest.hexdigest()[:32],
        gzipped=b"".join(compressed),
        valid_until=min(
            (entry.stale_after for entry in listed if entry.stale_after >= now),
            default=NEVER,
        ),
        last_modified=max([since, *turned, *published]),
    )


def _pieces(bodies: tuple[bytes, ...]) -> Iterator[bytes]:
    yield HEAD
    for first in range(0, len(bodies), PIECE):
        joined = SEPARATOR.join(bodies[first : first + PIECE])
        yield SEPARATOR + joined if first else joined
    yield TAIL
