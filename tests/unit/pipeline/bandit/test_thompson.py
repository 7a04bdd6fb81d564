"""Monte Carlo: agreement with the exact value, replay to the bit, ties, seeds."""

from datetime import UTC, date, datetime

import numpy as np
import pytest

from mab_pipeline.bandit import (
    binomial_tail,
    experiment_seed,
    probability_best,
    thompson,
    thompson_shares,
    threads,
)

NAN = float("nan")
ALPHA = np.array([[3.0, 4.0, 5.0, NAN], [321, 421, 381, 1], [1, NAN, 0.4, 1], [2, NAN, NAN, NAN]])
BETA = np.array(
    [[9.0, 9.0, 8.0, NAN], [9779, 9679, 9719, 99], [9, NAN, 0.2, 9], [3, NAN, NAN, NAN]]
)
SEEDS = [11, 22, 2**63 - 1, 0]


def agrees(alpha, beta, *, samples, seed):
    shares = thompson_shares(alpha, beta, samples=samples, seeds=seed)
    wins = np.round(shares * samples)
    tail = binomial_tail(wins, wins, samples, probability_best(alpha, beta))
    return bool((tail > 1e-6).all())


@pytest.mark.parametrize(
    ("alpha", "beta"),
    [
        ([321, 421, 381], [9779, 9679, 9719]),
        ([1, 1, 4], [99, 99, 108]),
        ([0.5, 0.5, 1.0], [0.5, 0.5, 1.0]),
        ([0.2, 0.1, 0.1], [0.1, 0.1, 0.2]),
        ([0.01, 0.02, 0.05, 2.0], [0.5, 1.0, 1.0, 30.0]),
        ([400_001, 400_901], [9_600_099, 9_599_199]),
        ([1e-3, 5e-3], [1.0, 1.0]),
    ],
)
def test_shares_agree_with_the_exact_probability(alpha, beta):
    assert agrees(alpha, beta, samples=200_000, seed=4)


@pytest.mark.parametrize("shapes", [(1e-3, 1e-3), (1e-3, 99), (0.01, 5), (5, 1e-3), (0.1, 0.1)])
def test_draws_that_would_underflow_do_not_favour_the_first_variant(shapes):
    alpha, beta = np.full(4, shapes[0]), np.full(4, shapes[1])
    shares = thompson_shares(alpha, beta, samples=100_000, seeds=7)
    np.testing.assert_allclose(shares, 0.25, atol=6 * np.sqrt(0.25 * 0.75 / 1e5))


def test_shares_are_counts_over_samples_that_sum_to_one():
    shares = thompson_shares(ALPHA, BETA, samples=1_000, seeds=SEEDS)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-15)
    np.testing.assert_array_equal(shares, np.round(shares * 1_000) / 1_000)


def test_a_padded_cell_has_share_0_and_a_lone_variant_all():
    shares = thompson_shares(ALPHA, BETA, samples=100, seeds=SEEDS)
    np.testing.assert_array_equal(shares[np.isnan(ALPHA)], 0.0)
    assert shares[3, 0] == 1.0


@pytest.mark.parametrize("samples", [1, 999, 16_384, 40_000])
def test_no_bit_depends_on_batch_order_padding_or_threads(samples, monkeypatch):
    together = thompson_shares(ALPHA, BETA, samples=samples, seeds=SEEDS)
    for i, seed in enumerate(SEEDS):
        real = ~np.isnan(ALPHA[i])
        alone = thompson_shares(ALPHA[i, real], BETA[i, real], samples=samples, seeds=seed)
        np.testing.assert_array_equal(alone, together[i, real])
    order = [2, 0, 3, 1]
    shuffled = thompson_shares(
        np.pad(ALPHA[order], ((0, 0), (2, 3)), constant_values=NAN),
        np.pad(BETA[order], ((0, 0), (2, 3)), constant_values=NAN),
        samples=samples,
        seeds=np.array(SEEDS)[order],
    )
    np.testing.assert_array_equal(shuffled[:, 2:6], together[order])
    for cores in (1, 3, 64):
        monkeypatch.setattr(threads, "available_cores", lambda cores=cores: cores)
        monkeypatch.setattr(thompson, "available_cores", lambda cores=cores: cores)
        again = thompson_shares(ALPHA, BETA, samples=samples, seeds=SEEDS)
        np.testing.assert_array_equal(again, together)


