"""Restore a lost warehouse from inbox and journal.

The loaders and the SQL of the ordinary assets recompute every table that follows from the inbox.
Ledger, decisions and publications are read back from the journal.

The new warehouse is filled apart from the old one and replaces it in one step. A crash leaves the
old state, or one that asks for `mab rebuild`. On Snowflake the tables are filled in place,
decisions last: until then the missing decisions ask for it too.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from mab_pipeline.allocation.publish import serve
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.windows import compute_windows
from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_pipeline.ingestion.waiting_files import journaled, missing_files
from mab_pipeline.resources import Platform
from mab_store.clock import Clock
from mab_store.days import Days, unbroken
from mab_store.errors import WarehouseError, WarehouseLockedError
from mab_store.files.journal import DECISIONS, JOURNALED, LEDGER, last_of_each_file
from mab_store.home_lock import Say
from mab_store.how_many import how_many


class Rebuilt(NamedTuple):
    """The result of a rebuild.

    Attributes:
        restored: Rows read back from the journal, by table.
        loaded: Days of metrics that were loaded.
        windowed: As-of dates whose windows were computed.
        set_aside: The old warehouse; None if there was none.
        missing: Files that counted and are not in the inbox: archived, or lost. Their days come
            back without rows.
    """

    restored: dict[str, int]
    loaded: int
    windowed: int
    set_aside: Path | None
    missing: tuple[str, ...]

    def __str__(self) -> str:
        restored = ", ".join(
            f"{how_many(count, 'row')} of {table}" for table, count in self.restored.items()
        )
        aside = f" The old warehouse is {self.set_aside}." if self.set_aside else ""
        days = sorted({name.split("/")[1] for name in self.missing})
        gone = (
            f" No longer in the inbox: {how_many(len(self.missing), 'file')}, such as "
            f"{self.missing[0]}; without rows: {how_many(len(days), 'day')} ({days[0]} to "
            f"{days[-1]}). Put the files back and run `mab rebuild` again."
            if self.missing
            else ""
        )
        return (
            f"Restored {restored}; loaded {how_many(self.loaded, 'day')}, computed the windows of "
            f"{self.windowed}.{aside}{gone}"
        )


def rebuild(
    platform: Platform, *, say: Say = lambda _text: None, accept_loss: bool = False
) -> Rebuilt:
    """Restore the warehouse while nothing else runs, and publish it.

    The old warehouse is set aside, never deleted.

    Args:
        platform: The shared resources.
        say: Receives a sentence while the rebuild waits for a run.
        accept_loss: Whether readers may lose published allocations.

    Raises:
        HomeLockedError: A run took too long to wait for.
        PublicationRefusedError: Readers would lose published allocations, and this is not accepted.
    """
    with platform.lock.alone("mab rebuild", say=say):
        rebuilt = restore(platform)
        serve(platform, accept_loss=accept_loss)
    return rebuilt


def restore(platform: Platform) -> Rebuilt:
    """Restore the warehouse; the caller holds the home lock alone, and publishes."""
    _journal_what_is_committed(platform)
    journal = {table: platform.journal.read(table) for table in JOURNALED}
    journal[LEDGER] = last_of_each_file(journal[LEDGER])
    with platform.warehouse.replacement(f"{platform.clock():%Y%m%dT%H%M%S}") as made:
        loaded, windowed = _fill(replace(platform, warehouse=made.warehouse), journal)
    restored = {table: len(rows) for table, rows in journal.items()}
    by_day = missing_files(platform.inbox, journaled(journal[LEDGER])).values()
    missing = sorted(name for names in by_day for name in names)
    return Rebuilt(restored, loaded, windowed, made.set_aside, tuple(missing))


def _journal_what_is_committed(platform: Platform) -> None:
    """Write the rows that a crash kept out of the journal; a damaged warehouse adds none."""
    try:
        with platform.warehouse.transaction() as transaction:
            if not platform.journal.missing_from(transaction):
                platform.journal.write_missing(transaction)
    except WarehouseLockedError:
        raise
    except WarehouseError:
        return  # gone or damaged: the rebuild restores it


def _fill(made: Platform, journal: dict[str, pa.Table]) -> tuple[int, int]:
    """Fill an empty warehouse; return how many days were loaded and windowed."""
    yesterday = made.clock().date() - timedelta(days=1)
    made = replace(made, clock=_after_all_of(journal, made.clock))
    with made.warehouse.transaction() as transaction:
        transaction.load_arrow(LEDGER, journal[LEDGER])
    load_experiments(made)
    known = {day for day in journal[LEDGER]["metric_date"].to_pylist() if day}
    days = sorted(known or made.inbox.metric_days())
    loaded = [day for day in days if made.settings.mab_start_date <= day <= yesterday]
    if loaded:
        span = Days(loaded[0], loaded[-1] + timedelta(days=1))
        load_raw_metrics(made, span)
        load_daily_metrics(made, span)
    windowed = sorted(set(journal["allocations"]["as_of_date"].to_pylist()))
    rule = RuleSettings.of(made.settings)
    for span in (part for whole in unbroken(windowed) for part in whole.parts()):
        with made.warehouse.transaction() as transaction:
            compute_windows(transaction, rule, span)
    with made.warehouse.transaction() as transaction:
        for table in DECISIONS:
            transaction.load_arrow(table, journal[table])
        transaction.execute("schema/02_fill_current")
    return len(loaded), len(windowed)


def _after_all_of(journal: dict[str, pa.Table], clock: Clock) -> Clock:
    """Return a clock that is never behind the journal, as the real one may be."""
    stamps = {LEDGER: "loaded_at", **DECISIONS}
    newest = [pc.max(journal[table][column]).as_py() for table, column in stamps.items()]
    known: list[datetime] = [stamp for stamp in newest if stamp is not None]
    return lambda: max([clock(), *(stamp + timedelta(microseconds=1) for stamp in known)])
