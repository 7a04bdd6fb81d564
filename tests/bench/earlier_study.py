"""The figures of an earlier study beside ours: the table of METHOD, "Against the earlier study".

    python -m tests.bench.earlier_study [--reps 200] [--asos FILE]

Worlds are those of the catalogue. FILE has the columns experiment, variant, day, impressions and
clicks: the ASOS tests, of which the first 14 days are played.
"""

import argparse
import csv
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mab_pipeline.bandit import probability_best
from mab_pipeline.simulation.backtest import ALL, backtest
from mab_pipeline.simulation.history import History
from mab_pipeline.simulation.outcome import CLAIM, gains
from mab_pipeline.simulation.play import Played, play
from mab_pipeline.simulation.policy import Policy, parse_policy
from mab_pipeline.simulation.simulate import seeded
from mab_pipeline.simulation.truth import Truth, draw_truth
from mab_pipeline.simulation.worlds import load_worlds
from mab_store.settings import Settings

WORLDS = {world.name: world for world in load_worlds()}
SHORT_DAYS = 14
TREND = "DEFAULT_WINDOW_DAYS=28,EXPLORATION=0.02"
ROBUST = "robust,DEFAULT_WINDOW_DAYS=14"
# What is measured, the earlier figure, world, policy, and the policy that it is compared with.
POINTS = (
    ("a better variant joins, brief", "-2.7", "join_5", "brief", None),
    ("BURN_IN, a join at 5 %", "+6.0", "join_5", "BURN_IN=on", "brief"),
    ("BURN_IN, a join at 15 %", "+9.8", "join_15", "BURN_IN=on", "brief"),
    ("EXPLORATION=0.02, a switch at 30 %", "+6.1", "switch_30", "EXPLORATION=0.02", "brief"),
    ("5 % per variant, ten variants", "-7", "ten_arms", "EXPLORATION=0.5", "brief"),
    ("SHORT_WINDOW=keep, a join", "+3.5", "join_5", "SHORT_WINDOW=keep", "brief"),
    ("28 days pooled, a trend", "2.3", "trend_up", TREND, None),
    ("28 days with day effects, a trend", "4.1", "trend_up", f"{TREND},ESTIMATE=day_effects", None),
    ("PRIOR=own_rate, three at 5 %", "-0.3", "three_5", "PRIOR=own_rate", "brief"),
    ("PRIOR=own_rate, two at 5 %", "-0.3", "close_two", "PRIOR=own_rate", "brief"),
    ("robust with 14 days, three at 5 %", "", "three_5", ROBUST, "robust"),
    ("robust with 14 days, trend", "", "trend_up", ROBUST, "robust"),
    ("robust with 14 days, late clicks", "", "late_clicks", ROBUST, "robust"),
    ("robust with 14 days, a join", "", "join_5", ROBUST, "robust"),
    ("robust with 14 days, a switch", "", "switch_5", ROBUST, "robust"),
)
REAL = ("brief", "EXPLORATION=0.02", "SHORT_WINDOW=keep", "safe", "robust")


def policy(text: str) -> Policy:
    """Read a policy."""
    return parse_policy(text, Settings(_env_file=None))


def played(
    world: str, text: str, reps: int, change: dict[str, float] | None = None
) -> tuple[Truth, Played]:
    """Play a policy as `mab simulate --seed 1` does, in a world that may be changed."""
    own = WORLDS[world].model_copy(update=change)
    truth = draw_truth(own, reps, seeded(1, world, "truth", 0))
    return truth, play(truth, policy(text).rule, seeded(1, world, "play", 0))


def points(reps: int) -> Iterator[str]:
    """Yield the rows of gains and of differences of gains."""
    for name, earlier, world, text, base in POINTS:
        gain = gains(*played(world, text, reps))
        if base is not None:
            gain = gain - gains(*played(world, base, reps))
        yield row(name, earlier, 100.0 * gain)


