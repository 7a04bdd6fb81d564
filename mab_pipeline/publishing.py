"""Publishing: which decision becomes what is served, with which buckets, and what is held back.

What belongs here: the gate's verdict per experiment, continuity of buckets, the rows of
`publications` and `publication_holds`. What does not: the conditions themselves (`gate.py`), and
moving files (warehouse adapter, journal).
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import pyarrow as pa

from mab_pipeline import bandit
from mab_pipeline.assets.declare import Days
from mab_pipeline.gate import (
    CurrentAllocations,
    Failure,
    Key,
    current_allocations,
    missing_rows,
    unlikely_draws,
    wrong_totals,
)
from mab_pipeline.platform import Platform
from mab_pipeline.stamps import next_stamp
from mab_store.schema import declared_tables
from mab_store.warehouse import Transaction

EXPERIMENT_GATES = {
    "every_running_variant_has_a_row": missing_rows,
    "shares_sum_to_100": wrong_totals,
    "monte_carlo_agrees_with_exact": unlikely_draws,
}
DATA_GAP = "data_gap"

Buckets = dict[str, list[tuple[int, int]]]


@dataclass(slots=True)
class _Live:
    """What an experiment's next publication continues."""

    newest_day: date | None = None
    live_buckets: Buckets | None = None
    newest_buckets: Buckets | None = None


@dataclass(slots=True)
class PublicationReport:
    """What publishing did.

    Attributes:
        published: Rows of `publications`.
        held: Rows of `publication_holds`; a finding that is noted already is not noted again.
        held_back: Day and experiment of every decision that the gate held back.
        unchanged: Decisions that were published before, or belong to a past day.
    """

    published: list[dict[str, object]] = field(default_factory=list)
    held: list[dict[str, object]] = field(default_factory=list)
    held_back: list[Key] = field(default_factory=list)
    unchanged: int = 0


def publish(
    platform: Platform,
    days: Days,
    *,
    run_id: str,
    republish: bool = False,
    accept_loss: bool = False,
) -> PublicationReport:
    """Publish the decisions of these days that pass the gate, and put the copy where readers look.

    Args:
        platform: The outside world.
        days: The as-of days.
        run_id: Dagster run that publishes.
        republish: Whether a day is published again when its decision changed although it is older
            than the newest published one, or its experiment is paused or finished by now.
        accept_loss: Whether it is meant that readers lose what they are served now.

    Raises:
        PublicationRefusedError: Readers would lose some of it, and this is not meant.
    """
    with platform.warehouse.transaction() as transaction:
        now = next_stamp(platform, transaction)
        report = _decide(transaction, platform, days, now=now, run_id=run_id, republish=republish)
        for table, rows in (
            ("publications", report.published),
            ("publication_holds", report.held),
        ):
            schema = declared_tables()[table].arrow_schema
            transaction.load_arrow(table, pa.Table.from_pylist(rows, schema=schema))
    serve(platform, accept_loss=accept_loss)
    return report


def serve(platform: Platform, *, accept_loss: bool = False) -> str:
    """Write the journal's missing entries, then copy the warehouse to where readers look.

    Raises:
        PublicationRefusedError: Readers would lose what they are served, and this is not meant.
    """
    with platform.warehouse.transaction() as transaction:
        platform.journal.write_missing(transaction)
    return platform.warehouse.publish_copy(accept_loss=accept_loss)


def _decide(
    transaction: Transaction,
    platform: Platform,
    days: Days,
    *,
    now: datetime,
    run_id: str,
    republish: bool,
) -> PublicationReport:
    current = current_allocations(transaction, days, platform.settings)
    faults = _faults_by_key(current)
    data_through = _data_through(transaction, days)
    live = _live_state(transaction)
    published = _published(transaction, days)
    noted = _noted_holds(transaction, days)
    gap_days, today = platform.settings.max_data_gap_days, platform.clock().date()
    frozen = _frozen(transaction, today=today)
    report = PublicationReport()
    for key, allocation_id, shares in current:
        day, experiment_id = key
        state = live[experiment_id]
        is_newest = state.newest_day is None or day >= state.newest_day
        before = published.get(key)
        may_change = republish or (is_newest and experiment_id not in frozen)
        if before == allocation_id or (before and not may_change):
            report.unchanged += 1
            continue
        reasons = dict(faults[key])
        through = data_through.get(key)
        if state.newest_day and through and (day - through).days >= gap_days:
            reasons[DATA_GAP] = (
                f"no accepted impressions since {through}, {gap_days} days are allowed"
            )
        common = {"as_of_date": day, "experiment_id": experiment_id, "run_id": run_id}
        if reasons:
            report.held += [
                common | {"held_at": now, "reason": reason, "detail": detail}
                for reason, detail in reasons.items()
                if (key, reason, detail) not in noted
            ]
            report.held_back.append(key)
            continue
        was_live = day + timedelta(days=1) >= today
        hundredths = {name: share.hundredths for name, share in shares.items()}
        previous = state.live_buckets if was_live and state.live_buckets else state.newest_buckets
        buckets = bandit.assign_buckets(hundredths, previous)
        report.published.append(
            common
            | {
                "published_at": now,
                "allocation_id": allocation_id,
                "buckets": json.dumps(buckets),
                "was_live": was_live,
                "data_through": through,
            }
        )
        if is_newest:
            state.newest_day = day
            state.newest_buckets = buckets
            if was_live:
                state.live_buckets = buckets
    return report


def _faults_by_key(current: CurrentAllocations) -> dict[Key, dict[str, str]]:
    faults: dict[Key, dict[str, str]] = defaultdict(dict)
    for name, find in EXPERIMENT_GATES.items():
        for failure in find(current):
            faults[_key(failure)][name] = failure.detail
    return faults


def _key(failure: Failure) -> Key:
    assert failure.experiment_id is not None
    return failure.day, failure.experiment_id


def _published(transaction: Transaction, days: Days) -> dict[Key, str]:
    """Return the allocation that was published last for each day and experiment."""
    rows = transaction.fetch_arrow("assets/publication_published", days.parameters).to_pylist()
    return {(row["as_of_date"], row["experiment_id"]): row["allocation_id"] for row in rows}


def _noted_holds(transaction: Transaction, days: Days) -> set[tuple[Key, str, str]]:
    rows = transaction.fetch_arrow("assets/publication_holds_noted", days.parameters).to_pylist()
    return {
        ((row["as_of_date"], row["experiment_id"]), row["reason"], row["detail"]) for row in rows
    }


def _frozen(transaction: Transaction, *, today: date) -> set[str]:
    """Return the experiments whose last publication stays, whatever data come late."""
    rows = transaction.fetch_arrow("assets/publication_frozen", {"today": today}).to_pylist()
    return {row["experiment_id"] for row in rows}


def _data_through(transaction: Transaction, days: Days) -> dict[Key, date | None]:
    rows = transaction.fetch_arrow("assets/publication_data_through", days.parameters)
    return {
        (row["as_of_date"], row["experiment_id"]): row["data_through"] for row in rows.to_pylist()
    }


def _live_state(transaction: Transaction) -> dict[str, _Live]:
    states: dict[str, _Live] = defaultdict(_Live)
    for row in transaction.fetch_arrow("assets/publication_state").to_pylist():
        state = states[row["experiment_id"]]
        buckets = {
            name: [(first, last) for first, last in pairs]
            for name, pairs in json.loads(row["buckets"]).items()
        }
        if row["is_newest"]:
            state.newest_day, state.newest_buckets = row["as_of_date"], buckets
        if row["was_live"]:
            state.live_buckets = buckets
    return states
