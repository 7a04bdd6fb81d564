"""What the functions refuse, in which words, and the last values that they take."""

import numpy as np
import pytest
from scipy import stats

from mab_pipeline.bandit import day_fits as fitting
from mab_pipeline.bandit.adaptive import inverse_probability_rates
from mab_pipeline.bandit.agreement import binomial_tail
from mab_pipeline.bandit.day_effects import overdispersion
from mab_pipeline.bandit.day_fits import day_fits
from mab_pipeline.bandit.decision import to_hundredths
from mab_pipeline.bandit.exploration import explore
from mab_pipeline.bandit.posterior import credible_interval, posterior
from mab_pipeline.bandit.prior import own_rate_prior
from mab_pipeline.bandit.sample_ratio import sample_ratio_p_value

TEXT = ["a", "b"]
TWO = [0.5, 0.5]
NONE = [0.0] * 4


def updated(clicks, impressions):
    return posterior(clicks, impressions, prior_alpha=1.0, prior_beta=99.0)


def rates(shares, impressions=((10, 10),), clicks=((1, 1),)):
    return inverse_probability_rates(impressions, clicks, shares)


# Every argument is named when it is refused, and the first bad cell is quoted.
REFUSED = {
    "clicks must be an array of real numbers": lambda: updated(TEXT, TWO),
    "impressions must be an array of real numbers": lambda: updated(TWO, TEXT),
    "clicks must not exceed impressions; variant 1 has clicks = 2, impressions = 1": (
        lambda: updated([1, 2], [1, 1])
    ),
    "alpha must be an array of real numbers": lambda: credible_interval(TEXT, TWO),
    "beta must be an array of real numbers": lambda: credible_interval(TWO, TEXT),
    "alpha and beta must have one shape, not": lambda: credible_interval(TWO, [1.0]),
    "a padded cell is NaN in both alpha and beta, a real one in neither; "
    "variant 0 has alpha = nan, beta = 1": lambda: credible_interval([np.nan], [1.0]),
    "beta must be finite and above 0; variant 0 has alpha = 1, beta = 0": (
        lambda: credible_interval([1.0], [0.0])
    ),
    "shares must be an array of real numbers": lambda: to_hundredths(TEXT),
    "shares must have the shape": lambda: to_hundredths(1.0),
    "shares must be finite and not negative; variant 0 has shares = -1": (
        lambda: to_hundredths([-1.0, 2.0])
    ),
    "weights must be an array of real numbers": lambda: explore(TEXT, 0.0),
    "weights must have the shape": lambda: explore(1.0, 0.0),
    "weights must be finite and not negative; variant 1 has weights = -1": (
        lambda: explore([2.0, -1.0], 0.0)
    ),
    "floors must be an array of real numbers": lambda: explore(TWO, 0.0, TEXT),
    "floors must lie in 0 to 1; variant 1 has floors = 1.5": lambda: explore(TWO, 0.0, [0.0, 1.5]),
    "wins_low must be an array of real numbers": lambda: binomial_tail(TEXT, 1, 1, 0.5),
    "wins_high must be an array of real numbers": lambda: binomial_tail(1, TEXT, 1, 0.5),
    "samples must be an array of real numbers": lambda: binomial_tail(1, 1, TEXT, 0.5),
    "probability must be an array of real numbers": lambda: binomial_tail(1, 1, 1, TEXT),
    r"the arguments do not broadcast: wins_low \(2,\), wins_high \(3,\)": (
        lambda: binomial_tail([1, 1], [1, 1, 1], 1, 0.5)
    ),
    "samples must be whole and at least 1; got wins_low = 0, wins_high = 0, samples = 0, "
    "probability = 0.5": lambda: binomial_tail(0, 0, 0, 0.5),
    "probability must lie between 0 and 1; got wins_low = 0, wins_high = 0, samples = 1, "
    "probability = 1.5": lambda: binomial_tail(0, 0, 1, 1.5),
    "impressions and shares must have one shape, not": lambda: rates([[0.5]]),
    "shares must be an array of real": lambda: rates([TEXT]),
    "shares must lie between 0 and 1; experiment 0, variant 1 has shares = 1.5": (
        lambda: rates([[0.5, 1.5]])
    ),
    "shares must lie between 0 and 1; experiment 0, variant 0 has shares = -0.5": (
        lambda: rates([[-0.5, 0.5]])
    ),
    "clicks must not exceed impressions; experiment 1, variant 0 has impressions = 3, clicks = 4": (
        lambda: own_rate_prior([[1, 1], [3, 1]], [[1, 1], [4, 1]])
    ),
    "impressions must be finite and not negative; variant 1 has impressions = inf, clicks = 0": (
        lambda: own_rate_prior([1, np.inf], [0, 0])
    ),
    "clicks must be finite and not negative; variant 0 has impressions = 1, clicks = -1": (
        lambda: own_rate_prior([1, 1], [-1, 0])
    ),
    r"impressions must have the shape \(n_variants,\)": lambda: own_rate_prior(1.0, 1.0),
    r"observed must have the shape \(n_variants,\)": lambda: sample_ratio_p_value(1.0, 1.0),
}


