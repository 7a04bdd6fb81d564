"""Measure how often the stop advice is wrong, and how soon it is right, by simulation.

    python -m tools.measure_stop_rule [--repetitions 2000] [--seed 1] [--least 0.996] [WORLD ...]

Each world is run under the default rule: windows of 14 and 30 days, 200 impressions, Beta(1, 99),
10,000 draws a day (drawn as Multinomial(10,000, P(best)), which is their exact distribution). The
advice is asked every day; it changes with each whole week. One row per world: runs in which a
winner was named that is not the best variant (if all are equal: any), runs in which the best one
was, and the mean day of that; the same for `safe_to_stop` with what following it costs.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from mab_pipeline.allocation.stop_rule import (
    MIN_DAYS,
    WEEK,
    WINNER_P,
    lead,
    leader_loss,
    winner,
)
from mab_pipeline.bandit import probability_best
from mab_pipeline.bandit.arrays import FloatArray

STOP_LOSS = 0.005
ALL = 10_000


@dataclass(frozen=True, slots=True)
class World:
    """A simulated experiment.

    Attributes:
        rates: True rate of each variant on an average day.
        visitors: Impressions per day.
        days: Length of a run.
        trend: The last day's rates over the first day's.
        weekday: Amplitude of the week, relative.
        daily: Standard deviation of the logarithm of each day's common effect.
        own: Standard deviation of each variant's own effect of the day, relative.
    """

    rates: tuple[float, ...]
    visitors: int = 1_000
    days: int = 60
    trend: float = 1.0
    weekday: float = 0.0
    daily: float = 0.0
    own: float = 0.0


WORLDS = {
    "two equal": World((0.05, 0.05)),
    "two equal, 10,000 a day": World((0.05, 0.05), visitors=10_000),
    "two equal, 200 a day at 0.5 %": World((0.005, 0.005), visitors=200),
    "two equal, days differ": World((0.05, 0.05), trend=2.5, weekday=0.2, daily=0.2),
    "two equal, own days": World((0.05, 0.05), visitors=10_000, own=0.1),
    "three equal": World((0.05,) * 3),
    "three equal, days differ": World((0.05,) * 3, trend=2.5, weekday=0.2, daily=0.2),
    "ten equal": World((0.05,) * 10, visitors=5_000),
    "two equal, a bad third": World((0.05, 0.05, 0.03), visitors=3_000),
    "two equal, 180 days": World((0.05, 0.05), days=180),
    "5 against 4.5 %": World((0.05, 0.045)),
    "5 against 4.5 %, 5,000 a day": World((0.05, 0.045), visitors=5_000),
    "5 against 4.5 %, 10,000 a day": World((0.05, 0.045), visitors=10_000),
    "5 against 4 %": World((0.05, 0.04)),
    "5, 4.5 and 4.5 %, 10,000 a day": World((0.05, 0.045, 0.045), visitors=10_000),
    "5 against 4.5 %, 10,000, days differ": World(
        (0.05, 0.045), visitors=10_000, trend=2.5, weekday=0.2, daily=0.2
    ),
}


def simulate(world: World, repetitions: int, seed: int) -> tuple[FloatArray, FloatArray]:
    """Return impressions and clicks, each of shape `(repetitions, days, variants)`."""
    rng = np.random.default_rng(seed)
    rates = np.array(world.rates)
    shown = np.zeros((repetitions, world.days, len(rates)))
    clicked = np.zeros_like(shown)
    for day in range(world.days):
        short = _sums(shown, clicked, day, 14)
        long = _sums(shown, clicked, day, 30)
        seen = [
            np.where(short[0] >= 200, s, np.where(long[0] >= 200, w, 0.0))
            for s, w in zip(short, long, strict=True)
        ]
        best = probability_best(1.0 + seen[1], 99.0 + seen[0] - seen[1])
        best /= best.sum(axis=1, keepdims=True)
        shown[:, day] = rng.multinomial(world.visitors, rng.multinomial(ALL, best) / ALL)
        place = day / max(1, world.days - 1) - 0.5
        common = 1.0 + (world.trend - 1.0) / (world.trend + 1.0) * 2.0 * place
        common *= 1.0 + world.weekday * np.sin(2.0 * np.pi * day / WEEK)
        effect = common * np.exp(world.daily * rng.standard_normal((repetitions, 1)))
        if world.own:
            strength = world.own**-2
            effect = effect * rng.gamma(strength, 1.0 / strength, (repetitions, len(rates)))
        chance = np.minimum(rates * effect, 1.0)
        clicked[:, day] = rng.binomial(shown[:, day].astype(np.int64), chance)
    return shown, clicked


def _sums(shown: FloatArray, clicked: FloatArray, day: int, window: int) -> list[FloatArray]:
    span = slice(max(0, day - window), day)
    return [counts[:, span].sum(axis=1) for counts in (shown, clicked)]


def _first_winners(
    shown: FloatArray, clicked: FloatArray, least: float
) -> tuple[FloatArray, FloatArray]:
    """Return for each run the day of the first winner (NaN: none) and which it was (-1)."""
    when, who = np.full(len(shown), np.nan), np.full(len(shown), -1.0)
    for days in range(MIN_DAYS, shown.shape[1] + 1, WEEK):
        hits = (lead(shown[:, :days], clicked[:, :days]) >= least).any(axis=1)
        for run in np.flatnonzero(hits & np.isnan(when)):
            found = winner(shown[run, :days], clicked[run, :days], least=least)
            if found is not None:
                when[run], who[run] = days, found
    return when, who


def _first_safe(shown: FloatArray, clicked: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return for each run the day of the first `safe_to_stop` and its leader."""
    when, who = np.full(len(shown), np.nan), np.full(len(shown), -1.0)
    for run in range(len(shown)):
        for days in range(MIN_DAYS, shown.shape[1] + 1, WEEK):
            leader, loss = leader_loss(shown[run, :days], clicked[run, :days])
            if loss < STOP_LOSS:
                when[run], who[run] = days, leader
                break
    return when, who


