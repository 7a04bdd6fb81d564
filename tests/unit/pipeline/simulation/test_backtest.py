"""Backtests: shrunk rates neither invent nor hide a gain, and every day keeps its traffic."""

import numpy as np
import pytest

from mab_pipeline.simulation.backtest import ALL, backtest
from mab_pipeline.simulation.history import History
from mab_pipeline.simulation.outcome import gains
from mab_pipeline.simulation.play import play
from mab_pipeline.simulation.policy import parse_policy
from mab_pipeline.simulation.shrink import draw_past, estimate, spread
from mab_pipeline.simulation.truth import Truth
from mab_store.settings import Settings

BRIEF = parse_policy("brief", Settings(_env_file=None))
TRAFFIC, DAYS, ARMS = 2000, 14, 4


def past(count, relative_spread, generator):
    """Experiments of known rates under equal split, and what the brief's rule gains on them."""
    rates = 0.05 * (1.0 + relative_spread * generator.standard_normal((count, ARMS)))
    shown = generator.multinomial(TRAFFIC, np.full(ARMS, 1 / ARMS), (count, DAYS))
    hits = generator.binomial(shown, rates[:, None, :])
    histories = [History(f"exp_{i}", f"name_{i}", shown[i], hits[i]) for i in range(count)]
    by_day = np.broadcast_to(rates, (DAYS, count, ARMS))
    truth = Truth(np.full(DAYS, TRAFFIC), by_day, by_day, np.ones(1))
    return histories, 100.0 * gains(truth, play(truth, BRIEF.rule, generator)).mean()


def test_the_estimated_gain_is_the_true_one_where_raw_rates_promise_more():
    histories, true_gain = past(40, 0.08, np.random.default_rng(1))
    result = backtest(histories, [BRIEF], reps=10, seed=1)
    assert result.spread == pytest.approx(0.08, abs=0.02)
    brief = next(one for one in result.earned if one.experiment == ALL and one.policy == "brief")
    assert brief.gain == pytest.approx(true_gain, abs=1.0)
    assert brief.gain_low < brief.gain < brief.gain_high
    raw = np.mean([_raw_gain(history) for history in histories])
    assert raw > true_gain + 2.0


def _raw_gain(history):
    measured = history.clicks.sum(axis=0) / history.impressions.sum(axis=0)
    rates = np.broadcast_to(measured, (DAYS, 1, ARMS))
    truth = Truth(history.impressions.sum(axis=1), rates, rates, np.ones(1))
    return 100.0 * gains(truth, play(truth, BRIEF.rule, np.random.default_rng(1)))[0]


def test_equal_variants_show_no_spread_worth_a_gain():
    histories, _ = past(40, 0.0, np.random.default_rng(2))
    result = backtest(histories, [BRIEF], reps=10, seed=1)
    assert result.spread < 0.025
    assert abs(result.earned[-1].gain) < 1.0


def test_records_name_equal_split_what_was_served_and_each_policy():
    histories, _ = past(2, 0.1, np.random.default_rng(3))
    other = parse_policy("MIN_IMPRESSIONS=0", Settings(_env_file=None))
    result = backtest(histories, [BRIEF, other], reps=10, seed=1)
    names = ["equal split", "as served", "brief", "MIN_IMPRESSIONS=0"]
    assert [one.policy for one in result.earned] == names * 3
    assert [one.experiment for one in result.earned[::4]] == ["exp_0", "exp_1", ALL]
    equal, served, brief, _ = result.earned[-4:]
    assert (equal.gain, equal.gain_low, equal.gain_high) == (0.0, 0.0, 0.0)
    assert (brief.more, brief.more_low, brief.more_high) == (0.0, 0.0, 0.0)
    assert served.gain == pytest.approx(0.0, abs=0.5)
    assert (equal.days, equal.impressions) == (2 * DAYS, 2 * DAYS * TRAFFIC)
    assert backtest(histories, [BRIEF, other], reps=10, seed=1) == result


def test_a_variant_is_there_from_its_first_to_its_last_day_with_impressions():
    shown = np.array([[5, 0, 0], [5, 3, 0], [5, 0, 0], [5, 3, 0], [0, 0, 0], [0, 0, 4]])
    history = History("exp", "name", shown, np.zeros_like(shown))
    assert history.is_there.tolist() == [
        [True, False, False],
        [True, True, False],
        [True, True, False],
        [True, True, False],
        [True, True, True],
        [False, False, True],
    ]


def test_days_without_traffic_and_variants_without_a_click_are_no_trouble():
    shown = np.array([[500, 500], [0, 0], [500, 0], [900, 100]])
    history = History("exp", "name", shown, np.array([[20, 0], [0, 0], [30, 0], [40, 0]]))
    own = estimate(history)
    assert own.day[1] == 0.0
    truth = draw_past(history, own, spread([own]), reps=50, generator=np.random.default_rng(1))
    rates = truth.rates[0]
    assert (rates > 0.0).all()
    assert rates[:, 0].mean() > rates[:, 1].mean()
    result = backtest([history], [BRIEF], reps=10, seed=1)
    assert np.isfinite([one.gain for one in result.earned]).all()


def test_a_spread_of_zero_draws_equal_rates():
    shown = np.full((3, 2), 1000)
    history = History("exp", "name", shown, np.array([[50, 40], [50, 60], [50, 50]]))
    own = estimate(history)
    truth = draw_past(history, own, 0.0, reps=5, generator=np.random.default_rng(1))
    assert truth.rates.std(axis=(1, 2)).max() < 1e-4
