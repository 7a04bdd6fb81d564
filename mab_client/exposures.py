"""Exposures: who saw what, handed to the caller's own logging in batches."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mab_client.document import Assignment

log = logging.getLogger("mab_client")

MOST_WAITING = 100_000
BATCH = 1_000


class Exposure(NamedTuple):
    """A session was assigned a variant.

    Attributes:
        experiment_id: The experiment.
        session_id: The session.
        variant: The variant that it was assigned.
        source: Why: `allocation`, `sticky`, `control` or `default`.
        allocation_id: The published decision; None for a default.
        at: When [seconds since 1970].
    """

    experiment_id: str
    session_id: str
    variant: str | None
    source: str
    allocation_id: str | None
    at: float


class Exposures:
    """A queue: the caller's path only appends to it, and the client's thread calls back.

    Args:
        deliver: Takes a batch. If it raises, the batch is tried again with the next one.
        clock: Seconds since 1970.
    """

    def __init__(
        self,
        deliver: Callable[[Sequence[Exposure]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._deliver = deliver
        self._clock = clock
        self._waiting: deque[Exposure] = deque()
        self.dropped = 0

    def add(self, session_id: str, assigned: Assignment) -> None:
        """Queue one; while too many wait, new ones are dropped and counted."""
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        experiment_id, variant, source, allocation_id = assigned
        self._waiting.append(
            Exposure(experiment_id, session_id, variant, source, allocation_id, self._clock())
        )

    def forget(self) -> None:
        """Drop what waits, without a count: another process hands it over."""
        self._waiting = deque()

    def flush(self) -> None:
        """Hand over what waits, in the order of the assignments; called by one thread at a time."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                self._deliver(batch)
            except Exception:
                self._waiting.extendleft(reversed(batch))
                log.exception("The exposure callback failed; %d exposures wait", len(self._waiting))
                return
