"""Publishing: the gate's verdict per experiment, continuous buckets, and the holds.

It writes the rows of `publications` and `publication_holds`, then the journal and the copy.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby

import pyarrow as pa

from mab_pipeline import bandit
from mab_pipeline.allocation.analyses import Judged, compare_ahead, store_analyses
from mab_pipeline.allocation.cross_check import disagreements
from mab_pipeline.allocation.current import keep_current
from mab_pipeline.allocation.gate import (
    CurrentAllocations,
    Failure,
    Key,
    Share,
    current_allocations,
    missing_rows,
    wrong_totals,
)
from mab_pipeline.allocation.timestamps import next_stamp
from mab_pipeline.allocation.variant_gaps import (
    ACCEPTED,
    VARIANT_GAP,
    VariantGap,
    VariantGaps,
    accepted_findings,
)
from mab_pipeline.resources import Platform
from mab_store.days import Days
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Transaction

EXPERIMENT_GATES = {
    "every_running_variant_has_a_row": missing_rows,
    "shares_sum_to_100": wrong_totals,
    "monte_carlo_agrees_with_exact": disagreements,
}
DATA_GAP = "data_gap"
SERVED_SHOWN = 100

Buckets = dict[str, list[tuple[int, int]]]
Row = dict[str, object]


@dataclass(frozen=True, slots=True)
class Order:
    """The options of a run.

    Attributes:
        run_id: Dagster run that publishes.
        republish: Whether a day is published again when its decision changed although it is older
            than the newest published one, or its experiment is paused or finished by now.
        accept_loss: Whether a loss of data that readers are served is intended.
        accept_variant_gap: Whether a variant gap holds nothing back.
    """

    run_id: str
    republish: bool = False
    accept_loss: bool = False
    accept_variant_gap: bool = False


@dataclass(slots=True)
class _Live:
    """The state that an experiment's next publication continues."""

    newest_day: date | None = None
    live_buckets: Buckets | None = None
    newest_buckets: Buckets | None = None
    accepted: frozenset[str] = frozenset()


@dataclass(slots=True)
class PublicationReport:
    """The result of publishing.

    Attributes:
        published: Rows of `publications`.
        held: Rows of `publication_holds`; a finding that is noted already is not noted again.
        accepted: Rows of `publication_holds` too: accepted gaps, which held nothing back.
        held_back: Day and experiment of every decision that the gate held back.
        held_now: Ids of the experiments that are held back after all of these days, ascending.
        unchanged: Decisions that were published before, or belong to a past day.
        judged: Of each experiment the newest decision that was published, or held back for a reason
            that is not noted yet.
        served: The first rows of what readers are served, with its state; for people.
    """

    published: list[Row] = field(default_factory=list)
    held: list[Row] = field(default_factory=list)
    accepted: list[Row] = field(default_factory=list)
    held_back: list[Key] = field(default_factory=list)
    held_now: list[str] = field(default_factory=list)
    unchanged: int = 0
    judged: dict[str, Judged] = field(default_factory=dict)
    served: list[Row] = field(default_factory=list)


def publish(platform: Platform, days: Days, order: Order) -> PublicationReport:
    """Publish the decisions of these days that pass the gate, and publish the copy.

    Args:
        platform: The shared resources.
        days: The as-of days.
        order: The options of the run.

    Raises:
        PublicationRefusedError: Readers would lose data, and the loss is not intended.
    """
    ahead = compare_ahead(platform.warehouse, days)
    with platform.warehouse.transaction() as transaction:
        gate = _Gate(transaction, platform, days, order)
        report = gate.decide()
        store_analyses(
            transaction, platform.settings, report.judged, run_id=order.run_id, ahead=ahead
        )
        report.served = gate.served()
    serve(platform, accept_loss=order.accept_loss)
    return report


def serve(platform: Platform, *, accept_loss: bool = False) -> str:
    """Write the journal's missing entries, then publish a copy of the warehouse.

    Raises:
        PublicationRefusedError: Readers would lose data, and the loss is not intended.
    """
    with platform.warehouse.transaction() as transaction:
        platform.journal.write_missing(transaction)
    return platform.warehouse.publish_copy(accept_loss=accept_loss)


