"""What was not built, measured: `python -m tests.bench.alternatives` prints the table of METHOD.

Each alternative is the brief's rule with one thing changed, played in worlds of the catalogue.
"""

import sys
from collections.abc import Callable

import numpy as np

from mab_pipeline.allocation.rule_arrays import Weighed, weigh
from mab_pipeline.bandit import probability_best, to_hundredths
from mab_pipeline.bandit.decision import HUNDREDTHS
from mab_pipeline.simulation.outcome import gains
from mab_pipeline.simulation.play import _draw, _evidence
from mab_pipeline.simulation.policy import parse_policy
from mab_pipeline.simulation.simulate import seeded
from mab_pipeline.simulation.truth import draw_truth
from mab_pipeline.simulation.worlds import load_worlds
from mab_store.settings import Settings

WORLDS = ("close_two", "three_5", "ten_arms", "switch_5", "trend_up", "join_5", "late_clicks")
BRIEF = parse_policy("brief", Settings(_env_file=None)).rule
Decide = Callable[..., np.ndarray]


def brief(impressions, clicks, there, day, generator):
    """The rule as it is."""
    return _weighed(impressions, clicks, there, day, generator).shares


def tempered(power):
    """Shares in proportion to a power of what the rule gives."""

    def decide(*state):
        shares = brief(*state) ** power
        return shares / shares.sum(axis=1, keepdims=True)

    return decide


def lagged(days):
    """The newest days are left out of the evidence, because their clicks are not all there."""

    def decide(impressions, clicks, there, day, generator):
        return brief(impressions, clicks, there, max(0, day - days), generator)

    return decide


def top_two(*state):
    """Half of the traffic goes to the best but for the one drawn first."""
    won = brief(*state)
    rest = np.maximum(1.0 - won, 1e-12)
    second = won * ((won / rest).sum(axis=1, keepdims=True) - won / rest)
    mixed = 0.5 * won + 0.5 * second / np.maximum(second.sum(axis=1, keepdims=True), 1e-12)
    return np.where(second.sum(axis=1, keepdims=True) > 0.0, mixed, won)


def discounted(factor):
    """All days count, each by a factor less than the next, instead of windows."""

    def decide(impressions, clicks, there, day, generator):
        weight = factor ** np.arange(day - 1, -1, -1.0)[:, None, None]
        shown, hits = ((weight * side[:day]).sum(axis=0) for side in (impressions, clicks))
        return _drawn(1.0 + hits, 99.0 + shown - hits, there, generator)

    return decide


def empirical_bayes(impressions, clicks, there, day, generator):
    """The prior's mean is the pooled rate; its strength follows from how variants differ."""
    weighed = _weighed(impressions, clicks, there, day, generator)
    shown = np.nan_to_num(weighed.impressions)
    hits = np.nan_to_num(weighed.clicks)
    pooled = (hits.sum(axis=1, keepdims=True) + 1.0) / (shown.sum(axis=1, keepdims=True) + 100.0)
    used = shown > 0.0
    relative = np.divide(hits, shown, out=np.zeros_like(hits), where=used) / pooled
    weight = shown * pooled / (1.0 - pooled)
    total = np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
    mean = (weight * relative).sum(axis=1, keepdims=True) / total
    count = used.sum(axis=1, keepdims=True)
    excess = (weight * (relative - mean) ** 2).sum(axis=1, keepdims=True) - (count - 1)
    scale = total - (weight**2).sum(axis=1, keepdims=True) / total
    variance = np.clip(excess / np.maximum(scale, 1e-9), 1e-4, 1.0)
    strength = np.maximum((1.0 - pooled) / (pooled * variance) - 1.0, 1.0)
    alpha = pooled * strength + hits
    return _drawn(alpha, (1.0 - pooled) * strength + shown - hits, there, generator)


