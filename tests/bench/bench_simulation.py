"""How fast worlds are simulated, and whether Scott's example comes out as published."""

import time

import numpy as np
from mabwiser.mab import MAB, LearningPolicy

from mab_pipeline.simulation.policy import parse_policy
from mab_pipeline.simulation.simulate import simulate
from mab_pipeline.simulation.stopping import Plan, stop_test
from mab_pipeline.simulation.worlds import World
from mab_store.settings import Settings
from tests.bench.rows import Row

REPS, DAYS, DRAWS = 1000, 60, 10_000
WORLD = World(name="bench", days=DAYS, traffic=3000, rates=[0.05, 0.055, 0.045])
SCOTT = "DEFAULT_WINDOW_DAYS=365,MAX_WINDOW_DAYS=365,MIN_IMPRESSIONS=0,PRIOR_ALPHA=1,PRIOR_BETA=1"


def run() -> list[Row]:
    """Measure everything of this module."""
    settings = Settings(_env_file=None)
    started = time.perf_counter()
    list(simulate([WORLD], [parse_policy("brief", settings)], reps=REPS, seed=1))
    ours = time.perf_counter() - started
    theirs = _one_by_one()
    ratio = REPS * theirs / ours
    test = stop_test(
        np.array([0.04, 0.05]),
        parse_policy(SCOTT, settings).rule,
        Plan(traffic=100, fixed_days=223),
        reps=1500,
        seed=2,
    )
    return [
        Row(
            "1,000 repetitions x 60 days x 3 variants / one by one through mabwiser",
            ">= 50 times faster",
            f"{ratio:,.0f} times ({ours:.1f} s against {theirs:.1f} s for one)",
            ratio >= 50,
        ),
        Row(
            "Scott's example, 1,500 runs: days saved of 223 (paper: 175)",
            "177.9 +/- 4",
            f"{test.days_saved:.1f}, standard error {test.days_se:.1f}",
            abs(test.days_saved - 177.9) <= 4.0,
        ),
        Row(
            "its conversions saved (paper: 97.5)",
            "98.2 +/- 1.5",
            f"{test.clicks_saved:.1f}, standard error {test.clicks_se:.1f}",
            abs(test.clicks_saved - 98.2) <= 1.5,
        ),
    ]


def _one_by_one() -> float:
    """Return the seconds that one repetition takes mabwiser, with 10,000 predictions a day."""
    generator = np.random.default_rng(1)
    arms = [0, 1, 2]
    rates, traffic = WORLD.daily_rates(), WORLD.daily_traffic()
    bandit = MAB(arms, LearningPolicy.ThompsonSampling(), seed=1)
    bandit.fit(np.array([0, 1, 2]), np.zeros(3))
    started = time.perf_counter()
    for day in range(DAYS):
        wins = np.bincount([bandit.predict() for _ in range(DRAWS)], minlength=len(arms))
        shown = generator.multinomial(traffic[day], wins / DRAWS)
        hits = generator.binomial(shown, rates[day])
        decisions = np.repeat(arms, shown)
        rewards = np.concatenate(
            [np.arange(n) < x for n, x in zip(shown, hits, strict=True)]
        ).astype(float)
        bandit.partial_fit(decisions, rewards)
    return time.perf_counter() - started
