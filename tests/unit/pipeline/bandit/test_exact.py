"""probability_best and expected_loss against references, closed forms and their own symmetries."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mab_pipeline.bandit import exact, expected_loss, probability_best, quadrature, threads

DATA = Path(__file__).parent / "data"
NAN = float("nan")


def load(name):
    return json.loads((DATA / name).read_text(encoding="utf-8"))


CASES = load("probability_best.json") + load("harder_cases.json")
SHAPES = st.floats(-1.0, 7.0).map(lambda x: 10.0**x)
ARMS = st.lists(st.tuples(SHAPES, SHAPES), min_size=1, max_size=7)


def columns(arms):
    alpha, beta = np.array(arms, dtype=float).T
    return alpha, beta


def padded(experiments):
    width = max(len(arms) for arms in experiments)
    alpha, beta = np.full((2, len(experiments), width), NAN)
    for i, arms in enumerate(experiments):
        alpha[i, : len(arms)], beta[i, : len(arms)] = columns(arms)
    return alpha, beta


def hard_experiments(n, seed):
    """Near ties, cold ones beside huge ones, shapes below 1, widths that differ by a million."""
    rng = np.random.default_rng(seed)
    experiments = []
    for i in range(n):
        k = int(rng.choice([2, 3, 4, 5, 8, 20]))
        size = 10.0 ** rng.uniform(0, 8, k) if i % 3 else np.full(k, 10.0 ** rng.uniform(2, 8))
        rate = rng.uniform(0.001, 0.999)
        spread = np.sqrt(rate * (1 - rate) / size) * rng.normal(size=k) * rng.choice([0.1, 1, 4])
        rate = np.clip(rate + spread, 1e-4, 1 - 1e-4)
        prior = (0.1, 0.5, 1.0)[i % 3]
        experiments.append(list(zip(prior + size * rate, prior + size * (1 - rate), strict=True)))
    return experiments


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_probability_best_is_the_reference_value(case):
    best = probability_best(*columns(case["posteriors"]))
    np.testing.assert_allclose(best, case["probability_best"], rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.get("expected_loss")], ids=lambda case: case["name"]
)
def test_expected_loss_is_the_reference_value(case):
    loss = expected_loss(*columns(case["posteriors"]))
    np.testing.assert_allclose(loss, case["expected_loss"], rtol=0, atol=1e-11)


def test_a_thousand_hard_experiments_agree_with_panels_a_third_as_wide_of_24_nodes(monkeypatch):
    alpha, beta = padded(hard_experiments(1000, seed=11))
    best, loss = probability_best(alpha, beta), expected_loss(alpha, beta)
    for name, value in zip(
        ("NODES", "WEIGHTS", "UPWARD"),
        quadrature._rule(24),
        strict=True,
    ):
        monkeypatch.setattr(exact, name, value)
    monkeypatch.setattr(exact, "ORDER", 24)
    monkeypatch.setattr(exact, "_WIDTH", 0.7)
    assert np.abs(best - probability_best(alpha, beta)).max() < 1e-11
    assert np.nanmax(np.abs(loss - expected_loss(alpha, beta))) < 1e-11


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 80, 200])
@pytest.mark.parametrize("arm", [(1, 1), (1, 99), (0.01, 0.01), (0.1, 9.9), (31, 1), (4e5, 9.6e6)])
def test_equal_variants_share_equally(n, arm):
    best = probability_best([arm[0]] * n, [arm[1]] * n)
    np.testing.assert_allclose(best, 1 / n, rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    "alpha", [[1e-3, 2e-3, 5e-3], [1e-4, 1e-4], [0.1, 3.0, 0.7], [1e-3, 1.0, 1000.0], [2e6, 1e6]]
)
def test_powers_of_uniforms_have_closed_forms(alpha):
    # theta_i = U ** (1 / a_i): the largest of -ln(U_i) / a_i has odds a_i, the maximum is
    # Beta(sum a_i, 1).
    alpha = np.array(alpha)
    total = alpha.sum()
    best, loss = probability_best(alpha, alpha**0), expected_loss(alpha, alpha**0)
    np.testing.assert_allclose(best, alpha / total, rtol=0, atol=1e-12)
    np.testing.assert_allclose(loss, total / (total + 1) - alpha / (alpha + 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize("beta", [[1e-3, 2e-3], [0.1, 5.0], [99.0, 1e-2], [1e6, 2e6]])
def test_the_mirror_of_a_power_of_a_uniform_has_a_closed_form(beta):
    # 1 - theta_i = U ** (1 / b_i): the smaller of the two is the first with odds b_1 : b_2 less.
    best = probability_best([1.0, 1.0], beta)
    np.testing.assert_allclose(best, np.array(beta)[::-1] / sum(beta), rtol=0, atol=1e-12)


def test_impressions_without_end_keep_nine_digits():
    n = 1e13
    sd = np.sqrt(0.04 * 0.96 / n)
    rate = 0.04 + sd * np.array([0.0, np.sqrt(2.0)])
    np.testing.assert_allclose(
        probability_best(n * rate, n * (1 - rate)),
        [0.15865525393145707, 0.8413447460685429],  # the normal's, one sd of the difference
        rtol=0,
        atol=2e-4,  # rates themselves are only good to 1e-16, 1e-9 sd; the skewness to 1e-5
    )


def test_what_is_left_after_a_sure_winner_is_zero_and_never_negative():
    best = probability_best([1e6, 1, 1], [1e6, 1e6, 1e3])
    np.testing.assert_array_equal(best, [1.0, 0.0, 0.0])
    loss = expected_loss([1e6, 1, 1], [1e6, 1e6, 1e3])
    assert loss[0] == 0.0
    np.testing.assert_allclose(loss[1:], [0.5 - 1 / 1_000_001, 0.5 - 1 / 1001], atol=1e-15)


@settings(max_examples=150)
@given(arms=ARMS)
def test_probabilities_are_probabilities(arms):
    best = probability_best(*columns(arms))
    assert not np.isnan(best).any()
    assert (best >= 0.0).all()
    assert abs(best.sum() - 1.0) < 1e-12


@settings(max_examples=100)
@given(arms=ARMS)
def test_losses_are_finite_and_the_best_mean_loses_least(arms):
    alpha, beta = columns(arms)
    loss = expected_loss(alpha, beta)
    assert (loss >= 0.0).all()
    np.testing.assert_allclose(
        loss - loss.min(), (alpha / (alpha + beta)).max() - alpha / (alpha + beta), atol=1e-15
    )


@settings(max_examples=60)
@given(arms=ARMS.filter(lambda arms: len(set(arms)) == len(arms)), data=st.data())
def test_the_order_of_the_variants_changes_no_bit(arms, data):
    order = data.draw(st.permutations(range(len(arms))))
    alpha, beta = columns(arms)
    for function in (probability_best, expected_loss):
        there = function(alpha, beta)[order]
        np.testing.assert_array_equal(function(alpha[order], beta[order]), there)


@settings(max_examples=60)
@given(arms=ARMS, clicks=st.floats(0.01, 1e4))
def test_a_click_more_never_lowers_a_variants_probability(arms, clicks):
    alpha, beta = columns([*arms, (1.0, 99.0)])
    before = probability_best(alpha, beta)[0]
    alpha[0] += clicks
    assert probability_best(alpha, beta)[0] >= before - 1e-12


@settings(max_examples=60)
@given(arms=ARMS, rival=st.tuples(SHAPES, SHAPES))
def test_another_variant_never_raises_a_probability(arms, rival):
    fewer = probability_best(*columns(arms))
    more = probability_best(*columns([*arms, rival]))
    assert (more[:-1] <= fewer + 1e-12).all()


@settings(max_examples=60)
@given(first=st.tuples(SHAPES, SHAPES), second=st.tuples(SHAPES, SHAPES))
def test_in_the_mirror_the_other_one_is_best(first, second):
    alpha, beta = columns([first, second])
    np.testing.assert_allclose(
        probability_best(alpha, beta), probability_best(beta, alpha)[::-1], rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("function", [probability_best, expected_loss])
def test_no_bit_depends_on_batch_order_padding_threads_or_chunks(function, monkeypatch):
    experiments = [*hard_experiments(120, seed=5), [(1.0, 99.0)] * 60, [(2.0, 3.0)]]
    alpha, beta = padded(experiments)
    together = function(alpha, beta)
    for i, arms in enumerate(experiments):
        np.testing.assert_array_equal(function(*columns(arms)), together[i, : len(arms)])
    order = np.random.default_rng(0).permutation(len(experiments))
    np.testing.assert_array_equal(function(alpha[order], beta[order]), together[order])
    for cores, block, chunk in ((1, 2**17, 2**14), (5, 1, 1), (2, 2**12, 2**20)):
        monkeypatch.setattr(threads, "available_cores", lambda cores=cores: cores)
        monkeypatch.setattr(exact, "available_cores", lambda cores=cores: cores)
        monkeypatch.setattr(exact, "_BLOCK", block)
        monkeypatch.setattr(exact, "_CHUNK", chunk)
        np.testing.assert_array_equal(function(alpha, beta), together)


def test_padding_may_stand_anywhere_and_has_probability_0_and_no_loss():
    alpha = np.array([[NAN, 2.0, NAN, 3.0], [1.0, NAN, 2.0, 3.0]])
    beta = np.array([[NAN, 9.0, NAN, 8.0], [5.0, NAN, 6.0, 7.0]])
    best, loss = probability_best(alpha, beta), expected_loss(alpha, beta)
    np.testing.assert_array_equal(best[0, [1, 3]], probability_best([2, 3], [9, 8]))
    np.testing.assert_array_equal(best[1, [0, 2, 3]], probability_best([1, 2, 3], [5, 6, 7]))
    np.testing.assert_array_equal(best[np.isnan(alpha)], 0.0)
    np.testing.assert_array_equal(np.isnan(loss), np.isnan(alpha))


def test_an_error_seen_in_the_sum_is_repaired_with_finer_panels(monkeypatch):
    arms = [(3_201, 96_899)] * 40 + [(3_251, 96_849)]
    expected = probability_best(*columns(arms))
    monkeypatch.setattr(exact, "_WIDTH", 6.0)
    np.testing.assert_allclose(probability_best(*columns(arms)), expected, rtol=0, atol=1e-10)
    monkeypatch.setattr(exact, "_REFINEMENTS", 0)
    assert np.abs(probability_best(*columns(arms)) - expected).max() > 1e-7


def test_empty_batches_and_single_variants_have_answers():
    assert probability_best(np.empty((0, 4)), np.empty((0, 4))).shape == (0, 4)
    assert expected_loss(np.empty((0, 4)), np.empty((0, 4))).shape == (0, 4)
    np.testing.assert_array_equal(probability_best([[3.0], [4.0]], [[1.0], [1.0]]), [[1.0], [1.0]])
    np.testing.assert_array_equal(expected_loss([3.0], [1.0]), [0.0])


def test_the_arguments_are_left_alone():
    alpha, beta = np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]])
    probability_best(alpha, beta)
    expected_loss(alpha, beta)
    np.testing.assert_array_equal(alpha, [[1.0, 2.0]])
    np.testing.assert_array_equal(beta, [[3.0, 4.0]])


@pytest.mark.parametrize("function", [probability_best, expected_loss])
@pytest.mark.parametrize(
    ("alpha", "beta", "message"),
    [
        ([[1, 2], [3, 0]], [[1, 1], [1, 1]], r"alpha .* experiment 1, variant 1 has alpha = 0, "),
        ([1, 2], [1, -4], r"beta must be finite and above 0; variant 1 .* beta = -4"),
        ([[1, NAN]], [[1, 2]], r"NaN in both.* experiment 0, variant 1 has alpha = nan, beta = 2"),
        ([[1, np.inf]], [[1, 2]], r"experiment 0, variant 1 has alpha = inf"),
        ([[1, 2], [NAN, NAN]], [[1, 2], [NAN, NAN]], "experiment 1 has no real cell"),
        ([1, 2], [1, 2, 3], r"one shape, not \(2,\) and \(3,\)"),
        (1.0, 1.0, r"\(n_variants,\) or \(n_experiments, n_variants\), not \(\)"),
        (np.ones((2, 2, 2)), np.ones((2, 2, 2)), "n_experiments"),
        (["1", "2"], [1, 2], "alpha must be an array of real numbers"),
        ([[1], [1, 2]], [1, 2], "alpha must be an array of real numbers"),
        ([1 + 2j], [1], "alpha must be an array of real numbers"),
        ([None], [1], "NaN in both"),
        ([], [], "experiment 0 has no real cell"),
    ],
)
def test_bad_posteriors_are_refused_by_cell_and_value(function, alpha, beta, message):
    with pytest.raises(ValueError, match=message):
        function(alpha, beta)
