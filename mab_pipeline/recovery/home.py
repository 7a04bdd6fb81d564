"""The home of a run: taken by its first step, whole before anything is decided in it.

What belongs here: how a run comes in, whoever launched it, and what a whole home is. What does not:
the lock itself (`mab_store.home_lock`), restoring (`rebuild.py`).
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import dagster as dg

from mab_pipeline.allocation.publish import serve
from mab_pipeline.recovery.rebuild import restore
from mab_pipeline.resources import Platform
from mab_store.errors import PublicationRefusedError, WarehouseLostError
from mab_store.home_lock import Say

ATTEMPTS = 3
# Messages of a run that begin so are meant for the person at the terminal too.
NOTE = "MAB_HOME: "


def what_is_missing(platform: Platform) -> str:
    """Say what the warehouse lacks of the journal; empty if nothing, as it must be.

    The warehouse is committed before the journal, so that it may well hold more.
    """
    try:
        with platform.warehouse.transaction() as transaction:
            counts = platform.journal.missing_from(transaction)
    except WarehouseLostError as error:
        return str(error)
    if not counts:
        return ""
    rows = ", ".join(f"{count} rows of {table}" for table, count in counts.items())
    return (
        f"The warehouse is empty or older than the journal, which holds {rows} that it lacks. Run "
        "`mab rebuild`: it restores them, and the rest from the inbox."
    )


def check_is_whole(platform: Platform) -> None:
    """Refuse to work in a home whose warehouse is empty or older than the journal.

    Raises:
        WarehouseLostError: It is.
    """
    if missing := what_is_missing(platform):
        raise WarehouseLostError(missing)


class RunHome:
    """How one run comes in and goes."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._held: ExitStack | None = None

    def enter(self, doing: str, say: Say) -> None:
        """Take the home for the whole run; once it is taken this does nothing.

        Raises:
            WarehouseLostError: The warehouse is empty or older than the journal, and runs do not
                mend that by themselves.
            HomeLockedError: A rebuild or prune took too long to wait for.
        """
        if self._held is not None:
            return

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
        """Let go of the home."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _rebuild(self, doing: str, note: Say) -> None:
        """Restore the warehouse with nobody else at work, unless another run has just done it."""
        with self._platform.lock.alone(doing, say=note):
            if missing := what_is_missing(self._platform):
                note(f"{missing.partition(' Run ')[0]} It is rebuilt first.")
                note(str(restore(self._platform)))
                try:
                    serve(self._platform)
                except PublicationRefusedError as error:
                    note(str(error))  # the run's own publication is judged by itself


def platform_of_a_run(platform: Platform) -> dg.ResourceDefinition:
    """Return the resource of assets and checks; sensors take it too, and never enter."""

    @dg.resource(description="The outside world: inbox, warehouse, journal, clock.")
    def of_a_run(_context: dg.InitResourceContext) -> Iterator[Platform]:
        home = RunHome(platform)
        try:
            yield replace(platform, entrance=home)
        finally:
            home.leave()

    return of_a_run
