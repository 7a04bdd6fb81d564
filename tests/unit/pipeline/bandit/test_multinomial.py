"""The multinomial: the distribution of literal draws, whole counts, replay to the bit, edges."""

import numpy as np
import pytest
from scipy import stats

from mab_pipeline.bandit import (
    multinomial_shares,
    probability_best,
    thompson_shares,
    threads,
    to_hundredths,
)

ALPHA, BETA = np.array([3.0, 4.0, 5.0]), np.array([9.0, 9.0, 8.0])
CERTAIN = [[0.25, 0.75, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.5, 0.0, 0.25, 0.25]]
SEEDS = [11, 2**63 - 1, 0]


def outcomes(shares: np.ndarray, samples: int) -> np.ndarray:
    """Count how often each way to divide the draws among three variants occurred."""
    wins = np.rint(shares * samples).astype(int)
    table = np.zeros((samples + 1, samples + 1), dtype=int)
    np.add.at(table, (wins[:, 0], wins[:, 1]), 1)
    return table.ravel()


def same_distribution(first: np.ndarray, second: np.ndarray) -> float:
    """Return the p-value of the chi-square test that two counts have one distribution."""
    table = np.array([first, second])
    table = table[:, table.sum(axis=0) > 0]
    rare = table.sum(axis=0) < 10
    if rare.any():
        table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    return float(stats.chi2_contingency(table).pvalue)


def test_the_counts_have_the_distribution_of_literal_draws():
    n, samples = 6_000, 5
    rows = [np.broadcast_to(side, (n, 3)) for side in (ALPHA, BETA)]
    literal = thompson_shares(*rows, samples=samples, seeds=np.arange(n))
    best = probability_best(ALPHA, BETA)
    drawn = multinomial_shares(np.broadcast_to(best, (n, 3)), samples=samples, seeds=np.arange(n))
    expected = outcomes(literal, samples)
    assert same_distribution(outcomes(drawn, samples), expected) > 0.01
    # The same test tells P(best) that are a few hundredths off.
    other = np.broadcast_to(best + np.array([0.03, -0.03, 0.0]), (n, 3))
    wrong = multinomial_shares(other, samples=samples, seeds=np.arange(n))
    assert same_distribution(outcomes(wrong, samples), expected) < 1e-6


def test_the_counts_of_10000_draws_vary_as_literal_ones_do():
    n, samples = 20_000, 10_000
    best = probability_best(ALPHA, BETA)
    wins = samples * multinomial_shares(np.tile(best, (n, 1)), samples=samples, seeds=range(n))
    covariance = samples * (np.diag(best) - np.outer(best, best))
    np.testing.assert_allclose(wins.mean(axis=0), samples * best, atol=5 * 50 / np.sqrt(n))
    np.testing.assert_allclose(np.cov(wins.T), covariance, rtol=0.05)


@pytest.mark.parametrize("samples", [1, 7, 10_000, 10_000_000])
@pytest.mark.parametrize("n_variants", [1, 2, 3, 100])
def test_whole_counts_sum_to_the_draws_and_hundredths_to_100_percent(n_variants, samples):
    rng = np.random.default_rng(3)
    best = rng.dirichlet(np.full(n_variants, 0.3), 200)
    shares = multinomial_shares(best, samples=samples, seeds=np.arange(200))
    wins = shares * samples
    np.testing.assert_allclose(wins, np.rint(wins), rtol=1e-12)
    assert (np.rint(wins).sum(axis=1) == samples).all()
    assert (to_hundredths(shares).sum(axis=1) == 10_000).all()


