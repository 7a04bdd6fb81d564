"""Registrations: finds experiments that are in the inbox but not in the published copy."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import date, datetime
from threading import Event

from mab_api.snapshot.experiment_index import ExperimentIndex, ExperimentRecord, records_of
from mab_store.errors import InboxError
from mab_store.experiments.events import Registry, true_on
from mab_store.experiments.registration import events_of
from mab_store.files.inbox import Inbox

ID_LENGTH = len("exp_") + 12
_DIGITS = frozenset("0123456789abcdef")
SETTLED_SECONDS = 10.0
"""A folder that changed this long ago shows every later entry by a new time."""


def is_experiment_id(text: str) -> bool:
    """Return whether an experiment could have this id."""
    digits = text.removeprefix("exp_")
    return len(text) == ID_LENGTH and len(digits) == 12 and _DIGITS.issuperset(digits)


class Registrations:
    """Looks for registrations and adds them to the experiment index."""

    def __init__(self, inbox: Inbox, index: ExperimentIndex, clock: Callable[[], datetime]) -> None:
        self._inbox = inbox
        self._index = index
        self._clock = clock
        self._changed_at: int | None = None
        self._day: date | None = None
        self._unread: set[str] = set()

    def look_up(self, experiment_id: str) -> ExperimentRecord | None:
        """Read an experiment's events as of today, and add it to the index if it is registered."""
        try:
            events = events_of(self._inbox, experiment_id)
        except (InboxError, OSError):
            return None  # served data does not depend on the inbox
        if not events.experiments:
            return None
        record = record_on(events, self._clock().date())
        self._index.add(record)
        return record

    def find(self, stopping: Event) -> None:
        """Read the registrations that the index does not know yet.

        The folder of experiments is listed only if it has a new entry. Pending experiments are read
        again on each new day, because a change holds from the day after it was made.

        Args:
            stopping: Ends it early when set.
        """
        day = self._clock().date()
        if day != self._day:
            self._read(self._index.pending_ids(), stopping)
        with suppress(OSError):
            status = self._inbox.folder_status("experiments")
            changed_at = status and status.st_mtime_ns
            if changed_at is None or changed_at != self._changed_at:
                self._unread = set(filter(self._is_unknown, self._inbox.experiment_ids()))
                is_settled = changed_at and time.time() - changed_at / 1e9 > SETTLED_SECONDS
                self._changed_at = changed_at if is_settled else None
        self._read(self._unread.copy(), stopping)
        if not stopping.is_set():
            self._day = day

    def forget(self) -> None:
        """List the folder again next time: a publication may lack earlier experiments."""
        self._changed_at = None

    def _is_unknown(self, name: str) -> bool:
        return is_experiment_id(name) and name not in self._index

    def _read(self, experiment_ids: Iterable[str], stopping: Event) -> None:
        for experiment_id in experiment_ids:
            if stopping.is_set():
                return
            if self.look_up(experiment_id):
                self._unread.discard(experiment_id)


def record_on(registry: Registry, day: date) -> ExperimentRecord:
    """Return an experiment's record as it is on a day.

    Args:
        registry: The events of this one experiment, folded.
        day: The day.
    """
    experiment, variants = true_on(registry, day)
    rows = [
        experiment
        | {
            "variant_name": variant["variant_name"],
            "is_control": variant["is_control"],
            "variant_status": variant["status"],
        }
        for variant in variants
    ]
    (record,) = records_of(rows, {experiment["experiment_id"]: experiment["decision"]})
    return record
