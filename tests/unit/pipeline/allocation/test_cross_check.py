"""The cross-check of shares made from P(best): sample, literal draws, both sides of the limit."""

from dataclasses import replace
from datetime import date

import pyarrow as pa
import pytest
from scipy import stats

from mab_pipeline.allocation import cross_check
from mab_pipeline.allocation.cross_check import (
    DRAWS,
    FAMILY_LEVEL,
    disagreements,
    unlikely_probabilities,
)
from mab_pipeline.allocation.decide import decide, identify
from mab_pipeline.allocation.gate import CurrentAllocations, Share, unlikely_draws
from mab_pipeline.bandit import experiment_seed, probability_best, thompson_shares
from tests.unit.pipeline.allocation.test_decide import NOW, RULE, inputs

DAY, NEXT = date(2025, 3, 3), date(2025, 3, 4)
MULTINOMIAL = replace(RULE, allocation_method="multinomial")
EXACT = replace(RULE, allocation_method="exact")


def rows_of(n: int, day: date = DAY) -> list[tuple[date, str, str, int, int]]:
    return [
        (day, f"exp_{i:03}", name, 1000, clicks)
        for i in range(n)
        for name, clicks in (("control", 30), ("b", 30 + i % 9))
    ]


def decided(rule, rows, **wrong: float) -> CurrentAllocations:
    """Decide, and store what was decided; `wrong` is what is added to P(best), by experiment."""
    decisions = identify(inputs(*rows), rule, version="v1")
    shares: dict[str, dict[str, Share]] = {}
    for row in decide(decisions, version="v1", now=NOW, run_id="r").to_pylist():
        off = wrong.get(row["experiment_id"], 0.0) * (1 if row["variant_name"] == "b" else -1)
        share = Share(row["allocation_hundredths"], row["probability_best"] + off, row["samples"])
        shares.setdefault(row["allocation_id"], {})[row["variant_name"]] = share
    return CurrentAllocations(decisions, shares)


@pytest.mark.parametrize("rule", [RULE, MULTINOMIAL, EXACT])
def test_a_sound_day_has_no_finding(rule):
    assert disagreements(decided(rule, rows_of(150))) == []


@pytest.mark.parametrize("rule", [MULTINOMIAL, EXACT])
def test_a_wrong_p_best_is_found_although_the_share_agrees_with_it(rule):
    current = decided(rule, rows_of(9), exp_004=0.05)
    if rule is MULTINOMIAL:  # shares that follow the wrong value: only literal draws can tell
        identity = current.decisions.allocation_ids[4]
        for name, share in current.shares[identity].items():
            hundredths = round(share.probability_best * 10_000)
            current.shares[identity][name] = replace(share, hundredths=hundredths)
    assert unlikely_draws(current) == []
    found = unlikely_probabilities(current)
    assert {(f.day, f.experiment_id) for f in found} == {(DAY, "exp_004")}
    assert "literal draws, but P(best)" in found[0].detail
    assert disagreements(current) == found


def test_shares_that_were_drawn_literally_are_not_drawn_again():
    assert unlikely_probabilities(decided(RULE, rows_of(9), exp_004=0.4)) == []


def wins_and_limit(current: CurrentAllocations) -> tuple[int, float]:
    """Return the literal wins of the control of the only decision, and the limit of a tail."""
    decisions = current.decisions
    seed = cross_check._seed(MULTINOMIAL, *decisions.key(0))
    clicks = [decisions.inputs["clicks"][row] for row in (0, 1)]
    alpha, beta = [1 + c for c in clicks], [99 + 1000 - c for c in clicks]
    shares = thompson_shares(alpha, beta, samples=DRAWS, seeds=seed)
    return round(shares[0] * DRAWS), FAMILY_LEVEL / 2 / 2


@pytest.mark.parametrize("side", [-1, 1])
def test_the_limit_is_the_level_of_the_family_on_both_sides(side):
    rows = [(DAY, "exp_a", "control", 1000, 30), (DAY, "exp_a", "b", 1000, 45)]
    current = decided(MULTINOMIAL, rows)
    wins, limit = wins_and_limit(current)
    binomial = stats.binom

    def tail(p: float) -> float:  # the quadrature may be off by 1e-9, in the wins' favour
        p += -side * 1e-9
        return binomial.cdf(wins, DRAWS, p) if side > 0 else binomial.sf(wins - 1, DRAWS, p)

    near, far = wins / DRAWS, wins / DRAWS + side * 0.05
    for _ in range(200):
        middle = (near + far) / 2
        near, far = (middle, far) if tail(middle) > limit else (near, middle)
    (identity,) = current.decisions.allocation_ids
    for p, is_found in ((near - side * 1e-7, False), (far + side * 1e-7, True)):
        stored = {"control": Share(5000, p, 10_000), "b": Share(5000, 1 - p, 10_000)}
        found = unlikely_probabilities(CurrentAllocations(current.decisions, {identity: stored}))
        assert bool(found) is is_found


