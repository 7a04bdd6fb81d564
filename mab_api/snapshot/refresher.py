"""The refresher: notices a new publication and swaps in its snapshot.

If that fails, the last good snapshot stays, and one warning a minute reports the cause. Only the
refresher's thread replaces the snapshot. Requests read one attribute, so they see the old snapshot
or the new one, never a mixture.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime
from threading import Event, Thread
from typing import NamedTuple

from mab_api.snapshot.experiment_index import ExperimentIndex, Packed
from mab_api.snapshot.loader import Done, Failed, Order, reason_of
from mab_api.snapshot.registrations import Registrations
from mab_api.snapshot.snapshot import Entry, Snapshot, keep_moments
from mab_api.snapshot.sources import open_source
from mab_api.snapshot.version import Version
from mab_api.snapshot.worker import Read, read_in_worker
from mab_api.telemetry import Log, ServerMetrics
from mab_store.errors import NotPublishedError, PublicationRefusedError
from mab_store.files.inbox import Inbox
from mab_store.settings import Settings
from mab_store.warehouse.publication_loss import Published, publication_loss
from mab_store.warehouse.reader import Reader

PAUSE_SECONDS = 0.004
"""Pause between two parts: taking one in delays the event loop for a fraction of that."""
NICENESS = 10
"""The refresh worker yields to the event loop, yet it makes progress."""
DISCARDED = 200
"""Objects that are freed at a time."""
WARNING_SECONDS = 60.0
STOP_SHARE = 0.2
"""Share of the time to stop that a look in progress may take."""


class Refused(NamedTuple):
    """A newer version that is not served.

    Attributes:
        version: The version.
        reason: The data that it lost.
    """

    version: Version
    reason: str


class Refresher:
    """Holds the snapshot, and the thread that keeps it current.

    Attributes:
        snapshot: The last good snapshot; None before the first.
        experiment_index: Every known experiment.
        registrations: Finds experiments that are not published yet.
        refused: The newer copy that is not served, while there is one.
        looked: Set once the first look has ended.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        *,
        clock: Callable[[], datetime],
        metrics: ServerMetrics,
        log: Log,
        read: Read = read_in_worker,
    ) -> None:
        self.snapshot: Snapshot | None = None
        self.experiment_index = ExperimentIndex()
        self.registrations = Registrations(inbox, self.experiment_index, clock)
        self._settings = settings
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._source = open_source(settings)
        self._read = read
        self._version: Version | None = None
        self.refused: Refused | None = None
        self._failures = 0
        self._stopping = Event()
        self._warned_at = -WARNING_SECONDS
        self._good_at = time.monotonic()
        self.looked = Event()
        self._thread = Thread(target=self._run, name="refresher", daemon=True)

    def start(self) -> None:
        """Start the thread; requests are answered during the first load."""
        self._thread.start()

    def stop(self) -> None:
        """Stop looking; a look in progress gets a moment to end, then it is abandoned."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(self._settings.api_shutdown_seconds * STOP_SHARE)
        if not self._thread.is_alive():
            self._source.close()

    @property
    def is_loading(self) -> bool:
        """Whether the first look is still running and has found nothing yet."""
        return self.snapshot is None and not self.looked.is_set()

    @property
    def stale_seconds(self) -> float:
        """Seconds since the snapshot was last known to be the newest publication."""
        return time.monotonic() - self._good_at

    def poll(self) -> bool:
        """Look once; return whether the snapshot is the newest publication."""
        try:
            now = self._clock()
            version = self._source.look(now)
            if version != self._version:
                self._refuse_again(version)
                self.refused = None
                self._load(version, now)
            self.refused = None  # the pointer names the served version again
            self.registrations.find(self._stopping)
        except Exception as error:  # noqa: BLE001  # the thread must not end, whatever the cause
            self._failures += 1
            if not self._stopping.is_set():
                self._note_failure(error)
            return False
        self._failures = 0
        self._good_at = time.monotonic()
        return True

    def wait_seconds(self) -> float:
        """Return how long to wait until the next look."""
        published_at = self.snapshot.published_at if self.snapshot else None
        return self._source.wait_seconds(self._clock(), published_at, self._failures)

    def _run(self) -> None:
        self.poll()
        self.looked.set()
        while not self._stopping.wait(self.wait_seconds()):
            self.poll()

    def _load(self, version: Version, now: datetime) -> None:
        started = time.monotonic()
        snapshot = self._received(version, now)
        old, self.snapshot = self.snapshot, snapshot
        self.experiment_index.publish(snapshot.records)
        self.registrations.forget()
        self._version = version
        seconds = time.monotonic() - started
        self._metrics.refresh_seconds.set(seconds)
        self._log.info(
            "refreshed",
            copy=version.name,
            experiments=len(snapshot.entries),
            seconds=round(seconds, 3),
        )
        if old is not None:
            kept: list[object] = [
                *old.entries.values(),
                *old.records.values(),
                *old.published.values(),
            ]
            del old
            self._discard(kept)

    def _received(self, version: Version, now: datetime) -> Snapshot:
        """Have a version read, and collect its parts."""
        entries: dict[str, Entry] = {}
        published: dict[str, Published] = {}
        records: dict[str, Packed] = {}
        bodies: list[bytes] = []
        niceness = 0 if self.snapshot is None else NICENESS  # before the first, no answer waits
        order = Order(self._settings, version.name, now, niceness)
        with closing(self._read(order, self._stopping)) as parts:
            for part in parts:
                if isinstance(part, Failed):
                    raise NotPublishedError(part.reason)
                if isinstance(part, Done):
                    self._check_loss(version, published)
                    listing = part.listing.with_bodies(bodies)
                    if self.snapshot:
                        listing = listing.keep_moment(self.snapshot.listing)
                    return Snapshot(
                        self._open(version), entries, records, listing, part.published_at, published
                    )
                if self.snapshot:
                    keep_moments(part.entries, self.snapshot.entries)
                entries |= part.entries
                records |= part.records
                published |= part.published
                bodies += [entry.body_at(now) for entry in part.entries.values() if entry.is_listed]
                self._pause()
        raise AssertionError("the last part is Done or Failed")

    def _check_loss(self, version: Version, published: Mapping[str, Published]) -> None:
        """Refuse a version that lost served data, unless a person accepted the loss.

        Raises:
            PublicationRefusedError: It lost something.
        """
        loss = publication_loss(self.snapshot.published, published) if self.snapshot else None
        if not loss:
            return
        if version.accepts_loss:
            self._log.warning("accepted a loss", copy=version.name, lost=str(loss))
            return
        self.refused = Refused(version, str(loss))
        self._refuse_again(version)

    def _refuse_again(self, version: Version) -> None:
        """Refuse a version that was refused before, without reading it again."""
        if self.refused and self.refused.version == version:
            raise PublicationRefusedError(
                f"{version.name} lost served data: {self.refused.reason}. The last good version "
                f"stays. {self._source.remedy}"
            )

    def _open(self, version: Version) -> Reader:
        """Open a version for history; DuckDB would reuse a file that it holds by this name."""
        if self.snapshot and self._version and self._version.name == version.name:
            if self._version.mark == version.mark:
                return self.snapshot.copy.branch()  # only the day differs
            self.snapshot.copy.close()  # MAB_HOME was reset
        return self._source.open(version.name)

    def _note_failure(self, error: Exception) -> None:
        self._metrics.refresh_failures.inc()
        now = time.monotonic()
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            self._log.warning(
                "refresh failed",
                reason=reason_of(error),
                serving=self.snapshot.copy.name if self.snapshot else None,
                stale_seconds=round(self.stale_seconds, 1),
            )

    def _discard(self, kept: list[object]) -> None:
        """Free old objects bit by bit: all at once would hold the GIL for long."""
        while kept:
            del kept[-DISCARDED:]
            self._pause()

    def _pause(self) -> None:
        """Let the event loop have the GIL if there are requests to answer."""
        if self.snapshot is not None:
            self._stopping.wait(PAUSE_SECONDS)
