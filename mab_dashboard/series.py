"""Series over days: shares, click rates with their bands, impressions; pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, NamedTuple

from mab_dashboard.api import Body

Z = 1.959963984540054
"""97.5 % quantile of the normal distribution: bands of 95 %."""
ONE_DAY = timedelta(days=1)


class Share(NamedTuple):
    """A variant's share on a day, 0 to 1; `held`: nothing was published for it, the last stays."""

    day: date
    variant: str
    share: float
    held: bool


class Rate(NamedTuple):
    """A variant's click rate on a day with its 95 % band, all 0 to 1."""

    day: date
    variant: str
    impressions: int
    clicks: int
    rate: float
    low: float
    high: float


def wilson(clicks: int, impressions: int) -> tuple[float, float]:
    """Return the 95 % score interval of a click rate.

    Args:
        clicks: Clicks, 0 to impressions.
        impressions: Impressions, at least 1.

    References:
        Wilson, JASA 22 (1927), 209.
    """
    rate, n = clicks / impressions, impressions
    centre = rate + Z * Z / (2 * n)
    half = Z * math.sqrt(rate * (1 - rate) / n + Z * Z / (4 * n * n))
    scale = 1 + Z * Z / n
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def shares_over_time(publications: Iterable[Mapping[str, Any]]) -> list[Share]:
    """Return the published shares of each day, oldest first.

    Args:
        publications: Items of `GET /experiments/{id}/allocations`, oldest first. Of several for a
            day the last counts. A day without one keeps the shares before it, marked as held.
    """
    by_day: dict[date, Mapping[str, Any]] = {}
    for publication in publications:
        by_day[date.fromisoformat(publication["effective_date"])] = publication
    found: list[Share] = []
    for day, publication in sorted(by_day.items()):
        found += _held(found, until=day)
        found += [
            Share(day, item["variant_name"], item["allocation_percentage"] / 100, held=False)
            for item in publication["allocations"]
        ]
    return found


def _held(found: Sequence[Share], *, until: date) -> list[Share]:
    """Return the last shares again for each day up to another one."""
    if not found:
        return []
    last = found[-1].day
    newest = [share for share in found if share.day == last]
    gap = (until - last).days - 1
    return [
        share._replace(day=last + number * ONE_DAY, held=True)
        for number in range(1, gap + 1)
        for share in newest
    ]


def held_days(shares: Iterable[Share]) -> list[date]:
    """Return the days for which nothing was published, oldest first."""
    return sorted({share.day for share in shares if share.held})


def rates(days: Iterable[Mapping[str, Any]]) -> list[Rate]:
    """Return the click rates of items of `/daily`; a variant without impressions has none."""
    return [
        Rate(
            date.fromisoformat(day["date"]),
            item["variant_name"],
            item["impressions"],
            item["clicks"],
            item["clicks"] / item["impressions"],
            *wilson(item["clicks"], item["impressions"]),
        )
        for day in days
        for item in day["variants"]
        if item["impressions"]
    ]


def density(alpha: float, beta: float, *, points: int = 160) -> list[tuple[float, float]]:
    """Return points of a Beta density around its mass: click rate and density.

    Args:
        alpha: First parameter, above 0.
        beta: Second parameter, above 0.
        points: How many points.
    """
    mean = alpha / (alpha + beta)
    deviation = math.sqrt(mean * (1 - mean) / (alpha + beta + 1))
    low, high = max(1e-9, mean - 4 * deviation), min(1 - 1e-9, mean + 4 * deviation)
    log_b = math.lgamma(alpha) + math.lgamma(beta) - math.lgamma(alpha + beta)
    step = (high - low) / (points - 1)
    places = [low + number * step for number in range(points)]
    return [
        (x, math.exp((alpha - 1) * math.log(x) + (beta - 1) * math.log1p(-x) - log_b))
        for x in places
    ]


def variant_order(shares: Sequence[Body]) -> list[str]:
    """Return the names of variants, the control first."""
    return [
        item["variant_name"] for item in sorted(shares, key=lambda item: not item.get("is_control"))
    ]
