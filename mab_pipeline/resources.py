"""The shared resources of assets and checks, as one Dagster resource.

Dagster concept: https://docs.dagster.io/guides/build/external-resources
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol, TypeVar

from mab_store.clock import Clock, utc_now
from mab_store.files.entries import local_path
from mab_store.files.inbox import Inbox
from mab_store.files.journal import Journal
from mab_store.files.limits import Limits
from mab_store.files.receipts import Receipts
from mab_store.files.settled_days import SettledDays
from mab_store.home_lock import HomeLock, Say
from mab_store.settings import Settings
from mab_store.warehouse.warehouse import Warehouse, open_warehouse

Result = TypeVar("Result")


class Entrance(Protocol):
    """Lets a run into the home."""

    def enter(self, doing: str, say: Say) -> None:
        """Take the home for the whole run; once it is taken this does nothing.

        Args:
            doing: The work, for processes that wait.
            say: Receives messages about waiting and about repairs.
        """


class LastResult:
    """The last result of a computation, which a later step with the same input takes over."""

    def __init__(self) -> None:
        self._given: object = None
        self._result: Any = None

    def of(self, given: object, compute: Callable[[], Result]) -> Result:
        """Return the result for an input; compute it unless the last one was for an equal input."""
        if self._result is None or self._given != given:
            self._given = self._result = None  # free the old one first: both can be large
            self._result = compute()
            self._given = given
        result: Result = self._result
        return result


@dataclass(frozen=True, slots=True)
class Platform:
    """The shared resources of assets and checks.

    Attributes:
        settings: The settings.
        inbox: The files that come in.
        warehouse: The tables.
        journal: The immutable record of decisions.
        clock: Returns the time as naive UTC.
        lock: The lock of the whole home.
        entrance: Lets the first step of a run into the home; None outside of runs.
        decisions: The last decisions that were identified; a run has its own.
        settled: Old days of the inbox that need no look, for this process.
    """

    settings: Settings
    inbox: Inbox
    warehouse: Warehouse
    journal: Journal
    clock: Clock
    lock: HomeLock
    entrance: "Entrance | None" = None
    decisions: LastResult = field(default_factory=LastResult)
    settled: SettledDays = field(default_factory=SettledDays)

    def enter(self, run_id: str, say: Say) -> None:
        """Begin a step of a run: the first one takes the home and checks that it is complete."""
        if self.entrance is not None:
            self.entrance.enter(f"run {run_id}", say)

    def lookback_start(self, start: date) -> date:
        """Return the first day that the windows of as-of day `start` can see."""
        first = start - timedelta(days=self.settings.max_window_days - 1)
        return max(first, self.settings.mab_start_date)


def inbox_fault(settings: Settings) -> str:
    """Return why the inbox cannot be used, as a sentence; empty if nothing is wrong.

    A folder below MAB_HOME is made on demand, and an object store has no folders. A MAB_INBOX that
    is missing is more likely a typing error or a disk that is not mounted.
    """
    folder = local_path(settings.inbox_root)
    if not settings.mab_inbox or folder is None or folder.is_dir():
        return ""
    return (
        f"MAB_INBOX={settings.mab_inbox} is not a folder. Correct MAB_INBOX, mount the disk, or "
        "make the folder: `mab init` does that."
    )


def open_inbox(settings: Settings) -> Inbox:
    """Return the inbox that the settings name."""
    return Inbox(
        settings.inbox_root,
        max_file_bytes=settings.inbox_max_file_mb << 20,
        receipts=Receipts(settings.receipts_dir),
        limits=Limits.of(settings),
    )


def build_platform(settings: Settings, *, clock: Clock = utc_now) -> Platform:
    """Build the parts that the settings name."""
    return Platform(
        settings=settings,
        inbox=open_inbox(settings),
        warehouse=_warehouse(settings),
        journal=Journal(settings.journal_dir),
        clock=clock,
        lock=HomeLock(settings),
    )


def _warehouse(settings: Settings) -> Warehouse:
    """Return the engine's warehouse; on Snowflake the pipeline connects through Dagster."""
    if settings.mab_engine == "snowflake":
        from mab_pipeline.snowflake_resource import snowflake_warehouse  # noqa: PLC0415  # engine on demand

        return snowflake_warehouse(settings)
    return open_warehouse(settings)