@pytest.mark.parametrize(
    "best",
    [
        [1.0],
        [1.0 - 1e-16, 1e-16],
        [1.0, 1e-16],
        [0.1] * 10,  # sums to 1 - 1e-16
        [0.3, 0.3, 0.4 + 1e-16],
        [1 / 3, 1 / 3, 1 / 3 + 2e-16],
        [5e-324, 1.0],
        [1e-300, 1e-17, 1.0],
        [1.0, 1e-17, 1e-17, 1e-17],
        [0.5, 0.5, 0.0],
        [0.5 + 4e-7, 0.5 + 4e-7],
        [0.5 - 4e-7, 0.5 - 4e-7],
        [1.0 / 97] * 97 + [0.0] * 3,
    ],
)
def test_probabilities_that_miss_1_by_rounding_or_underflow_are_drawn(best):
    shares = multinomial_shares(best, samples=10_000, seeds=5)
    assert (shares[np.array(best) < 1e-12] == 0.0).all()
    assert np.rint(shares * 10_000).sum() == 10_000
    assert to_hundredths(shares).sum() == 10_000


def test_a_variant_that_cannot_win_and_a_padded_cell_get_no_draw():
    shares = multinomial_shares(CERTAIN, samples=999, seeds=SEEDS)
    np.testing.assert_array_equal(shares[np.array(CERTAIN) == 0.0], 0.0)
    assert shares[1, 2] == 1.0


def test_no_bit_depends_on_batch_order_padding_or_threads(monkeypatch):
    together = multinomial_shares(CERTAIN, samples=10_000, seeds=SEEDS)
    for i, seed in enumerate(SEEDS):
        able = np.array(CERTAIN[i]) > 0.0
        alone = multinomial_shares(np.array(CERTAIN[i])[able], samples=10_000, seeds=seed)
        np.testing.assert_array_equal(alone, together[i, able])
    order = [2, 0, 1]
    padded = np.pad(np.array(CERTAIN)[order], ((0, 0), (2, 3)))
    shuffled = multinomial_shares(padded, samples=10_000, seeds=np.array(SEEDS)[order])
    np.testing.assert_array_equal(shuffled[:, 2:6], together[order])
    for cores in (1, 3, 64):
        monkeypatch.setattr(threads, "available_cores", lambda cores=cores: cores)
        again = multinomial_shares(CERTAIN, samples=10_000, seeds=SEEDS)
        np.testing.assert_array_equal(again, together)


def test_a_stored_result_is_replayed():
    # Changes only with numpy's stream of binomials or the algorithm: then say so in the log.
    best = probability_best([321, 421, 381], [9779, 9679, 9719])
    shares = multinomial_shares(best, samples=10_000, seeds=20_250_101)
    np.testing.assert_array_equal(shares, [0.0, 0.9272, 0.0728])


def test_another_seed_gives_another_result():
    first, second = (multinomial_shares(CERTAIN[0], samples=10_000, seeds=s) for s in (1, 2))
    assert (first != second).any()


def test_an_empty_batch_has_no_shares():
    assert multinomial_shares(np.empty((0, 3)), samples=10, seeds=[]).shape == (0, 3)


@pytest.mark.parametrize(
    ("best", "change", "message"),
    [
        ([0.5, 0.5 + 2e-6], {}, "the probabilities of experiment 0 sum to 1.00000199"),
        ([0.5, 0.5 - 2e-6], {}, "the probabilities of experiment 0 sum to 0.99999799"),
        ([1.1, -0.1], {}, "must lie between 0 and 1; variant 0"),
        ([np.nan, 1.0], {}, "must lie between 0 and 1; variant 0"),
        ([1.0], {"samples": 0}, "samples must be a whole number of at least 1, not 0"),
        ([1.0], {"samples": 1.5}, "not 1.5"),
        ([1.0], {"seeds": 2**63}, "seeds must lie in"),
        ([1.0], {"seeds": [1, 2]}, "seeds must have the shape"),
        ([[1.0], [0.0]], {"seeds": [1, 2]}, "experiment 1 sum to 0"),
    ],
)
def test_bad_arguments_are_refused_with_their_place(best, change, message):
    with pytest.raises(ValueError, match=message):
        multinomial_shares(best, **{"samples": 10, "seeds": 1} | change)
