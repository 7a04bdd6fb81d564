"""What the analysis of a publication costs: `python -m tests.bench bench_analysis`.

All of it but reading and writing: figures of the posteriors, fits of 30 days, checks, advice, JSON.
CPU seconds of one core.
"""

import time
from datetime import date

import numpy as np

from mab_pipeline.allocation.analysis import Evidence, analyse_with, fit_all
from mab_pipeline.allocation.compared import compare_all
from mab_pipeline.bandit import probability_best
from tests.bench.bench_bandit import one_core, realistic_batch
from tests.bench.rows import Row

DAYS = 30
SIZES = (1_000, 10_000)
AT_ONCE = 1_000


def evidence(n: int) -> list[Evidence]:
    """Experiments of four variants over 30 days."""
    alpha, beta = realistic_batch(n)
    generator = np.random.default_rng(6)
    shown = generator.integers(100, 5000, (n, DAYS, 4)).astype(float)
    hits = generator.binomial(shown.astype(np.int64), 0.05).astype(float)
    shares = shown / shown.sum(axis=2, keepdims=True)
    names = ("control", "a", "b", "c")
    first = date(2025, 3, 1)
    return [
        Evidence(names, 0, *own, first, *counts)
        for own, counts in zip(
            zip(alpha, beta, strict=True),
            zip(shown, hits, shares, shares, strict=True),
            strict=True,
        )
    ]


def analysed(given: list[Evidence]) -> tuple[float, float]:
    """Return the seconds of the figures of the posteriors, and of all the rest."""
    start = time.process_time()
    figures = compare_all([(one.alpha, one.beta, one.control) for one in given])
    compared = time.process_time()
    for first in range(0, len(given), AT_ONCE):
        part = given[first : first + AT_ONCE]
        for one, own, fits in zip(part, figures[first:], fit_all(part), strict=False):
            analyse_with(one, own, fits).to_json()
    return compared - start, time.process_time() - compared


def run() -> list[Row]:
    """Measure; takes half a minute."""
    each, ratios = [], []
    with one_core():
        for n in SIZES:
            given = evidence(n)
            alpha, beta = (
                np.array([getattr(one, side) for one in given]) for side in ("alpha", "beta")
            )
            start = time.process_time()
            probability_best(alpha, beta)
            best = time.process_time() - start
            compared, rest = analysed(given)
            each.append((compared + rest) / n)
            ratios.append(
                f"{(compared + rest) / best:.0f} times ({1e3 * compared / n:.2f} + "
                f"{1e3 * rest / n:.2f} ms)"
            )
    spread = max(each) / min(each)
    sizes = " / ".join(f"{n:,}" for n in SIZES)
    return [
        Row(
            f"an analysis against `probability_best`, {sizes} x 4 (figures + the rest)",
            "reported",
            " / ".join(ratios),
            None,
        ),
        Row(
            f"an analysis, per experiment, at {sizes} x 4",
            "flat within 1.5 times",
            f"{spread:.2f} times ({' / '.join(f'{1e3 * one:.2f}' for one in each)} ms)",
            spread <= 1.5,
        ),
    ]
