"""Find and drop expired data.

The inbox is the source of truth and is never touched. Ledger, publications and daily_metrics stay
too: they are small and record which files were received, which shares were live and which counts
were accepted.

Every step can be interrupted anywhere and repeated. The surplus of the journal is found in the
journal itself, by the same SQL as in the tables, which change in one transaction. The journal is
pruned first: a journal that holds more than the warehouse would mean that the warehouse is old.
"""

import re
import tempfile
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from mab_pipeline.recovery.home import check_is_whole
from mab_pipeline.resources import Platform
from mab_pipeline.runs.retention import (
    forget,
    forget_check_results,
    forget_ticks,
    give_space_back,
    old_check_results,
    old_runs,
    old_ticks,
    size_of,
)
from mab_store.errors import NotPublishedError, UsageError
from mab_store.home_lock import Say
from mab_store.warehouse.duckdb.published_copies import current_copy, drop_unused_history
from mab_store.warehouse.duckdb.warehouse import DuckDBWarehouse
from mab_store.warehouse.warehouse import Transaction, rolled_back

REPLAY_DAYS_BEYOND_THE_WINDOW = 30


class Prunable(NamedTuple):
    """Expired data of one kind.

    Attributes:
        kind: Its name.
        amount: Number of rows, files or runs.
        size_bytes: Their size; for table rows roughly that of their text.
        oldest: Day of the oldest; None if there is none.
        newest: Day of the newest.
    """

    kind: str
    amount: int
    size_bytes: int
    oldest: date | None
    newest: date | None


def parse_age(text: str) -> int:
    """Return the days that an age such as `180d` or `180` means.

    Raises:
        UsageError: It is not an age.
    """
    match = re.fullmatch(r"([0-9]{1,5})\s*(d|days?)?", text.strip().lower())
    if match is None:
        raise UsageError(f"--older-than {text!r} is not an age in days; write it as 180d.")
    return int(match[1])


def prune(
    platform: Platform,
    instance: dg.DagsterInstance,
    *,
    older_than_days: int,
    apply: bool,
    say: Say = lambda _text: None,
) -> list[Prunable]:
    """Find expired data of at least an age, and drop it if asked.

    Ages count from the newest published day, or from today if that is earlier. Neither an idle
    home nor a clock that jumped ahead expires data that a replay needs.

    Args:
        platform: The shared resources.
        instance: Dagster's records.
        older_than_days: The age.
        apply: Whether to drop the data; otherwise nothing is changed.
        say: Receives a sentence while prune waits for a run.

    Raises:
        UsageError: The age reaches into the protected days.
        HomeLockedError: A run took too long to wait for.
        WarehouseLostError: The warehouse is empty or older than the journal.
    """
    _check_age(older_than_days, platform.settings.max_window_days)
    hold = platform.lock.alone if apply else platform.lock.shared
    with hold("mab prune", say=say):
        check_is_whole(platform)
        return _prune(platform, instance, older_than_days, apply=apply)


def _prune(
    platform: Platform, instance: dg.DagsterInstance, older_than_days: int, *, apply: bool
) -> list[Prunable]:
    with platform.warehouse.transaction() as transaction:
        (row,) = transaction.fetch_arrow("serving/newest_published_day").to_pylist()
    newest = row["newest_day"] or platform.settings.mab_start_date
    today = min(platform.clock().date(), newest + timedelta(days=1))
    cutoff = today - timedelta(days=older_than_days)
    return [
        *_prune_tables(platform, cutoff, apply=apply),
        *_prune_files(platform, cutoff, apply=apply),
        *_prune_dagster(instance, cutoff, apply=apply),
    ]


def _check_age(days: int, max_window_days: int) -> None:
    replayed = max_window_days + REPLAY_DAYS_BEYOND_THE_WINDOW
    least = replayed + max_window_days
    if days < least:
        raise UsageError(
            f"--older-than {days}d reaches into the protected days: the last {replayed} days "
            f"(MAX_WINDOW_DAYS + {REPLAY_DAYS_BEYOND_THE_WINDOW}) can be replayed, and the first "
            f"of them looks {max_window_days} days back. Give {least}d or more."
        )


