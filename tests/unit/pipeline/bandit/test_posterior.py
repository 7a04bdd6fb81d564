"""The conjugate update and the credible interval."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from mab_pipeline.bandit import credible_interval, posterior

NAN = float("nan")
PRIOR = {"prior_alpha": 1.0, "prior_beta": 99.0}


def test_clicks_are_added_to_alpha_and_the_rest_to_beta():
    alpha, beta = posterior([[3, 0], [5, 5]], [[10, 0], [5, 200]], **PRIOR)
    np.testing.assert_array_equal(alpha, [[4.0, 1.0], [6.0, 6.0]])
    np.testing.assert_array_equal(beta, [[106.0, 99.0], [99.0, 294.0]])
    assert alpha.dtype == beta.dtype == np.float64


def test_padding_stays_padding():
    alpha, beta = posterior([1.0, NAN], [2.0, NAN], prior_alpha=0.1, prior_beta=0.9)
    np.testing.assert_array_equal(alpha, [1.1, NAN])
    np.testing.assert_array_equal(beta, [1.9, NAN])


@given(impressions=st.integers(0, 2**53), data=st.data())
def test_pseudo_counts_add_up(impressions, data):
    clicks = data.draw(st.integers(0, impressions))
    alpha, beta = posterior([clicks], [impressions], prior_alpha=0.5, prior_beta=0.5)
    assert alpha[0] + beta[0] == pytest.approx(impressions + 1, rel=1e-15)


@pytest.mark.parametrize(
    ("clicks", "impressions", "message"),
    [
        ([[1, 2], [3, 9]], [[1, 2], [3, 4]], "experiment 1, variant 1 has clicks = 9, impressions"),
        ([-1, 2], [3, 4], "clicks must be finite and not negative; variant 0 has clicks = -1"),
        ([0, 0], [3, -4], "impressions must be .* variant 1 has clicks = 0, impressions = -4"),
        ([1, NAN], [3, 4], "a padded cell .* variant 1 has clicks = nan"),
        ([1, 1], [3, np.inf], "impressions must be finite"),
        ([1], [3, 4], "one shape"),
    ],
)
def test_bad_counts_are_refused_by_cell_and_value(clicks, impressions, message):
    with pytest.raises(ValueError, match=message):
        posterior(clicks, impressions, **PRIOR)


@pytest.mark.parametrize("value", [0.0, -1.0, NAN, np.inf])
@pytest.mark.parametrize("name", ["prior_alpha", "prior_beta"])
def test_a_prior_must_be_finite_and_above_zero(name, value):
    with pytest.raises(ValueError, match=f"{name} must be finite and above 0"):
        posterior([1], [2], **{**PRIOR, name: value})


def test_the_interval_leaves_equal_tails():
    alpha, beta = np.array([[1.0, 31.0], [4e5, NAN]]), np.array([[99.0, 1.0], [9.6e6, NAN]])
    low, high = credible_interval(alpha, beta, level=0.9)
    np.testing.assert_allclose(special.betainc(alpha, beta, low), [[0.05, 0.05], [0.05, NAN]])
    np.testing.assert_allclose(special.betaincc(alpha, beta, high), [[0.05, 0.05], [0.05, NAN]])


def test_the_interval_of_a_uniform_is_its_middle():
    low, high = credible_interval([1.0], [1.0])
    np.testing.assert_allclose([low[0], high[0]], [0.025, 0.975], rtol=1e-14)


@pytest.mark.parametrize("level", [0.0, 1.0, -0.5, 2.0, NAN])
def test_a_level_lies_between_0_and_1(level):
    with pytest.raises(ValueError, match="level"):
        credible_interval([1.0], [1.0], level=level)


def test_an_interval_of_a_bad_posterior_is_refused():
    with pytest.raises(ValueError, match="experiment 0, variant 1 has alpha = 0"):
        credible_interval([[1.0, 0.0]], [[1.0, 1.0]])
    with pytest.raises(ValueError, match="padded"):
        credible_interval([1.0, NAN], [1.0, 1.0])