def mantel_haenszel(impressions, clicks, there, day, generator):
    """Rates relative to the first variant's, day by day over 28 days; normal draws of their logs.

    Each variant is compared with the first alone; one without a common day with clicks is new.
    """
    days = slice(max(0, day - 28), day)
    shown, hits = impressions[days].astype(float), clicks[days].astype(float)
    base, base_hits = shown[..., :1], hits[..., :1]
    both = np.maximum(shown + base, 1.0)
    own, other = (hits * base / both).sum(axis=0), (base_hits * shown / both).sum(axis=0)
    spread = ((hits + base_hits) * shown * base / both**2).sum(axis=0)
    is_known = (own > 0.0) & (other > 0.0)
    safe = np.where(is_known, own * other, 1.0)
    centre = np.where(
        is_known, np.log(np.where(is_known, own / np.where(other > 0, other, 1), 1)), 0.0
    )
    # Greenland and Robins, Biometrics 41 (1985): the variance of the log of the ratio.
    error = np.where(is_known, np.sqrt(spread / safe), 1.0)
    error[..., 0] = 0.0
    draws = centre + error * generator.standard_normal((1_000, *centre.shape))
    first = np.where(there, draws, -np.inf).argmax(axis=2)
    return (first[..., None] == np.arange(centre.shape[1])).mean(axis=0)


ALTERNATIVES: dict[str, Decide] = {
    "brief": brief,
    "tempering, power 0.5": tempered(0.5),
    "tempering, power 2": tempered(2.0),
    "click lag of 2 days": lagged(2),
    "top-two": top_two,
    "discounting, 0.9 a day": discounted(0.9),
    "discounting, 0.97 a day": discounted(0.97),
    "empirical-Bayes strength": empirical_bayes,
    "Mantel-Haenszel": mantel_haenszel,
}


def main(reps: int) -> None:
    """Print gains over equal split in percent, with standard errors."""
    worlds = [world for world in load_worlds() if world.name in WORLDS]
    _write("", [world.name for world in worlds])
    _write("---", ["---"] * len(worlds))
    for name, decide in ALTERNATIVES.items():
        cells = []
        for world in worlds:
            truth = draw_truth(world, reps, seeded(1, world.name, "truth", 0))
            shares = _play(truth, decide, seeded(1, world.name, "play", 0))
            gain = 100.0 * gains(truth, type("Shares", (), {"shares": shares}))
            cells.append(f"{gain.mean():.1f} ± {gain.std(ddof=1) / reps**0.5:.1f}")
        _write(name, cells)


def _write(name: str, cells: list[str]) -> None:
    sys.stdout.write(f"| {name} | {' | '.join(cells)} |\n")
    sys.stdout.flush()


def _weighed(impressions, clicks, there, day, generator) -> Weighed:
    evidence = _evidence(impressions, clicks, there, day, BRIEF)
    return weigh(evidence, BRIEF, _draw(BRIEF, generator))


def _drawn(alpha, beta, there, generator):
    best = probability_best(np.where(there, alpha, np.nan), np.where(there, beta, np.nan))
    return generator.multinomial(10_000, best) / 10_000


def _play(truth, decide, generator):
    shape = truth.rates.shape
    shares = np.zeros(shape)
    impressions, clicks, reported = (np.zeros(shape, np.int64) for _ in range(3))
    pending = []
    for day in range(shape[0]):
        there = np.broadcast_to(~np.isnan(truth.expected[day]), shape[1:])
        decided = decide(impressions, reported, there, day, generator)
        shares[day] = to_hundredths(decided) / HUNDREDTHS
        impressions[day] = generator.multinomial(truth.traffic[day], shares[day])
        clicks[day] = generator.binomial(impressions[day], truth.rates[day])
        pending.append(generator.multinomial(clicks[day], truth.late))
        for delay in range(min(day + 1, len(truth.late))):
            reported[day - delay] += pending[day - delay][..., delay]
    return shares


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 200)
