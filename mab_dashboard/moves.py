"""Why the shares moved from one decision to the next: facts, most telling first; pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Body = Mapping[str, Any]
LEAST_HUNDREDTHS = 5
"""Hundredths of a point that count as a move: half a unit of its last shown digit."""


class Fact(NamedTuple):
    """One reason.

    Attributes:
        key: Its sentence in the catalogue.
        values: The values of the sentence: text as it is, numbers unformatted.
    """

    key: str
    values: dict[str, Any]


def why_moved(before: Body | None, now: Body) -> list[Fact]:
    """Compare two explanations of an experiment.

    Args:
        before: The explanation of the day before; None if there was none.
        now: The explanation.
    """
    if before is None:
        return [Fact("moved_first", {})]
    facts = [*_variants(before, now), *_sources(before, now), *_days(before, now)]
    facts += _counts(before, now)
    if before["settings"] != now["settings"]:
        facts.append(Fact("moved_settings", {}))
    if not facts:
        facts.append(Fact("moved_draws" if _shares_differ(before, now) else "moved_not", {}))
    return facts


def _variants(before: Body, now: Body) -> list[Fact]:
    old, new = (_by_name(body) for body in (before, now))
    return [
        *(Fact("moved_joined", {"variant": name}) for name in new if name not in old),
        *(Fact("moved_left", {"variant": name}) for name in old if name not in new),
    ]


def _sources(before: Body, now: Body) -> list[Fact]:
    old = _by_name(before)
    facts = []
    for name, row in _by_name(now).items():
        earlier = old[name]["data_source"] if name in old else row["data_source"]
        if earlier != row["data_source"]:
            facts.append(Fact(f"moved_to_{row['data_source']}", {"variant": name}))
    return facts


def _days(before: Body, now: Body) -> list[Fact]:
    """Say which days came into the default window, left it, or got other counts since."""
    old, new = ({day["date"]: day for day in body["days"]} for body in (before, now))
    inside = [
        {name for name, day in days.items() if day["is_in_default_window"]} for days in (old, new)
    ]
    facts = [
        Fact("moved_day_in", {"day": day, **_sum(new[day])})
        for day in sorted(inside[1] - inside[0])
    ]
    facts += [
        Fact("moved_day_out", {"day": day, **_sum(old[day])})
        for day in sorted(inside[0] - inside[1])
    ]
    facts += [
        Fact("moved_late", {"day": day})
        for day in sorted(set(old) & set(new))
        if _pairs(old[day]) != _pairs(new[day])
    ]
    return facts


def _counts(before: Body, now: Body) -> list[Fact]:
    """Say how the counts that the posterior uses changed, the largest change first."""
    old = _by_name(before)
    facts = []
    for name, row in _by_name(now).items():
        if name not in old:
            continue
        metrics, earlier = row["metrics"], old[name]["metrics"]
        change = {key: metrics[key] - earlier[key] for key in ("impressions", "clicks")}
        if any(change.values()):
            rates = {"ctr": metrics["ctr"], "earlier": earlier["ctr"]}
            facts.append(Fact("moved_counts", {"variant": name, **change, **rates}))
    return sorted(facts, key=lambda fact: -abs(fact.values["impressions"]))


def _shares_differ(before: Body, now: Body) -> bool:
    old = _by_name(before)
    return any(
        abs(round(100 * (row["allocation_percentage"] - old[name]["allocation_percentage"])))
        >= LEAST_HUNDREDTHS
        for name, row in _by_name(now).items()
        if name in old
    )


def _by_name(body: Body) -> dict[str, Body]:
    return {row["variant_name"]: row for row in body["variants"]}


def _sum(day: Body) -> dict[str, int]:
    return {key: sum(row[key] for row in day["variants"]) for key in ("impressions", "clicks")}


def _pairs(day: Body) -> dict[str, tuple[int, int]]:
    return {row["variant_name"]: (row["impressions"], row["clicks"]) for row in day["variants"]}