@pytest.mark.parametrize("message", REFUSED)
def test_a_bad_argument_is_named_and_the_first_bad_cell_is_quoted(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


# Numbers


def test_one_draw_is_enough_for_a_tail():
    assert binomial_tail(1, 1, 1, 0.25) == pytest.approx(0.25, abs=1e-8)
    assert binomial_tail(0, 0, 1, 0.25) == pytest.approx(0.75, abs=1e-8)


def test_each_experiment_has_the_prior_of_its_own_rate():
    alpha, beta = own_rate_prior([[100, 200], [50, 50]], [[10, 20], [1, 0]])
    assert alpha.tolist() == [1.0, 1.0]
    assert beta == pytest.approx([400 / 31 - 1, 200 / 2 - 1])
    one_alpha, one_beta = own_rate_prior([100, 200], [10, 20])
    assert (one_alpha.shape, one_beta.shape) == ((), ())
    assert one_beta == beta[0]


@pytest.mark.parametrize(
    ("shown", "beta"), [(9_898, 99 / 9_899), (9_899, 0.01), (9_900, 0.01), (10**9, 0.01)]
)
def test_the_own_prior_never_claims_that_everyone_clicks(shown, beta):
    assert own_rate_prior([shown], [shown])[1] == pytest.approx(beta, rel=1e-12)


def test_the_sample_ratio_is_pearsons_test_of_the_cells_that_were_promised_traffic():
    observed, expected = [30.0, 50.0, 25.0], [1.0, 1.5, 1.0]
    scaled = np.array(expected) * 105 / 3.5
    wanted = stats.chisquare(observed, scaled).pvalue
    assert sample_ratio_p_value(observed, expected) == pytest.approx(wanted, rel=1e-12)
    assert sample_ratio_p_value(observed, expected).shape == ()
    padded = [
        [*observed, np.nan],
        [10.0, 10.0, 10.0, 1.0],
        [0.0] * 4,
        [3.0, 0.0, 0.0, 0.0],
        [0.0] * 4,
    ]
    promised = [
        [*expected, np.nan],
        [1.0, 1.0, 1.0, 0.0],
        [1.0] * 4,
        [1.0, 0.0, 0.0, 0.0],
        [0.0] * 4,
    ]
    with np.errstate(all="raise"):
        found = sample_ratio_p_value(padded, promised)
    assert found == pytest.approx([wanted, 0.0, np.nan, np.nan, np.nan], rel=1e-12, nan_ok=True)


def test_the_sample_ratio_of_few_impressions_counts_too():
    wanted = stats.chisquare([1.0, 0.0], [0.5, 0.5]).pvalue
    assert sample_ratio_p_value([1, 0], [1, 1]) == pytest.approx(wanted, rel=1e-12)


def test_shares_that_sum_to_1_but_for_rounding_are_brought_to_1_before_ties_break():
    # 9999.5 and 0.5 hundredths: a tie, which the earlier position wins.
    shares = np.array([0.99995, 0.00005])
    assert to_hundredths(shares * (1 - 9e-7)).tolist() == [10_000, 0]
    assert to_hundredths(shares * (1 + 9e-7)).tolist() == [10_000, 0]
    with pytest.raises(ValueError, match="experiment 0 sum to"):
        to_hundredths(shares * (1 - 1.1e-6))


def test_exploration_of_everything_is_an_equal_split_of_each_experiment():
    weights = [[0.9, 0.1, np.nan], [0.2, 0.3, 0.5]]
    mixed = explore(weights, 1.0)
    assert mixed[0, :2].tolist() == [0.5, 0.5]
    assert mixed[1] == pytest.approx([1 / 3] * 3)
    part = explore(weights, 0.3)
    assert part[0, :2] == pytest.approx([0.15 + 0.7 * 0.9, 0.15 + 0.7 * 0.1])
    assert part[1] == pytest.approx([0.1 + 0.7 * 0.2, 0.1 + 0.7 * 0.3, 0.1 + 0.7 * 0.5])


@pytest.mark.parametrize(
    ("floors", "shares"),
    [
        ([0.75, 0.25], [0.5, 0.5]),  # they leave nothing
        ([1.0, 0.0], [0.5, 0.5]),
        ([0.75, 0.125], [0.75 + 0.125 * 0.4, 0.125 + 0.125 * 0.6]),
    ],
)
def test_floors_that_take_everything_leave_an_equal_split(floors, shares):
    assert explore([0.4, 0.6], 0.0, floors) == pytest.approx(shares, rel=1e-15)


def test_weights_that_sum_to_1_but_for_rounding_give_shares_that_do():
    mixed = explore(np.array([0.4, 0.6]) * (1 + 9e-7), 0.1)
    assert mixed.sum() == pytest.approx(1.0, abs=1e-15)


def test_a_share_of_0_leaves_a_rate_unknown_only_on_a_day_with_traffic():
    impressions = [[10, 10], [0, 0], [5, 15]]
    clicks = [[1, 2], [0, 0], [1, 3]]
    shares = np.array([[0.5, 0.5], [0.0, 1.0], [0.25, 0.75]])
    rate, error = rates(shares, impressions, clicks)
    assert rate == pytest.approx([(1 / 0.5 + 1 / 0.25) / 40, (2 / 0.5 + 3 / 0.75) / 40])
    variances = [10 * 0.1 * 0.9 / 0.25 + 5 * 0.2 * 0.8 / 0.0625]
    variances += [10 * 0.2 * 0.8 / 0.25 + 15 * 0.2 * 0.8 / 0.5625]
    assert error == pytest.approx(np.sqrt(variances) / 40)
    one = [[10, 10], [0, 1], [5, 15]]
    rate, error = rates(shares, one, clicks)
    assert np.isnan(rate).tolist() == np.isnan(error).tolist() == [True, False]


def test_a_single_impression_is_traffic_and_none_is_nothing():
    rate, error = rates([[0.5, 0.5]], [[1.0, 0.0]], [[0.5, 0.0]])
    assert rate.tolist() == [1.0, 0.0]
    assert error.tolist() == [1.0, 0.0]  # sqrt(1 x 0.5 x 0.5 / 0.25)
    rate, error = rates([[1.0, 0.0]], [[0.0, 0.0]], [[0.0, 0.0]])
    assert np.isnan(rate).all()
    assert np.isnan(error).all()


def test_fits_of_many_experiments_are_those_of_each_whatever_the_block(monkeypatch):
    random = np.random.default_rng(5)
    counts = []
    for _ in range(60):
        shown = random.integers(0, 4, (random.integers(1, 6), random.integers(2, 4)))
        counts.append((shown.astype(float), random.binomial(shown, 0.4).astype(float)))
    counts.append((np.array([[1.0, 1.0]]), np.array([[1.0, 1.0]])))  # everybody clicked
    counts.append((np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]])))
    together = day_fits(counts)
    for fit, (shown, hits) in zip(together, counts, strict=True):
        assert fit.phi == pytest.approx(overdispersion(shown, hits), rel=1e-9, nan_ok=True)
    monkeypatch.setattr(fitting, "_BLOCK", 1)
    for fit, alone in zip(together, day_fits(counts), strict=True):
        assert fit.phi == pytest.approx(alone.phi, nan_ok=True)
        np.testing.assert_allclose(fit.clicks, alone.clicks)


@pytest.mark.parametrize(
    ("shown", "hits", "phi"),
    [
        # The second variant keeps less than one effective impression.
        ([[2, 1], [2, 0], [2, 2], [2, 0]], [[1, 0], [1, 0], [0, 2], [2, 0]], 2.7019410160110375),
        # Each variant has one click, and no day tells them apart: nothing effective is left.
        ([[0, 1, 0], [1, 1, 2], [2, 1, 1]], [[0, 1, 0], [0, 0, 1], [1, 0, 0]], 0.5833333333385304),
    ],
)
def test_overdispersion_of_next_to_nothing_is_that_of_one_experiment_alone(shown, hits, phi):
    counts = (np.array(shown, dtype=float), np.array(hits, dtype=float))
    (fit,) = day_fits([counts])
    assert fit.phi == pytest.approx(phi, rel=1e-9)
    assert overdispersion(*counts) == pytest.approx(phi, rel=1e-9)