def _prune_tables(platform: Platform, cutoff: date, *, apply: bool) -> list[Prunable]:
    parameters = {"cutoff_date": cutoff}
    warehouse = platform.warehouse
    if apply:
        with warehouse.transaction() as transaction:
            platform.journal.write_missing(transaction)
        _prune_journal(platform, cutoff)
    with warehouse.transaction() if apply else rolled_back(warehouse) as transaction:
        (raw,) = transaction.fetch_arrow("prune/raw_metrics_found", parameters).to_pylist()
        transaction.execute("prune/raw_metrics", parameters)
        superseded = _drop_versions(transaction, cutoff)
    days = pc.min_max(superseded["as_of_date"]).as_py()
    return [
        Prunable("rows of raw_metrics", *raw.values()),
        Prunable(
            "rows of allocations, superseded and never published",
            pc.sum(superseded["item_count"]).as_py() or 0,
            pc.sum(superseded["size_bytes"]).as_py() or 0,
            days["min"],
            days["max"],
        ),
    ]


def _drop_versions(transaction: Transaction, cutoff: date) -> pa.Table:
    """Drop superseded decisions in the open transaction, and return them."""
    parameters = {"cutoff_date": cutoff}
    before = transaction.fetch_arrow("prune/allocations_versions", parameters)
    transaction.execute("prune/allocations", parameters)
    after = transaction.fetch_arrow("prune/allocations_versions", parameters)
    is_left = pc.is_in(before["allocation_id"], value_set=after["allocation_id"].combine_chunks())
    return before.filter(pc.invert(is_left))


def _prune_journal(platform: Platform, cutoff: date) -> None:
    """Drop superseded decisions from the journal; otherwise a rebuild would restore them."""
    with tempfile.TemporaryDirectory(prefix="mab-prune-") as folder:
        settings = platform.settings.model_copy(update={"mab_home": Path(folder)})
        scratch = DuckDBWarehouse(settings)
        with platform.warehouse.transaction(), scratch.transaction() as transaction:
            for table in ("allocations", "publications"):
                transaction.load_arrow(table, platform.journal.read(table))
            superseded = _drop_versions(transaction, cutoff)["allocation_id"].to_pylist()
            platform.journal.forget("allocations", "allocation_id", superseded)


def _prune_files(platform: Platform, cutoff: date, *, apply: bool) -> list[Prunable]:
    """Drop old files that are not in use: replaced copies, and warehouses set aside."""
    settings = platform.settings
    try:
        served = current_copy(settings.published_dir)
        copies = [path for path in settings.published_dir.glob("serving-*") if path != served]
    except NotPublishedError:
        copies = []  # it is unknown which one is served
    aside = settings.warehouse_path.parent.glob(f"{settings.warehouse_path.name}.before-*")
    found = []
    for kind, paths in (
        ("published copies that were replaced", copies),
        ("warehouses that a rebuild set aside", aside),
    ):
        old = [path for path in paths if _day_of(path) < cutoff]
        found.append(_sum_up(kind, [(path.stat().st_size, _day_of(path)) for path in old]))
        for path in old if apply else []:
            path.unlink(missing_ok=True)
    if apply and copies:
        drop_unused_history(settings.published_dir)
    return found


def _prune_dagster(instance: dg.DagsterInstance, cutoff: date, *, apply: bool) -> list[Prunable]:
    moment = datetime.combine(cutoff, time(), tzinfo=UTC)
    runs = old_runs(instance, before=moment)
    results = old_check_results(instance, before=moment)
    ticks = old_ticks(instance, before=moment)
    found = [
        _sum_up(
            "Dagster runs with their events",
            [(size_of(instance, run_id), day) for run_id, day in runs],
        ),
        _sum_up("Dagster results of checks", results),
        _sum_up("Dagster ticks of schedules and sensors", [(0, day) for day in ticks]),
    ]
    if apply:
        for run_id, _ in runs:
            forget(instance, run_id)
        forget_check_results(instance, before=moment)
        forget_ticks(instance, before=moment)
        if runs or results or ticks:
            give_space_back(instance)
    return found


def _sum_up(kind: str, items: Iterable[tuple[int, date]]) -> Prunable:
    sizes, days = [], []
    for size, day in items:
        sizes.append(size)
        days.append(day)
    return Prunable(kind, len(sizes), sum(sizes), min(days, default=None), max(days, default=None))


def _day_of(path: Path) -> date:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).date()