class _Gate:
    """The gate at work on some days, within one transaction."""

    def __init__(
        self, transaction: Transaction, platform: Platform, days: Days, order: Order
    ) -> None:
        self._transaction, self._settings, self._order = transaction, platform.settings, order
        self._now, self._today = next_stamp(platform, transaction), platform.clock().date()
        self._current = current_allocations(transaction, days, platform)
        self._faults = _faults_by_key(self._current)
        self._data_through = _data_through(transaction, days)
        self._live = _live_state(transaction, days)
        self._published = _published(transaction, days)
        self._noted = _noted_holds(transaction, days)
        self._frozen = _frozen(transaction, today=self._today)
        self._gaps = VariantGaps(transaction, days, platform.settings)
        self._report = PublicationReport()

    def decide(self) -> PublicationReport:
        """Judge and store day by day: earlier days publish the promises that a day is judged by."""
        for day, group in groupby(self._current, key=lambda decision: decision[0][0]):
            decisions = [decision for decision in group if self._is_to_be_judged(*decision[:2])]
            gaps = self._gaps.of(day) if decisions else {}
            report = self._report
            first = len(report.published), len(report.held), len(report.accepted)
            for key, allocation_id, shares in decisions:
                self._judge(key, allocation_id, shares, gap=gaps.get(key[1]))
            self._store("publications", report.published[first[0] :])
            holds = report.held[first[1] :] + report.accepted[first[2] :]
            self._store("publication_holds", holds)
        self._report.held_now = self._held_now()
        return self._report

    def served(self) -> list[Row]:
        """Bring the current rows up to this run's rows; return the first that readers get."""
        has_written = bool(self._report.published or self._report.held)
        loss = self._order.accept_loss
        keep_current(self._transaction, self._now, has_written=has_written, accept_loss=loss)
        shown = {"today": self._today, "limit": SERVED_SHOWN}
        rows = self._transaction.fetch_arrow("assets/publication_served", shown)
        return list(rows.to_pylist())

    def _held_now(self) -> list[str]:
        """Return the held back experiments that nothing was published for since, by id."""
        held = set()
        for day, experiment_id in self._report.held_back:
            newest = self._live[experiment_id].newest_day
            if newest is None or day >= newest:
                held.add(experiment_id)
        return sorted(held)

    def _is_to_be_judged(self, key: Key, allocation_id: str) -> bool:
        """Count the decisions that are published already, or come too late to be."""
        before = self._published.get(key)
        is_frozen = not self._is_newest(key) or key[1] in self._frozen
        is_settled = before == allocation_id or (
            before is not None and is_frozen and not self._order.republish
        )
        self._report.unchanged += is_settled
        return not is_settled

    def _is_newest(self, key: Key) -> bool:
        newest = self._live[key[1]].newest_day
        return newest is None or key[0] >= newest

    def _judge(
        self, key: Key, allocation_id: str, shares: dict[str, Share], *, gap: VariantGap | None
    ) -> None:
        """Hold a decision back, or publish it with the accepted gap."""
        is_accepted = gap is not None and self._accepts(key, gap)
        reasons = self._reasons(key, None if is_accepted else gap)
        common: Row = {
            "as_of_date": key[0],
            "experiment_id": key[1],
            "run_id": self._order.run_id,
        }
        if reasons:
            new = [
                common | {"held_at": self._now, "reason": reason, "detail": detail}
                for reason, detail in reasons.items()
                if (key, reason, detail) not in self._noted
            ]
            self._report.held += new
            self._report.held_back.append(key)
            if new:
                self._note(key, allocation_id, is_published=False, faults=tuple(reasons.values()))
            return
        if accepted := gap if is_accepted else None:
            entry = {"held_at": self._now, "reason": ACCEPTED, "detail": accepted.acceptance}
            self._report.accepted.append(common | entry)
        self._publish(common, key, allocation_id, shares)
        faults = (accepted.detail,) if accepted else ()
        self._note(key, allocation_id, is_published=True, faults=faults)
        if self._is_newest(key):
            self._live[key[1]].accepted = accepted.findings if accepted else frozenset()

    def _note(
        self, key: Key, allocation_id: str, *, is_published: bool, faults: tuple[str, ...]
    ) -> None:
        """Keep the verdict on an experiment's newest decision, for its analysis."""
        if self._is_newest(key):
            through = self._data_through.get(key)
            if is_published and through and through < key[0]:
                faults += (f"no accepted impressions since {through}",)
            self._report.judged[key[1]] = Judged(
                key[0], allocation_id, self._now, is_published, faults
            )

    def _reasons(self, key: Key, gap: VariantGap | None) -> dict[str, str]:
        """Say why a decision is held back, if it is."""
        day, experiment_id = key
        reasons = dict(self._faults[key])
        if self._live[experiment_id].newest_day is None:
            return reasons  # there is nothing to keep
        through, allowed = self._data_through.get(key), self._settings.max_data_gap_days
        if through and (day - through).days >= allowed:
            reasons[DATA_GAP] = (
                f"no accepted impressions since {through}, {allowed} days are allowed"
            )
        elif gap:
            reasons[VARIANT_GAP] = gap.detail
        return reasons

    def _accepts(self, key: Key, gap: VariantGap) -> bool:
        """Say whether the gap is accepted: for this run, or for the last publication."""
        if self._order.accept_variant_gap:
            return True
        return self._is_newest(key) and gap.findings <= self._live[key[1]].accepted

    def _publish(self, common: Row, key: Key, allocation_id: str, shares: dict[str, Share]) -> None:
        """Give out the buckets, as near to those before as the shares allow."""
        day, state = key[0], self._live[key[1]]
        was_live = day + timedelta(days=1) >= self._today
        hundredths = {name: share.hundredths for name, share in shares.items()}
        previous = state.live_buckets if was_live and state.live_buckets else state.newest_buckets
        buckets = bandit.assign_buckets(hundredths, previous)
        self._report.published.append(
            common
            | {
                "published_at": self._now,
                "allocation_id": allocation_id,
                "buckets": json.dumps(buckets),
                "was_live": was_live,
                "data_through": self._data_through.get(key),
            }
        )
        if self._is_newest(key):
            state.newest_day = day
            state.newest_buckets = buckets
            if was_live:
                state.live_buckets = buckets

    def _store(self, table: str, rows: list[Row]) -> None:
        schema = declared_tables()[table].arrow_schema
        if rows:
            self._transaction.load_arrow(table, pa.Table.from_pylist(rows, schema=schema))


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
    return {((r["as_of_date"], r["experiment_id"]), r["reason"], r["detail"]) for r in rows}


