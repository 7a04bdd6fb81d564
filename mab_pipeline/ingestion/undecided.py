"""Undecided days: days without a decision or with one of old windows, and the commands."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, timedelta

import dagster as dg

from mab_pipeline.resources import Platform
from mab_store.days import Days, unbroken

RANGES_SHOWN = 3
WINDOWS, DECISIONS = dg.AssetKey("windowed_aggregates"), dg.AssetKey("allocations")
PUBLICATION = dg.AssetKey("publication")


def notes_of_run(
    platform: Platform, days: Days, result: dg.ExecuteInProcessResult
) -> Iterator[str]:
    """Yield notes for a person after a run of these days, with the commands to run.

    None asks for a day of this run again: without an experiment it stays undecided.
    """
    made = {
        event.partition or ""
        for event in result.get_asset_materialization_events()
        if event.asset_key == WINDOWS
    }
    decided = _decided_days(platform)
    open_days = _without_decision(platform, decided)
    left = [day for day in open_days if not days.start <= day < days.end]
    notes = (outdated_note(decided, days, made), undecided_note(left))
    yield from filter(None, notes)


def undecided_days(platform: Platform) -> list[date]:
    """Return the days with inbox files that are over and were never decided, ascending."""
    return _without_decision(platform, _decided_days(platform))


def _without_decision(platform: Platform, decided: Collection[date]) -> list[date]:
    start, today = platform.settings.mab_start_date, platform.clock().date()
    decided = set(decided)
    return [
        day
        for day in platform.inbox.metric_days()
        if start <= day < today
        and day not in decided
        and platform.inbox.metric_files(day, day + timedelta(days=1))
    ]


def undecided_note(days: Sequence[date]) -> str:
    """Name the undecided days and the commands that decide them; empty if there are none.

    The newest come first: a decision still sees those.
    """
    if not days:
        return ""
    ranges = unbroken(days)[::-1]
    shown = [_name(part) for part in ranges[:RANGES_SHOWN]]
    if len(ranges) > RANGES_SHOWN:
        shown.append(f"{len(ranges) - RANGES_SHOWN} earlier ranges")
    noun = "day" if len(days) == 1 else "days"
    return (
        f"The inbox holds {len(days)} {noun} that no run has decided: {', '.join(shown)}. "
        f"To decide: {', then '.join(f'`{run_command(part)}`' for part in ranges[:RANGES_SHOWN])}."
    )


def outdated_note(decided: Sequence[date], days: Days, made: Collection[str]) -> str:
    """Return a note if a run of older days moved the windows of the newest decided one.

    Args:
        decided: The days with a decision, ascending.
        days: The days of the run.
        made: The as-of days whose windows it computed.
    """
    newest = decided[-1] if decided else None
    if newest is None or days.start <= newest < days.end or str(newest) not in made:
        return ""
    return (
        f"Late data moved the windows of {newest}, the newest decided day. To decide it again: "
        f"`{run_command(Days(newest, newest + timedelta(days=1)))}`."
    )


def moved_windows(instance: dg.DagsterInstance) -> tuple[str, str] | None:
    """Return the newest published day and the key of a change of its windows that it missed.

    It missed one if another run computed the windows after the run of the decision had begun. That
    run had loaded a file of the day on its way: inbox and ledger no longer show it as new. A day is
    published once its publication ran: Dagster's events say so, and no warehouse is asked.
    """
    day = max(instance.get_materialized_partitions(PUBLICATION), default=None)
    if day is None:
        return None
    made, decided = (_last_event(instance, asset, day) for asset in (WINDOWS, DECISIONS))
    if made is None or decided is None or made.run_id == decided.run_id:
        return None
    run = instance.get_run_record_by_id(decided.run_id)
    began = None if run is None else run.start_time
    is_missed = began is not None and made.timestamp > began
    return (day, f"windows-{made.storage_id}") if is_missed else None


def _last_event(
    instance: dg.DagsterInstance, asset: dg.AssetKey, day: str
) -> dg.EventLogRecord | None:
    wanted = dg.AssetRecordsFilter(asset_key=asset, asset_partitions=[day])
    return next(iter(instance.fetch_materializations(wanted, limit=1).records), None)


def _decided_days(platform: Platform) -> list[date]:
    with platform.warehouse.transaction() as transaction:
        decided = transaction.fetch_arrow("follow_up/decided_days")
    days: list[date] = decided["as_of_date"].to_pylist()
    return days


def run_command(days: Days) -> str:
    """Return the command that runs these days."""
    last = days.end - timedelta(days=1)
    span = f"--date {last}" if len(days) == 1 else f"--from {days.start} --to {last}"
    return f"mab run {span}"


def load_command(days: Days) -> str:
    """Return the command that loads these days and decides nothing."""
    return f"mab load --from {days.start} --to {days.end - timedelta(days=1)}"


def _name(days: Days) -> str:
    last = days.end - timedelta(days=1)
    return str(last) if len(days) == 1 else f"{days.start} to {last}"
