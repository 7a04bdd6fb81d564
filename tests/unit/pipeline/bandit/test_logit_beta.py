"""The single posterior, its reach, and the panels laid over several."""

import numpy as np
import pytest
from scipy import special

from mab_pipeline.bandit.logit_beta import REACH, LogitBeta
from mab_pipeline.bandit.quadrature import NODES, ORDER, UPWARD, WEIGHTS, lay_panels

SHAPES = [(1, 1), (1, 99), (99, 1), (31, 2), (0.5, 0.5), (0.1, 3), (7, 0.2), (400, 9_600)]


def arms_of(*shapes):
    alpha, beta = np.array(shapes, dtype=float).T
    return LogitBeta.of(alpha, beta)


def log_density(arm, y):
    """From equation (1) and the peak."""
    t = arm.sign * (y - arm.mode)
    return arm.fall(t, np.empty_like(t)) + arm.log_peak


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_the_log_density_is_the_textbooks_where_that_does_not_cancel(a, b):
    y = np.linspace(-12.0, 12.0, 97)
    expected = a * special.log_expit(y) + b * special.log_expit(-y) - special.betaln(a, b)
    np.testing.assert_allclose(log_density(arms_of((a, b)), y), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shapes", [*SHAPES, (4e5, 9.6e6), (5e6, 5e6), (9.9e6, 1), (1e12, 2e12)])
def test_the_density_integrates_to_one(shapes):
    arms = arms_of(shapes, shapes)
    pair = arms.pick((None,))
    panels = lay_panels(pair, pair.reach(), width=1.0)
    y = panels.centre[:, None] + panels.half[:, None] * NODES
    mass = (np.exp(log_density(arms.pick(slice(1)), y)) @ WEIGHTS) @ panels.half
    assert abs(mass - 1.0) < 1e-12 * max(1.0, np.sqrt(sum(shapes)) / 1e4)


@pytest.mark.parametrize("shapes", [*SHAPES, (1e-3, 1e-3), (1e-4, 50), (1e9, 1e-2), (3e6, 9e7)])
def test_the_reach_lies_where_the_signed_root_deviance_says(shapes):
    arms = arms_of(shapes)
    root = arms.pick((..., None)).signed_root(arms.reach())
    np.testing.assert_allclose(root, [[-REACH, REACH]], rtol=1e-3)


def test_what_lies_beyond_the_reach_is_negligible():
    for alpha, beta in SHAPES:
        low, high = special.expit(arms_of((alpha, beta)).reach()[0])
        assert special.betainc(alpha, beta, low) < 1e-13
        assert special.betaincc(alpha, beta, high) < 1e-13


def test_far_tails_neither_overflow_nor_bend():
    arm = arms_of((1e-4, 2e-4))
    y = np.array([-1e5, -9e4, 9e4, 1e5])
    fall = log_density(arm, y)
    np.testing.assert_allclose(np.diff(fall)[[0, 2]], [1e4 * 1e-4, -1e4 * 2e-4], rtol=1e-9)


def test_the_upward_matrix_integrates_polynomials_exactly():
    for power in range(ORDER):
        expected = (1.0 - NODES ** (power + 1)) / (power + 1)
        np.testing.assert_allclose(NODES**power @ UPWARD, expected, atol=1e-14)


def test_panels_tile_the_range_of_each_experiment_without_a_gap():
    rng = np.random.default_rng(1)
    arms = LogitBeta.of(10.0 ** rng.uniform(-1, 6, (50, 5)), 10.0 ** rng.uniform(-1, 6, (50, 5)))
    reach = arms.reach()
    panels = lay_panels(arms, reach, width=2.0)
    for i in range(50):
        mine = panels.row == i
        lower = (panels.centre - panels.half)[mine]
        upper = (panels.centre + panels.half)[mine]
        np.testing.assert_allclose(lower[1:], upper[:-1], rtol=1e-12)
        np.testing.assert_allclose(lower[0], reach[i, :, 0].max(), rtol=1e-12)
        np.testing.assert_allclose(upper[-1], reach[i, :, 1].max(), rtol=1e-12)
        assert (panels.half[mine] > 0).all()


def test_like_posteriors_need_no_more_panels_than_one_of_them():
    few = LogitBeta.of(np.full((1, 2), 51.0), np.full((1, 2), 1049.0))
    many = LogitBeta.of(np.full((1, 80), 51.0), np.full((1, 80), 1049.0))
    sizes = [len(lay_panels(arms, arms.reach(), width=2.0).row) for arms in (few, many)]
    assert sizes[0] == sizes[1] <= 12
