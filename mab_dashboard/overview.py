"""The overview's arithmetic: rows, badges and order; pure."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple

from mab_dashboard.api import Body

Sort = Literal["name", "verdict", "lift", "impressions"]
SORTS: tuple[Sort, ...] = ("name", "verdict", "lift", "impressions")
VERDICTS = ("data_problem", "winner", "safe_to_stop", "keep_running")
"""In the order in which they ask for attention."""
STATUSES = ("running", "paused", "finished")
Badge = Literal[
    "held_back",
    "frozen",
    "prior",
    "rejected_rows",
    "no_traffic",
    "stale",
    "not_published",
    "no_analysis",
]


class Row(NamedTuple):
    """An experiment in the overview.

    Attributes:
        experiment_id: Its id.
        name: Its name.
        status: Its status.
        verdict: The verdict of its advice; None without one.
        reason: The advice's sentence, in English; empty if nothing is known.
        messages: The same as codes.
        leader: The variant that is most likely the best; None without an analysis.
        probability_best: Its probability to be the best.
        lift: Its lift against the control; None for the control.
        lift_interval: 95 % interval of it.
        days: Days with accepted counts.
        impressions: Impressions of these days.
        data_through: Last day with accepted impressions.
        effective_date: The day that the shares are for.
        shares: The variants with their shares, as the API gives them.
        badges: What else is worth a look.
    """

    experiment_id: str
    name: str
    status: str
    verdict: str | None
    reason: str
    messages: list[Body]
    leader: str | None
    probability_best: float | None
    lift: float | None
    lift_interval: list[float] | None
    days: int
    impressions: int
    data_through: str | None
    effective_date: str | None
    shares: list[Body]
    badges: tuple[Badge, ...]


def row_of(item: Mapping[str, Any], *, now: datetime) -> Row:
    """Return the row of an item of `GET /experiments`.

    Args:
        item: The item.
        now: The time, with its zone.
    """
    overview = item["overview"] or {}
    advice, leader = overview.get("advice") or {}, overview.get("leader") or {}
    return Row(
        experiment_id=item["experiment_id"],
        name=item["name"],
        status=item["status"],
        verdict=advice.get("verdict"),
        reason=advice.get("reason", ""),
        messages=advice.get("messages", []),
        leader=leader.get("variant_name"),
        probability_best=leader.get("probability_best"),
        lift=leader.get("lift"),
        lift_interval=leader.get("lift_interval"),
        days=overview.get("days", 0),
        impressions=overview.get("impressions", 0),
        data_through=overview.get("data_through"),
        effective_date=overview.get("effective_date"),
        shares=overview.get("shares", []),
        badges=_badges(item, overview, now=now),
    )


def sorted_rows(rows: Sequence[Row], order: Sort) -> list[Row]:
    """Return rows in an order; within it by name, rows without the value last."""
    by: dict[Sort, Callable[[Row], tuple[object, ...]]] = {
        "name": lambda row: (row.name,),
        "verdict": lambda row: (_rank(row.verdict), row.name),
        "lift": lambda row: (row.lift is None, -(row.lift or 0.0), row.name),
        "impressions": lambda row: (-row.impressions, row.name),
    }
    return sorted(rows, key=by[order])


def counts_by_verdict(rows: Sequence[Row]) -> dict[str, int]:
    """Return how many rows have each verdict, in the order of `VERDICTS`."""
    return {name: sum(row.verdict == name for row in rows) for name in VERDICTS}


def is_stale(overview: Mapping[str, Any], now: datetime) -> bool:
    """Return whether the next allocation is overdue."""
    until = overview.get("fresh_until")
    return until is not None and now > datetime.fromisoformat(until)


def _badges(
    item: Mapping[str, Any], overview: Mapping[str, Any], *, now: datetime
) -> tuple[Badge, ...]:
    if not overview:
        return ("not_published",)
    conditions: dict[Badge, bool] = {
        "held_back": overview["held_back"] is not None,
        "stale": is_stale(overview, now),
        "frozen": item["status"] != "running",
        "rejected_rows": bool(overview.get("rejected_rows")),
        "no_traffic": overview["impressions"] == 0,
        "prior": any(share["data_source"] == "prior" for share in overview["shares"]),
        "no_analysis": overview["advice"] is None,
    }
    return tuple(name for name, holds in conditions.items() if holds)


def _rank(verdict: str | None) -> int:
    return VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)
