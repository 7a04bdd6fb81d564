"""The refresher: notices a new publication and swaps in what it says.

What belongs here: looking, building beside what is served, swapping, and what happens when that
fails: the last good snapshot stays, one warning a minute says so. What does not: what a snapshot
is (`snapshot.py`).

Only the refresher's thread replaces what is served; requests read one attribute, so they see the
old state or the new one, never a mixture.
"""

import ctypes
import os
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from threading import Event, Lock, Thread
from typing import NamedTuple

import duckdb
import pyarrow as pa

from mab_api.observability import Log, Metrics
from mab_api.registry import Record, Registry, registered_record
from mab_api.snapshot import Copy, Pause, Snapshot, build_snapshot
from mab_store.errors import InboxError, MabError
from mab_store.inbox import Inbox
from mab_store.published import current_copy, open_copy
from mab_store.registration import registered
from mab_store.settings import Settings

PAUSE_SECONDS = 0.003
SWITCH_SECONDS = 0.0005
"""How soon a waiting event loop gets the GIL; Python's default of 5 ms is a slow answer here."""
WARNING_SECONDS = 60.0
COPY_CONFIG = {
    "threads": "1",  # the event loop and the CDP want the other core
    "memory_limit": "1GB",
    "temp_directory": str(Path(tempfile.gettempdir()) / f"mab-api-{os.getpid()}"),
}


class Identity(NamedTuple):
    """What tells one state of the published folder from another."""

    path: Path
    inode: int
    size_bytes: int
    modified_ns: int
    today: date


class Refresher:
    """What is served now, and the thread that keeps it new.

    Attributes:
        snapshot: The last good snapshot; None before the first.
        registry: Every known experiment.
    """

    def __init__(
        self,
        settings: Settings,
        inbox: Inbox,
        *,
        clock: Callable[[], datetime],
        metrics: Metrics,
        log: Log,
    ) -> None:
        self.snapshot: Snapshot | None = None
        self.registry = Registry({})
        self._settings = settings
        self._inbox = inbox
        self._clock = clock
        self._metrics = metrics
        self._log = log
        self._identity: Identity | None = None
        self._stopping = Event()
        self._writing = Lock()
        self._warned_at = -WARNING_SECONDS
        self._good_at = time.monotonic()
        self._thread = Thread(target=self._run, name="refresher", daemon=True)

    def start(self) -> None:
        """Load what is published now, then look again every API_REFRESH_SECONDS."""
        sys.setswitchinterval(SWITCH_SECONDS)
        self.poll(pause=_no_pause)
        self._thread.start()

    def stop(self) -> None:
        """Stop looking and wait until a look in progress has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def stale_seconds(self) -> float:
        """Seconds since what is served was last known to be what is published."""
        return time.monotonic() - self._good_at

    def poll(self, *, pause: Pause | None = None) -> bool:
        """Look once; return whether what is served is what is published."""
        pause = pause or self._pause
        try:
            path = current_copy(self._settings.published_dir)
            identity = _identity(path, self._clock().date())
            if identity != self._identity:
                self._load(path, identity, pause)
            self._find_pending()
        except (MabError, duckdb.Error, pa.ArrowException, OSError, ValueError, KeyError) as error:
            self._note_failure(error)
            return False
        self._good_at = time.monotonic()
        return True

    def add(self, record: Record) -> None:
        """Make an experiment known that was registered a moment ago."""
        with self._writing:
            self.registry = self.registry.adding(record)

    def look_up(self, experiment_id: str) -> Record | None:
        """Find an experiment that another process registered since the last look."""
        try:
            event = registered(self._inbox, experiment_id)
        except (InboxError, OSError):
            return None  # what is served does not depend on the inbox
        if event is None:
            return None
        record = registered_record(event)
        self.add(record)
        return record

    def _run(self) -> None:
        while not self._stopping.wait(self._settings.api_refresh_seconds):
            self.poll()

    def _load(self, path: Path, identity: Identity, pause: Pause) -> None:
        started = time.monotonic()
        copy = self._open(path, identity)
        snapshot = build_snapshot(copy, self._settings, now=self._clock(), pause=pause)
        snapshot.copy = self._reopened(copy, path)
        old, self.snapshot = self.snapshot, snapshot
        with self._writing:
            self.registry = Registry(snapshot.records, self.registry.pending)
        self._identity = identity
        seconds = time.monotonic() - started
        self._metrics.refresh_seconds.set(seconds)
        self._log.info(
            "refreshed",
            copy=path.name,
            experiments=len(snapshot.entries),
            seconds=round(seconds, 3),
        )
        if old is not None:
            _discard(old, pause)
        del old
        _release_memory()

    def _open(self, path: Path, identity: Identity) -> Copy:
        """Open a copy; DuckDB would hand out again what it holds open under the same name."""
        before = self._identity
        if self.snapshot and before and before.path == path:
            if before._replace(today=identity.today) == identity:
                return self.snapshot.copy.branch()  # only the day is another one
            self.snapshot.copy.close()  # somebody made MAB_HOME anew, or broke the file
        return open_copy(path, config=COPY_CONFIG)

    def _reopened(self, copy: Copy, path: Path) -> Copy:
        """Open the copy anew for history: what DuckDB cached while loading is not needed again."""
        if self.snapshot and copy.name == self.snapshot.copy.name:
            return copy
        copy.close()
        return open_copy(path, config=COPY_CONFIG)

    def _find_pending(self) -> None:
        """Read the registrations that are in the inbox but not in the published copy."""
        try:
            names = self._inbox.experiment_ids()
        except OSError:
            return  # what is served does not depend on the inbox
        for name in names:
            if self.registry.get(name) is None:
                self.look_up(name)

    def _note_failure(self, error: Exception) -> None:
        self._metrics.refresh_failures.inc()
        now = time.monotonic()
        if now - self._warned_at >= WARNING_SECONDS:
            self._warned_at = now
            self._log.warning(
                "refresh failed",
                reason=str(error).splitlines()[0] if str(error) else type(error).__name__,
                serving=self.snapshot.copy.name if self.snapshot else None,
                stale_seconds=round(self.stale_seconds, 1),
            )

    def _pause(self) -> None:
        """Give the GIL to the event loop; at most a third of a core goes into a refresh."""
        self._stopping.wait(PAUSE_SECONDS)


def _identity(path: Path, today: date) -> Identity:
    stat = path.stat()
    return Identity(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, today)


def _discard(old: Snapshot, pause: Pause) -> None:
    """Let go of an old snapshot bit by bit: to free it in one go would hold the GIL for long."""
    entries = list(old.entries.values())
    records = list(old.records.values())
    del old
    while entries or records:
        del entries[-200:], records[-200:]
        pause()


def _release_memory() -> None:
    """Give back to the system what building and discarding left free."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)


def _no_pause() -> None:
    """Nobody waits before the first snapshot is there."""
