"""The home of a run: locked by its first step, and complete before any decision is made in it."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import dagster as dg

from mab_pipeline.allocation.publish import serve
from mab_pipeline.recovery.rebuild import restore
from mab_pipeline.resources import LastResult, Platform, inbox_fault
from mab_store.errors import HomeError, PublicationRefusedError, WarehouseLostError
from mab_store.home_lock import Say
from mab_store.how_many import how_many

ATTEMPTS = 3
# A run's messages with this prefix are shown on the terminal too.
NOTE = "MAB_HOME: "


def what_is_missing(platform: Platform) -> str:
    """Return in words the rows of the journal that the warehouse lacks; empty if none.

    The warehouse is committed before the journal, so it may hold more.
    """
    try:
        with platform.warehouse.transaction() as transaction:
            counts = platform.journal.missing_from(transaction)
    except WarehouseLostError as error:
        return str(error)
    if not counts:
        return ""
    rows = ", ".join(f"{how_many(count, 'row')} of {table}" for table, count in counts.items())
    return (
        f"The warehouse is empty or older than the journal, which holds {rows} that it lacks. Run "
        "`mab rebuild`: it restores them, and the rest from the inbox."
    )


def check_is_whole(platform: Platform) -> None:
    """Check that the warehouse is neither empty nor older than the journal.

    Raises:
        WarehouseLostError: It is empty or older.
    """
    if missing := what_is_missing(platform):
        raise WarehouseLostError(missing)


class RunHome:
    """The home lock of one run, and the state of its home."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._held: ExitStack | None = None

    def enter(self, doing: str, say: Say) -> None:
        """Lock the home for the whole run; a second call does nothing.

        Raises:
            HomeError: The folder of MAB_INBOX is missing.
            WarehouseLostError: The warehouse is empty or older than the journal, and runs may not
                rebuild it by themselves.
            HomeLockedError: A rebuild or prune took too long to wait for.
        """
        if self._held is not None:
            return
        if fault := inbox_fault(self._platform.settings):
            raise HomeError(fault)

        def note(text: str) -> None:
            say(NOTE + text)

        for _ in range(ATTEMPTS):
            with ExitStack() as stack:
                stack.enter_context(self._platform.lock.shared(doing, say=note))
                missing = what_is_missing(self._platform)
                if not missing:
                    self._held = stack.pop_all()
                    return
            if not self._platform.settings.rebuilds_by_itself:
                break
            self._rebuild(f"the rebuild before {doing}", note)
        raise WarehouseLostError(missing)

    def leave(self) -> None:
        """Release the home."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _rebuild(self, doing: str, note: Say) -> None:
        """Restore the warehouse alone in the home, unless another run has just restored it."""
        with self._platform.lock.alone(doing, say=note):
            if missing := what_is_missing(self._platform):
                note(f"{missing.partition(' Run ')[0]} It is rebuilt first.")
                note(str(restore(self._platform)))
                try:
                    serve(self._platform)
                except PublicationRefusedError as error:
                    note(str(error))  # the run's own publication is judged separately


def platform_of_a_run(platform: Platform) -> dg.ResourceDefinition:
    """Return the resource of assets and checks; sensors use it too, and never lock the home."""

    @dg.resource(description="The shared resources: inbox, warehouse, journal, clock.")
    def of_a_run(_context: dg.InitResourceContext) -> Iterator[Platform]:
        home = RunHome(platform)
        try:
            yield replace(platform, entrance=home, decisions=LastResult())
        finally:
            home.leave()

    return of_a_run
