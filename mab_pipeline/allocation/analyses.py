"""Analyses of a run: read the evidence of its decisions, analyse it, store the result.

The rows are written in the transaction of the publication. A run of many days analyses the newest
decision of each experiment alone, which is the one that readers see.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mab_pipeline.allocation.analysis import Analysis, Evidence, analyse_with, fit_all
from mab_pipeline.allocation.compared import Compared, compare_all
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.allocation.stop_rule import HORIZON_WEEKS, WEEK
from mab_pipeline.bandit.arrays import FloatArray
from mab_store.days import Days
from mab_store.settings import Settings
from mab_store.warehouse.table_schema import declared_tables
from mab_store.warehouse.warehouse import Transaction, Warehouse

HUNDREDTHS, BUCKETS = 10_000, 100
DAY = timedelta(days=1)
AT_ONCE = 1000  # experiments whose evidence is in memory together
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """The verdict of publication on an experiment's newest decision.

    Attributes:
        day: Its as-of day.
        allocation_id: The decision.
        at: When.
        is_published: Whether it was published; else it was held back.
        faults: Faults of its data, each in a few words.
    """

    day: date
    allocation_id: str
    at: datetime
    is_published: bool
    faults: tuple[str, ...] = ()


def compare_ahead(warehouse: Warehouse, days: Days) -> dict[str, Compared]:
    """Compare the newest decisions that are not published, before the publication holds the lock.

    Ten seconds for ten thousand experiments: nothing else could be written meanwhile.

    Args:
        warehouse: The warehouse.
        days: The days of the run; the last one has the decisions that readers will see.

    Returns:
        The comparisons by allocation id.
    """
    newest = Days(days.end - DAY, days.end).parameters
    with warehouse.reading() as queries:
        decisions = queries.fetch_arrow("assets/analysis_decisions", newest)
        published = queries.fetch_arrow("assets/publication_published", newest)
    settled = set(published["allocation_id"].to_pylist())
    ordered = decisions.sort_by("computed_at")
    pairs = (ordered[name].to_pylist() for name in ("experiment_id", "allocation_id"))
    last = dict(zip(*pairs, strict=True))
    grouped = _Grouped(decisions, "allocation_id")
    ids = [name for name in last.values() if name not in settled]
    posteriors = [_posteriors(grouped.get(name)) for name in ids]
    return dict(zip(ids, compare_all(posteriors), strict=True))


def store_analyses(
    transaction: Transaction,
    settings: Settings,
    judged: Mapping[str, Judged],
    *,
    run_id: str,
    ahead: Mapping[str, Compared],
) -> None:
    """Analyse the decisions and append the rows of `analysis`.

    Args:
        transaction: The publication's, with the run's rows in its tables.
        settings: The settings.
        judged: The decisions by experiment id.
        run_id: The run.
        ahead: Comparisons that are there already, by allocation id.
    """
    if not judged:
        return
    days = sorted({decision.day for decision in judged.values()})
    evidence = _Read(transaction, settings, days, run_id)
    rows: list[Row] = []
    names = sorted(judged)
    for start in range(0, len(names), AT_ONCE):
        found = {name: evidence.of(name, judged[name]) for name in names[start : start + AT_ONCE]}
        # Without a stored share there is nothing to analyse: `allocations` must be there first.
        known = {name: given for name, given in found.items() if given is not None}
        late = [name for name in known if judged[name].allocation_id not in ahead]
        posteriors = [(known[name].alpha, known[name].beta, known[name].control) for name in late]
        compared = dict(zip(late, compare_all(posteriors), strict=True))
        fits = fit_all(list(known.values()))
        for (experiment_id, given), fitted in zip(known.items(), fits, strict=True):
            decision = judged[experiment_id]
            comparison = ahead.get(decision.allocation_id) or compared[experiment_id]
            analysis = analyse_with(given, comparison, fitted)
            row = _row(experiment_id, decision, analysis)
            rows.append(row | {"run_id": run_id, "first_date": given.oldest_day})
    if rows:
        schema = declared_tables()["analysis"].arrow_schema
        transaction.load_arrow("analysis", pa.Table.from_pylist(rows, schema=schema))


def _row(experiment_id: str, decision: Judged, analysis: Analysis) -> Row:
    return {
        "as_of_date": decision.day,
        "experiment_id": experiment_id,
        "analysed_at": decision.at,
        "allocation_id": decision.allocation_id,
        "is_published": decision.is_published,
        "advice": analysis.advice.verdict,
        "sample_ratio_p_value": analysis.sample_ratio.p_value,
        "analysis": analysis.to_json(),
    }


class _Grouped:
    """The rows of a table by the value of a column; a group becomes Python objects when asked for.

    All rows at once as objects would take gigabytes for ten thousand experiments.
    """

    def __init__(self, rows: pa.Table, column: str = "experiment_id") -> None:
        self._rows = rows.take(pc.sort_indices(rows, [(column, "ascending")]))  # keeps day order
        keys = self._rows[column].combine_chunks().dictionary_encode()
        codes = keys.indices.to_numpy()
        starts = np.flatnonzero(np.diff(codes, prepend=-1))
        names = keys.dictionary.take(pa.array(codes[starts])).to_pylist()
        self._spans = dict(zip(names, pairwise([*starts.tolist(), len(codes)]), strict=True))

    def get(self, key: str) -> list[Row]:
        """Return the rows of a key; none if it has none."""
        start, end = self._spans.get(key, (0, 0))
        found: list[Row] = self._rows.slice(start, end - start).to_pylist()
        return found


class _Read:
    """The evidence of a run's decisions."""

    def __init__(
        self, transaction: Transaction, settings: Settings, days: list[date], run_id: str
    ) -> None:
        self._settings = settings
        span: dict[str, object] = {"start_date": days[0], "end_date": days[-1] + DAY}
        decisions = transaction.fetch_arrow("assets/analysis_decisions", span)
        self._decisions = _Grouped(decisions, "allocation_id")
        horizon = timedelta(days=(HORIZON_WEEKS + 1) * WEEK)
        past: dict[str, object] = {
            "run_id": run_id,
            "start_date": days[0] - horizon,
            "as_of_date": days[0],
            "end_date": days[-1] + DAY,
        }
        self._counts = _Grouped(transaction.fetch_arrow("assets/analysis_counts", past))
        past["start_date"] = days[0] - timedelta(days=settings.max_window_days - 1)
        self._shares = _Grouped(transaction.fetch_arrow("assets/analysis_shares", past))
        self._rejections = {day: self._rejected(transaction, day) for day in days}

    def of(self, experiment_id: str, judged: Judged) -> Evidence | None:
        """Return the evidence of a decision; None if no share of it is stored."""
        decision = self._decisions.get(judged.allocation_id)
        if not decision:
            return None
        names = tuple(row["variant_name"] for row in decision)
        place = {name: k for k, name in enumerate(names)}
        counts = [
            row for row in self._counts.get(experiment_id) if row["metric_date"] <= judged.day
        ]
        first = _first_day(counts, judged.day)
        n_days = 0 if first is None else (judged.day - first).days + 1
        planes = np.zeros((2, n_days, len(names)))
        shares = np.full((2, n_days, len(names)), np.nan)
        for row, day, k in _cells(counts, first, n_days, place):
            planes[:, day, k] = row["impressions"], row["clicks"]
        least = n_days - self._settings.max_window_days
        live = self._shares.get(experiment_id)
        for row, day, k in _cells(live, first, n_days, place):
            if day >= least:
                own = json.loads(row["buckets"]).get(row["variant_name"], [])
                buckets = sum(last - begin + 1 for begin, last in own)
                shares[:, day, k] = row["allocation_hundredths"] / HUNDREDTHS, buckets / BUCKETS
        alpha, beta, control = _posteriors(decision)
        rejected, fault = self._rejections[judged.day].get(experiment_id, (0, None))
        return Evidence(
            variants=names,
            control=control,
            alpha=alpha,
            beta=beta,
            first_day=first,
            impressions=planes[0],
            clicks=planes[1],
            shares=_of_current(shares[0]),
            buckets=_of_current(shares[1]),
            exploration=RuleSettings.from_json(decision[0]["settings"]).exploration,
            faults=judged.faults + ((fault,) if fault else ()),
            stop_loss=self._settings.stop_loss,
            oldest_day=counts[0]["first_date"] if counts else None,
            rejected_rows=rejected,
        )

    def _rejected(self, transaction: Transaction, day: date) -> dict[str, tuple[int, str | None]]:
        """Count each experiment's rejected rows of a day, and say if they are too many."""
        rows = transaction.fetch_arrow("assets/analysis_rejections", {"as_of_date": day})
        allowed = self._settings.max_rejected_share
        return {
            row["experiment_id"]: (
                row["rejected_count"],
                f"{row['rejected_count']} of {row['received_count']} rows of {day} were rejected"
                if row["rejected_count"] > allowed * row["received_count"]
                else None,
            )
            for row in rows.to_pylist()
        }