def measure(name: str, world: World, repetitions: int, seed: int, least: float) -> str:
    """Run a world and return its row of the table."""
    shown, clicked = simulate(world, repetitions, seed)
    rates = np.array(world.rates)
    best = np.flatnonzero(rates == rates.max())
    when, who = _first_winners(shown, clicked, least)
    named = ~np.isnan(when)
    right = named & np.isin(who, best) & (len(best) == 1)
    wrong = named & ~right
    few = max(1, repetitions // 5)
    safe, leader = _first_safe(shown[:few], clicked[:few])
    told = ~np.isnan(safe)
    cost = 1.0 - rates[leader[told].astype(int)] / rates.max()
    cells = [
        name,
        _share(wrong),
        _share(right) if len(best) == 1 else "-",
        f"{np.nanmean(when):.0f}" if named.any() else "-",
        _share(told),
        f"{safe[told].mean():.0f}" if told.any() else "-",
        f"{100 * cost.mean():.2f} %" if told.any() else "-",
        _share(cost > STOP_LOSS) if told.any() else "-",
    ]
    return "| " + " | ".join(cells) + " |"


def _share(flags: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
    share = flags.mean()
    return f"{100 * share:.1f} +/- {100 * (share * (1 - share) / len(flags)) ** 0.5:.1f} %"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("worlds", nargs="*", metavar="WORLD")
    parser.add_argument("--repetitions", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--least", type=float, default=WINNER_P)
    chosen = parser.parse_args()
    print("| world | false winner | right winner | day | safe | day | costs | costs > 0.5 % |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in chosen.worlds or WORLDS:
        print(
            measure(name, WORLDS[name], chosen.repetitions, chosen.seed, chosen.least), flush=True
        )


if __name__ == "__main__":
    main()
