"""The client: a thread keeps the allocations fresh, and the caller's path only looks them up."""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import httpx

from mab_client.buckets import bucket
from mab_client.cache_file import CacheFile
from mab_client.document import Assignment, Experiment
from mab_client.exposures import Exposure, Exposures
from mab_client.polling import Poller
from mab_client.sticky import StickyStore
from mab_client.updater import Updater

log = logging.getLogger("mab_client")

FLUSH_SECONDS = 5.0
COMPLAIN_SECONDS = 60.0


class Status(NamedTuple):
    """The client's own health.

    Attributes:
        experiments: How many it knows.
        origin: Where they come from: `api`, `file` (of an earlier process), `bootstrap`, or None if
            it knows none.
        age_seconds: Since the API last said that they hold; None if it never did.
        is_stale: The age is above the limit, or not known.
        failures: Questions in a row that failed.
        last_error: What went wrong in the last question; None if it was answered.
        refused: Experiments of the last list that could not be read, with the reason; their
            former shares stay.
        dropped_exposures: Exposures lost because the callback does not keep up.
    """

    experiments: int
    origin: Literal["api", "file", "bootstrap"] | None
    age_seconds: float | None
    is_stale: bool
    failures: int
    last_error: str | None
    refused: Mapping[str, str]
    dropped_exposures: int