def _posteriors(decision: list[Row]) -> tuple[FloatArray, FloatArray, int | None]:
    """Return alpha, beta and the control's index of a decision's rows."""
    controls = [k for k, row in enumerate(decision) if row["is_control"]]
    alpha, beta = (np.array([row[name] for row in decision]) for name in ("alpha", "beta"))
    return alpha, beta, controls[0] if controls else None


def _first_day(counts: list[Row], last: date) -> date | None:
    """Return the first day of the evidence: whole weeks after the first one with impressions."""
    if not counts:
        return None
    first: date = counts[0]["first_date"]
    too_many = (last - first).days + 1 - HORIZON_WEEKS * WEEK
    return first + timedelta(days=max(0, -(-too_many // WEEK) * WEEK))


def _cells(
    rows: list[Row], first: date | None, n_days: int, place: Mapping[str, int]
) -> Iterator[tuple[Row, int, int]]:
    """Yield the rows of current variants with their day and variant in the arrays."""
    for row in rows if first else []:
        day = (row["metric_date"] - first).days
        if 0 <= day < n_days and row["variant_name"] in place:
            yield row, day, place[row["variant_name"]]


def _of_current(shares: FloatArray) -> FloatArray:
    """Scale each day's shares to the variants of the decision; one that had none then had 0."""
    is_live = ~np.isnan(shares).all(axis=1, keepdims=True)
    filled = np.nan_to_num(shares)
    total = filled.sum(axis=1, keepdims=True)
    missing = np.full_like(filled, np.nan)
    scaled: FloatArray = np.divide(filled, total, out=missing, where=is_live & (total > 0.0))
    return scaled