def test_a_stored_result_is_replayed():
    # Changes only with numpy's stream of gamma variates or the algorithm: then say so in the log.
    shares = thompson_shares([321, 421, 381], [9779, 9679, 9719], samples=10_000, seeds=20_250_101)
    np.testing.assert_array_equal(shares, [0.0, 0.9267, 0.0733])


def test_another_seed_gives_another_result():
    first, second = (
        thompson_shares([3, 4, 5], [9, 9, 9], samples=10_000, seeds=seed) for seed in (1, 2)
    )
    assert (first != second).any()


def test_one_experiment_takes_its_seed_plain_or_in_a_list():
    plain = thompson_shares([3, 4], [9, 9], samples=50, seeds=5)
    assert plain.shape == (2,)
    for seeds in ([5], np.array([5]), np.int64(5), np.array([5], dtype=object)):
        listed = thompson_shares([3, 4], [9, 9], samples=50, seeds=seeds)
        np.testing.assert_array_equal(listed, plain)


def test_an_empty_batch_has_no_shares():
    empty = np.empty((0, 3))
    assert thompson_shares(empty, empty, samples=10, seeds=[]).shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"samples": 0}, "samples must be a whole number of at least 1, not 0"),
        ({"samples": 2.5}, "samples"),
        ({"seeds": [1, 2]}, r"seeds must have the shape \(1,\), one per experiment, not \(2,\)"),
        ({"seeds": [-1]}, r"\[0, 2\*\*63\); experiment 0 has seed -1"),
        ({"seeds": [2**63]}, "experiment 0 has seed 9223372036854775808"),
        ({"seeds": [2**70]}, "experiment 0 has seed"),
        ({"seeds": [1.5]}, "seeds must be integers"),
        ({"alpha": [[1.0, -2.0]]}, "experiment 0, variant 1 has alpha = -2"),
        ({"alpha": [[1.0, NAN]]}, "padded"),
        ({"alpha": [[NAN, NAN]], "beta": [[NAN, NAN]]}, "experiment 0 has no real cell"),
    ],
)
def test_bad_arguments_are_refused(change, message):
    arguments = {"alpha": [[1.0, 2.0]], "beta": [[3.0, 4.0]], "samples": 10, "seeds": [1]} | change
    with pytest.raises(ValueError, match=message):
        thompson_shares(arguments.pop("alpha"), arguments.pop("beta"), **arguments)


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(threads, "available_cores", lambda: 2)
    with pytest.raises(ZeroDivisionError):
        threads.for_each([1, 0, 2], lambda chunk: divmod(1, chunk))


def test_the_seed_is_the_documented_hash():
    # python -c "import hashlib; print(int.from_bytes(hashlib.sha256(
    #     b'mab-seed-v1|42|exp_0123456789ab|2025-01-31').digest()[:8], 'big') >> 1)"
    assert experiment_seed(42, "exp_0123456789ab", date(2025, 1, 31)) == 4962912778089698782


def test_the_seed_depends_on_base_experiment_and_day_alone():
    day = date(2025, 1, 31)
    seed = experiment_seed(42, "exp_a", day)
    others = {
        experiment_seed(43, "exp_a", day),
        experiment_seed(42, "exp_b", day),
        experiment_seed(42, "exp_a", date(2025, 2, 1)),
    }
    assert len(others | {seed}) == 4
    assert experiment_seed(42, "exp_a", datetime(2025, 1, 31, 17, 30, tzinfo=UTC)) == seed
    assert all(0 <= value < 2**63 for value in others)