class Client:
    """Assigns sessions to variants by the last publication.

    A daemon thread asks the API with the ETag of the list that is there. If the API is away, the
    last good list stays in use: in memory and, with `cache_file`, for the next process too. After a
    fork the child gets a thread of its own.

    Args:
        url: Address of the API, with its root path if it has one.
        key: A read key, if the API asks for one.
        poll_seconds: How often to ask, at least 1; ten percent more or less, so that many clients
            spread.
        stale_seconds: The age [s] above which `Status.is_stale` is true.
        cache_file: Where to keep the last good list; several processes may share it.
        bootstrap: A list to begin with (an answer of `GET /allocations`) if the file has none.
        default: The variant of an experiment that the client does not know.
        defaults: The same by experiment, as `assign` names it.
        sticky: Keeps sessions' variants. Without it the bucket alone decides, and a session moves
            when its bucket does.
        on_exposures: Takes the assignments made, in batches, on the client's thread.
        transport: How httpx connects; None for the network.
        clock: Seconds since 1970.

    Raises:
        ValueError: `poll_seconds` is below 1, or `bootstrap` is no list of allocations.
        httpx.InvalidURL: `url` cannot be an address.
    """

    def __init__(  # noqa: PLR0913 - keywords with defaults, each a choice of its own
        self,
        url: str,
        *,
        key: str | None = None,
        poll_seconds: float = 60.0,
        stale_seconds: float = 3600.0,
        cache_file: str | os.PathLike[str] | None = None,
        bootstrap: bytes | str | Mapping[str, Any] | None = None,
        default: str | None = None,
        defaults: Mapping[str, str] | None = None,
        sticky: StickyStore | None = None,
        on_exposures: Callable[[Sequence[Exposure]], None] | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not poll_seconds >= 1:
            raise ValueError(f"poll_seconds must be at least 1, not {poll_seconds}")
        cache = CacheFile(Path(cache_file)) if cache_file is not None else None
        self._updater = Updater(cache, bootstrap, clock)
        self._connect = partial(Poller, url, key, poll_seconds, transport)
        httpx.URL(url)  # what cannot be an address fails here, not in the thread
        self._stale_seconds = stale_seconds
        self._default, self._defaults = default, dict(defaults or {})
        self._sticky = sticky
        self._exposures = Exposures(on_exposures, clock) if on_exposures else None
        self._clock = clock
        self._complained_at = -COMPLAIN_SECONDS
        self._start()
        _clients.add(self)

    def assign(self, experiment: str, session_id: str, *, default: str | None = None) -> Assignment:
        """Return the variant that this session sees.

        It raises nothing and waits for nothing, but for a sticky store that does.

        Args:
            experiment: Its id or its name.
            session_id: Names the session. If it is empty or no text, the session gets the control.
            default: The variant if the client does not know the experiment; it comes before those
                of the constructor.
        """
        found = None
        try:
            found = self._updater.document.by_key.get(experiment)
            if found is None:
                assigned = self._unknown(experiment, default)
            elif session_id and isinstance(session_id, str):
                assigned = found.places[bucket(found.experiment_id, session_id)]
                if self._sticky is not None:
                    assigned = self._stuck(self._sticky, found, session_id, assigned)
            else:
                assigned = found.control
        except Exception as error:  # noqa: BLE001 - a page view must not fail by its split
            self._complain("An assignment failed: %r", error)
            assigned = found.control if found else self._unknown(experiment, default)
        if self._exposures is not None:
            self._exposures.add(session_id, assigned)
        return assigned

    def status(self) -> Status:
        """Return how old the allocations are and what went wrong last."""
        known = self._updater
        confirmed_at = known.confirmed_at
        age = None if confirmed_at is None else max(self._clock() - confirmed_at, 0.0)
        return Status(
            experiments=known.document.experiments,
            origin=known.origin,
            age_seconds=age,
            is_stale=age is None or age > self._stale_seconds,
            failures=known.failures,
            last_error=known.last_error,
            refused=known.document.refused,
            dropped_exposures=self._exposures.dropped if self._exposures else 0,
        )

    def wait_until_ready(self, timeout: float) -> bool:
        """Wait for a first list, from wherever; return whether it came within `timeout` seconds."""
        return self._ready.wait(timeout)

    def close(self, timeout: float = 5.0) -> None:
        """Stop asking, and hand over the exposures that wait; `assign` keeps working.

        Args:
            timeout: Seconds to wait for a question that is under way.
        """
        self._closing.set()
        self._thread.join(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _unknown(self, experiment: object, default: str | None) -> Assignment:
        named = experiment if type(experiment) is str else ""  # nothing with methods of its own
        variant = self._defaults.get(named, self._default) if default is None else default
        return Assignment(named, variant, "default")

    def _stuck(
        self, store: StickyStore, found: Experiment, session_id: str, assigned: Assignment
    ) -> Assignment:
        """Return the variant kept for the session if it is live; otherwise keep its bucket's."""
        try:
            held = store.get(found.experiment_id, session_id)
            if held == assigned.variant:
                return assigned
            if held is not None and held in found.variants:
                return found.variants[held]._replace(source="sticky")
            if assigned.variant is not None:
                store.put(found.experiment_id, session_id, assigned.variant)
        except Exception as error:  # noqa: BLE001 - the store is the caller's; its bucket still holds
            self._complain("The sticky store failed: %r", error)
        return assigned

    def _complain(self, text: str, error: Exception) -> None:
        """Log at most one such line a minute: this path may fail a thousand times a second."""
        now = time.monotonic()
        if now - self._complained_at >= COMPLAIN_SECONDS:
            self._complained_at = now
            log.warning(text, error)

    def _start(self) -> None:
        """Start the thread, with events and a connection that no other process has."""
        self._ready, self._closing = threading.Event(), threading.Event()
        if self._updater.origin is not None:
            self._ready.set()
        self._thread = threading.Thread(target=self._run, name="mab-client", daemon=True)
        self._thread.start()

    def restart_after_fork(self) -> None:
        """Start again in a child process; the exposures that wait are the parent's to hand over."""
        if self._exposures is not None:
            self._exposures.forget()
        if not self._closing.is_set():
            self._start()

    def _run(self) -> None:
        poller = self._connect()
        try:
            while not self._closing.is_set():
                until = self._updater.ask(poller) + time.monotonic()
                if self._updater.origin is not None:
                    self._ready.set()
                while (left := until - time.monotonic()) > 0:
                    if self._closing.wait(min(left, FLUSH_SECONDS)):
                        break
                    self._flush()
        finally:
            poller.close()
            self._flush()

    def _flush(self) -> None:
        if self._exposures is not None:
            self._exposures.flush()


_clients: weakref.WeakSet[Client] = weakref.WeakSet()


def _restart_all() -> None:
    for client in list(_clients):
        client.restart_after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_restart_all)
