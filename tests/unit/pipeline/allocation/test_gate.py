"""The gate's conditions at their limits: which draws are too unlikely, which sums are wrong."""

from dataclasses import replace
from datetime import date
from functools import cache

import pyarrow as pa
import pytest

from mab_pipeline.allocation.comparisons import comparisons
from mab_pipeline.allocation.decide import identify
from mab_pipeline.allocation.gate import (
    CurrentAllocations,
    Share,
    missing_rows,
    unlikely_draws,
    wrong_totals,
)
from tests.unit.pipeline.allocation.test_decide import RULE, inputs

DAY = date(2025, 3, 3)
DECISIONS = identify(
    inputs((DAY, "exp_a", "control", 1000, 30), (DAY, "exp_a", "b", 1000, 45)), RULE, version="v1"
)
LIMIT = 1e-9  # as the description of the check says


def current(**shares: Share) -> CurrentAllocations:
    """Return one decision, of which these rows are stored."""
    return CurrentAllocations(DECISIONS, {DECISIONS.allocation_ids[0]: shares})


@cache
def tails(samples: int) -> list[float]:
    """Return P(X >= wins) of fair coins by the number of wins, from whole numbers."""
    ways, total, found = 1, 0, []
    for wins in range(samples, -1, -1):
        total += ways
        found.append(total / 2**samples)
        ways = ways * wins // (samples - wins + 1)
    return found[::-1]


@pytest.mark.parametrize("samples", [1, 16, 25, 50, 100, 2500, 10_000])
def test_the_limit_is_where_the_description_says(samples):
    """The share is exact where the draws divide 10,000."""
    wins = next((w for w, tail in enumerate(tails(samples)) if tail < LIMIT), None)
    scale = 10_000 // samples
    if wins is None:
        assert samples < 30  # 2^-30 is the first below the limit
        assert not unlikely_draws(current(b=Share(10_000, 0.5, samples)))
        return
    assert tails(samples)[wins] < LIMIT <= tails(samples)[wins - 1]
    for hundredths, is_found in (
        (wins * scale, True),
        ((wins - 1) * scale, False),
        (10_000 - wins * scale, True),
        (10_000 - (wins - 1) * scale, False),
    ):
        found = unlikely_draws(current(b=Share(hundredths, 0.5, samples)))
        assert bool(found) is is_found, hundredths
        assert all((f.day, f.experiment_id) == (DAY, "exp_a") for f in found)


def test_the_limit_of_10000_draws_lies_between_two_neighbours_close_to_it():
    """A tolerance three times as strict or as lax would draw the line elsewhere."""
    wins = next(w for w, tail in enumerate(tails(10_000)) if tail < LIMIT)
    assert tails(10_000)[wins] > LIMIT / 3
    assert tails(10_000)[wins - 1] < LIMIT * 3


@pytest.mark.parametrize(("samples", "is_found"), [(33, False), (35, False), (36, True)])
def test_elsewhere_rounding_gives_a_share_one_draw_more_or_less(samples, is_found):
    # 100.00 % of 36 draws are 35 or 36 wins: P(X >= 35) = 37 / 2^36 = 5.4e-10; of 35: 1.05e-9.
    assert bool(unlikely_draws(current(b=Share(10_000, 0.5, samples)))) is is_found
    assert bool(unlikely_draws(current(b=Share(0, 0.5, samples)))) is is_found


@pytest.mark.parametrize(
    ("hundredths", "best", "is_found"),
    [
        (0, 1e-12, False),
        (1, 1e-12, False),  # the exact value may be wrong by 1e-9: 10,000 of these are 1e-5
        (3, 1e-12, True),
        (10_000, 1.0, False),
        (9_999, 1.0, False),
        (9_997, 1.0, True),
        (10_000, 1.0 + 1e-12, False),  # rounding of the exact value is cut off
        (0, -1e-12, False),
    ],
)
def test_shares_near_nothing_and_everything(hundredths, best, is_found):
    assert bool(unlikely_draws(current(b=Share(hundredths, best, 10_000)))) is is_found


def test_exact_shares_are_no_draws():
    assert unlikely_draws(current(b=Share(10_000, 0.5, 0))) == []


@pytest.mark.parametrize(
    ("hundredths", "is_found"),
    [
        ((5000, 5000), False),
        ((10_000, 0), False),
        ((0, 10_000), False),
        ((5000, 5001), True),
        ((5000, 4999), True),
        ((10_001, -1), True),
        ((), False),  # that is a missing row
    ],
)
def test_shares_sum_to_10000_and_none_is_negative(hundredths, is_found):
    names = ("control", "b")[: len(hundredths)]
    shares = {name: Share(h, 0.5, 10_000) for name, h in zip(names, hundredths, strict=True)}
    assert bool(wrong_totals(current(**shares))) is is_found


@pytest.mark.parametrize(
    ("names", "absent"), [(("control", "b"), None), (("b",), "control"), ((), "b, control")]
)
def test_every_variant_of_a_decision_has_a_row(names, absent):
    found = missing_rows(current(**{name: Share(5000, 0.5, 10_000) for name in names}))
    assert [f.detail.split(";")[0] for f in found] == (
        [] if absent is None else [f"no share for {absent}"]
    )


def test_a_row_of_another_version_is_no_row():
    other = CurrentAllocations(DECISIONS, {"another": {"control": Share(5000, 0.5, 10_000)}})
    assert len(missing_rows(other)) == 1


@pytest.mark.parametrize(
    ("hundredths", "is_found"),
    # 2 % are split among three; c, in burn-in, has a third of the rest. b wins 0.9006 of the draws:
    # a share of 59.51 %; 6 standard deviations of 10,000 draws are 1.17 points of it.
    [(5951, False), (5828, True), (5829, False), (6066, False), (6067, True), (9006, True)],
)
def test_of_a_share_with_options_the_part_that_was_drawn_is_judged(hundredths, is_found):
    rule = replace(RULE, burn_in="on", exploration=0.02)
    rows = [(DAY, "exp_a", name, 1000, clicks) for name, clicks in (("control", 32), ("b", 43))]
    table = inputs(*rows, (DAY, "exp_a", "c", 0, 0)).append_column(
        "impressions_since_joined", pa.array([200, 200, 199])
    )
    decisions = identify(table, rule, version="v1")
    (identity,) = decisions.allocation_ids
    exact = comparisons(decisions)[identity]
    assert exact["b"].least == pytest.approx(0.02 / 3)
    assert exact["b"].scale == pytest.approx(0.98 * 2 / 3)
    # P(best) among all three is another number and is not what was drawn.
    share = Share(hundredths, 0.5, 10_000)
    found = unlikely_draws(CurrentAllocations(decisions, {identity: {"b": share}}))
    assert bool(found) is is_found


def test_a_share_that_owes_nothing_to_the_draws_is_not_judged():
    rule = replace(RULE, exploration=1.0)
    decisions = identify(
        inputs((DAY, "exp_a", "control", 1000, 30), (DAY, "exp_a", "b", 1000, 99)),
        rule,
        version="v1",
    )
    shares = {name: Share(5000, best, 10_000) for name, best in (("control", 0.0), ("b", 1.0))}
    (identity,) = decisions.allocation_ids
    assert unlikely_draws(CurrentAllocations(decisions, {identity: shares})) == []