def other_worlds(reps: int) -> Iterator[str]:
    """Yield the same in worlds that end sooner or have a flatter trend: why figures differ."""
    for days in (45, 60):
        for name, _, world, text, base in POINTS[1:6]:
            if world in {"join_5", "join_15", "switch_30"}:
                change = {"days": days}
                gain = gains(*played(world, text, reps, change))
                gain -= gains(*played(world, str(base), reps, change))
                yield row(f"{name}, {days} days in all", "", 100.0 * gain)
    for name, earlier, world, text, _ in POINTS:
        if world == "trend_up" and earlier:
            gain = gains(*played(world, text, reps, {"trend": 2.0}))
            yield row(f"{name} to three times the rates", "", 100.0 * gain)


def looks(reps: int) -> Iterator[str]:
    """Yield what is counted in days and runs instead of clicks."""
    _, run = played("equal_two", "brief", reps)
    claimed = (run.best >= CLAIM).any(axis=(0, 2))
    yield row("two equal variants show 95 % on some day of 60", "86", 100.0 * claimed)
    _, run = played("low_rate", "brief", reps)
    begun = np.maximum.accumulate(run.shares[..., 1] > 0.95, axis=0)
    taken = (begun & (run.shares[..., 0] > 0.5)).sum(axis=0)
    yield row("days of 105 on which a beaten variant has the traffic again", "2.9", taken)
    truth, run = played("switch_30", "brief", reps)
    led = run.shares[-1].argmax(axis=1) == np.nanargmax(truth.expected[-1, 0])
    yield row("the leader is the best after a switch at 30 %", "0", 100.0 * led)


def exact() -> Iterator[str]:
    """Yield what needs no simulation: a new variant against 500 clicks of 10,000 impressions."""
    for shown, clicks, earlier in ((0, 0, "0.0067"), (200, 12, "0.279")):
        alpha, beta = [501.0, 1.0 + clicks], [9_599.0, 99.0 + shown - clicks]
        best = probability_best(alpha, beta)[1]
        yield f"| P(best) with {clicks} clicks of {shown} that count | {earlier} | {best:.4f} |"


def row(name: str, earlier: str, values: np.ndarray) -> str:
    """Return a row of the table."""
    error = values.std(ddof=1) / len(values) ** 0.5
    return f"| {name} | {earlier} | {values.mean():.2f} ± {error:.2f} |"


def real_tests(path: Path, reps: int) -> Iterator[str]:
    """Yield rows of the backtest of real tests, their first 14 days."""
    histories = list(read_tests(path))
    result = backtest(histories, [policy(text) for text in REAL], reps=reps, seed=1)
    yield f"| {len(histories)} real tests: true rates differ by | | {100 * result.spread:.2f} % |"
    for one in result.earned:
        if one.experiment == ALL:
            gain = f"{one.gain:.2f} [{one.gain_low:.2f}, {one.gain_high:.2f}]"
            more = f"{one.more:.3f} [{one.more_low:.3f}, {one.more_high:.3f}]"
            yield f"| real tests, {one.policy}: over equal split; over brief | | {gain}; {more} |"


def read_tests(path: Path) -> Iterator[History]:
    """Yield the tests with two variants, two days and a click, without rows that mab rejects."""
    rows: dict[str, list[tuple[str, int, int, int]]] = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            day, shown, clicks = (int(line[name]) for name in ("day", "impressions", "clicks"))
            if day <= SHORT_DAYS and 0 <= clicks <= shown:
                rows[line["experiment"]].append((line["variant"], day, shown, clicks))
    for name, own in rows.items():
        variants = sorted({variant for variant, *_ in own})
        counts = np.zeros((2, max(day for _, day, *_ in own), len(variants)), np.int64)
        for variant, day, shown, clicks in own:
            counts[:, day - 1, variants.index(variant)] = shown, clicks
        if (counts[0].any(axis=1).sum() >= 2) and counts[1].any() and len(variants) >= 2:
            yield History(name, name, *counts)


def main() -> None:
    """Print the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reps", type=int, default=200)
    parser.add_argument("--asos", type=Path)
    given = parser.parse_args()
    rows = [exact(), looks(given.reps), points(given.reps), other_worlds(given.reps)]
    if given.asos:
        rows.append(real_tests(given.asos, given.reps))
    for part in rows:
        for line in part:
            sys.stdout.write(line + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
