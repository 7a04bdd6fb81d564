import math
from datetime import date, timedelta

import pytest
from scipy import stats

from mab_dashboard.series import density, held_days, rates, shares_over_time, wilson

DAY = date(2026, 3, 10)


def publication(day: int, **shares: float) -> dict:
    return {
        "effective_date": str(DAY + timedelta(days=day)),
        "allocations": [
            {"variant_name": name, "allocation_percentage": share} for name, share in shares.items()
        ],
    }


@pytest.mark.parametrize(("clicks", "impressions"), [(0, 1), (1, 1), (3, 10), (320, 10_000)])
def test_the_band_is_the_score_interval(clicks, impressions):
    expected = stats.binomtest(clicks, impressions).proportion_ci(0.95, method="wilson")
    assert wilson(clicks, impressions) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_day_without_impressions_has_no_rate():
    days = [
        {
            "date": "2026-03-10",
            "variants": [
                {"variant_name": "a", "impressions": 0, "clicks": 0},
                {"variant_name": "b", "impressions": 100, "clicks": 4},
            ],
        }
    ]
    (rate,) = rates(days)
    assert (rate.variant, rate.rate) == ("b", 0.04)
    assert rate.low < rate.rate < rate.high


def test_a_day_that_was_not_published_keeps_the_shares_before_it_marked():
    found = shares_over_time([publication(0, a=60, b=40), publication(3, a=10, b=90)])
    assert [(share.day, share.share, share.held) for share in found if share.variant == "a"] == [
        (DAY, 0.6, False),
        (DAY + timedelta(days=1), 0.6, True),
        (DAY + timedelta(days=2), 0.6, True),
        (DAY + timedelta(days=3), 0.1, False),
    ]
    assert held_days(found) == [DAY + timedelta(days=1), DAY + timedelta(days=2)]


def test_consecutive_days_hold_nothing_and_the_last_publication_of_a_day_counts():
    found = shares_over_time([publication(0, a=60), publication(0, a=70), publication(1, a=100)])
    assert [share.share for share in found] == [0.7, 1.0]
    assert held_days(found) == []
    assert shares_over_time([]) == []


@pytest.mark.parametrize(("alpha", "beta"), [(1, 99), (421, 9679), (1e6, 9e6), (0.5, 0.5)])
def test_a_density_is_that_of_the_beta_distribution(alpha, beta):
    points = density(alpha, beta)
    for x, height in points[:: len(points) // 7]:
        assert height == pytest.approx(stats.beta.pdf(x, alpha, beta), rel=1e-6)
    if alpha > 1:
        step = points[1][0] - points[0][0]
        assert math.fsum(height for _, height in points) * step == pytest.approx(1, abs=0.01)