def _frozen(transaction: Transaction, *, today: date) -> set[str]:
    """Return the experiments whose last publication stays, whatever data come late."""
    rows = transaction.fetch_arrow("assets/publication_frozen", {"today": today}).to_pylist()
    return {row["experiment_id"] for row in rows}


def _data_through(transaction: Transaction, days: Days) -> dict[Key, date | None]:
    rows = transaction.fetch_arrow("assets/publication_data_through", days.parameters).to_pylist()
    return {(row["as_of_date"], row["experiment_id"]): row["data_through"] for row in rows}


def _live_state(transaction: Transaction, days: Days) -> dict[str, _Live]:
    """Return the state of each experiment with windows on these days."""
    states: dict[str, _Live] = defaultdict(_Live)
    found = transaction.fetch_arrow("assets/publication_state", days.parameters)
    for row in found.to_pylist():
        state = states[row["experiment_id"]]
        buckets = {
            name: [(first, last) for first, last in pairs]
            for name, pairs in json.loads(row["buckets"]).items()
        }
        if row["is_newest"]:
            state.newest_day, state.newest_buckets = row["as_of_date"], buckets
        if row["was_live"]:
            state.live_buckets = buckets
    for experiment_id, accepted in accepted_findings(transaction).items():
        states[experiment_id].accepted = accepted
    return states
