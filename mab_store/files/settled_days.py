"""Settled days: old days of the inbox that a look found loaded, and that nothing entered since.

The sensor looks every half minute. A folder's change time, which no copy can set, shows that a file
came, went or got another name. It does not show that a file was changed in place, which is against
the rule of the inbox; so a settled day is looked at again after half an hour to an hour. Forgetting
all of it, as a new process does, costs one long look and nothing else.
"""

from dataclasses import dataclass, field
from datetime import date

from mab_store.files.inbox import Inbox

SETTLED_SECONDS = 10.0
"""A folder that changed this long ago shows every later entry by a new time."""
LOOKED_AT_SECONDS = 1800.0


@dataclass(frozen=True, slots=True)
class DayState:
    """What a look at a day depends on.

    Attributes:
        changed_at: When its folder last changed [ns since 1970]; None if that is unknown.
        ledger: Number of its files in the ledger and when the last of them was loaded.
    """

    changed_at: int | None
    ledger: object


@dataclass(slots=True)
class SettledDays:
    """The settled days of one process, and until when each is taken for settled."""

    _until: dict[date, tuple[DayState, float]] = field(default_factory=dict)

    def holds(self, day: date, state: DayState, now: float) -> bool:
        """Return whether a day needs no look [`now`: seconds since 1970]."""
        before, until = self._until.get(day, (None, 0.0))
        return state == before and state.changed_at is not None and now < until

    def note(self, day: date, state: DayState, now: float) -> None:
        """Note that a look at a day, in the state before it, found everything loaded."""
        if state.changed_at is not None and now - state.changed_at / 1e9 > SETTLED_SECONDS:
            spread = LOOKED_AT_SECONDS * (day.toordinal() % 60) / 60  # not all at the same tick
            self._until[day] = state, now + LOOKED_AT_SECONDS + spread


def day_state(inbox: Inbox, day: date, ledger: object) -> DayState:
    """Return the state of a day; it must be taken before the day is listed."""
    status = inbox.folder_status(f"metrics/{day}")
    # Unlike the modification time, the change time cannot be set.
    return DayState(status and status.st_ctime_ns, ledger)