def test_the_family_is_the_day_so_a_larger_sample_has_a_lower_limit(monkeypatch):
    seen: list[float] = []
    monkeypatch.setattr(
        cross_check.bandit,
        "binomial_tail",
        lambda wins, *_: pa.array([2e-9] * len(wins)).to_numpy(),
    )
    for n in (100, 150, 200):
        current = decided(EXACT, [*rows_of(n), *rows_of(2, NEXT)])
        found = unlikely_probabilities(current)
        seen.append(sum(f.day == DAY for f in found))
        assert sum(f.day == NEXT for f in found) == 4  # 2e-9 < 1e-6 / 8
    assert seen == [200, 200, 200]  # 2e-9 < 1e-6 / 400, never more than 100 decisions


def test_the_sample_is_100_of_a_day_the_same_ones_whatever_else_is_there():
    decisions = identify(inputs(*rows_of(250), *rows_of(40, NEXT)), EXACT, version="v1")
    chosen = sorted(i for which in cross_check._sampled(decisions).values() for i in which)
    keys = [decisions.key(i) for i in chosen]
    assert sum(day == DAY for day, _ in keys) == 100
    assert sum(day == NEXT for day, _ in keys) == 40
    # The order of a batch, and the days around it, change nothing.
    alone = identify(inputs(*rows_of(250)[::-1]), EXACT, version="v1")
    again = {alone.key(i) for which in cross_check._sampled(alone).values() for i in which}
    assert again == {key for key in keys if key[0] == DAY}
    # Another day has another sample.
    later = identify(inputs(*rows_of(250, NEXT)), EXACT, version="v1")
    other = {later.key(i)[1] for which in cross_check._sampled(later).values() for i in which}
    assert other != {experiment_id for _, experiment_id in again}


def test_literal_draws_have_a_stream_that_no_decision_draws_from():
    seeds = {cross_check._seed(EXACT, day, f"exp_{i}") for i in range(200) for day in (DAY, NEXT)}
    own = {
        experiment_seed(EXACT.seed_base, f"exp_{i}", day) for i in range(200) for day in (DAY, NEXT)
    }
    assert len(seeds) == 400
    assert not seeds & own
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert cross_check._seed(replace(EXACT, seed_base=8), DAY, "exp_0") not in seeds


def test_options_leave_the_stored_p_best_to_be_judged():
    rule = replace(EXACT, exploration=0.1, allocation_method="multinomial")
    current = decided(rule, rows_of(12), exp_003=0.05)
    assert {f.experiment_id for f in unlikely_probabilities(current)} == {"exp_003"}


def test_a_decision_without_stored_rows_is_left_to_the_check_of_rows():
    current = decided(MULTINOMIAL, rows_of(3), exp_001=0.3)
    missing = current.decisions.allocation_ids[1]
    shares = {name: rows for name, rows in current.shares.items() if name != missing}
    assert unlikely_probabilities(CurrentAllocations(current.decisions, shares)) == []


def test_p_best_out_of_range_is_cut_off_before_it_is_judged():
    rows = [(DAY, "exp_a", "control", 100_000, 10), (DAY, "exp_a", "b", 100_000, 9_000)]
    current = decided(EXACT, rows)
    (identity,) = current.decisions.allocation_ids
    stored = {"control": Share(0, -1e-12, 0), "b": Share(10_000, 1 + 1e-12, 0)}
    assert unlikely_probabilities(CurrentAllocations(current.decisions, {identity: stored})) == []


def test_no_decisions_are_no_findings():
    assert disagreements(decided(MULTINOMIAL, [])) == []


def test_the_multinomial_decides_with_its_own_name_and_the_seed_of_the_day():
    current = identify(inputs(*rows_of(2)), MULTINOMIAL, version="v1")
    table = decide(current, version="v1", now=NOW, run_id="r").to_pylist()
    assert {row["algorithm"] for row in table} == {"thompson_multinomial"}
    assert {row["samples"] for row in table} == {10_000}
    assert table[0]["seed"] == experiment_seed(7, "exp_000", DAY)
    literal = decide(
        identify(inputs(*rows_of(2)), RULE, version="v1"), version="v1", now=NOW, run_id="r"
    )
    for column in ("alpha", "beta", "probability_best", "seed"):
        assert [row[column] for row in table] == literal[column].to_pylist()
    best = probability_best([31, 31], [1069, 1069])
    assert abs(table[0]["allocation_hundredths"] / 10_000 - best[0]) < 0.03
