"""Figures of the posteriors of decisions: intervals, lifts, losses; many experiments at once."""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mab_pipeline import bandit
from mab_pipeline.bandit.arrays import FloatArray


class Compared(NamedTuple):
    """Numbers of the posteriors of one experiment, each of shape `(K,)`; NaN if there is none."""

    low: FloatArray
    high: FloatArray
    best: FloatArray
    loss: FloatArray
    beats: FloatArray
    lift_low: FloatArray
    lift_high: FloatArray
    remaining: FloatArray


def compare_all(
    posteriors: Sequence[tuple[FloatArray, FloatArray, int | None]],
) -> list[Compared]:
    """Compare the variants of each decision; those of one shape together, which costs a fraction.

    This is by far the dearest part of an analysis, and it needs the decisions alone.

    Args:
        posteriors: Of each decision alpha and beta, both of shape `(K,)`, and its control's index.
    """
    shapes: dict[tuple[int, int | None], list[int]] = defaultdict(list)
    for place, (alpha, _, control) in enumerate(posteriors):
        shapes[len(alpha), control].append(place)
    compared: dict[int, Compared] = {}
    for (_, control), places in shapes.items():
        alpha = np.array([posteriors[place][0] for place in places])
        beta = np.array([posteriors[place][1] for place in places])
        columns = _compare(alpha, beta, control)
        for row, place in enumerate(places):
            compared[place] = Compared(*(column[row] for column in columns))
    return [compared[place] for place in range(len(posteriors))]


def _compare(alpha: FloatArray, beta: FloatArray, control: int | None) -> Compared:
    """Compare the variants of experiments of one shape; arrays have the shape `(n, K)`."""
    beats = lift_low = lift_high = np.full(alpha.shape, np.nan)
    if control is not None:
        beats = bandit.probability_beats(alpha, beta, control)
        lift_low, lift_high = bandit.lift_interval(alpha, beta, control)
    remaining = np.broadcast_to(bandit.value_remaining(alpha, beta)[:, None], alpha.shape)
    return Compared(
        *bandit.credible_interval(alpha, beta),
        bandit.probability_best(alpha, beta),
        bandit.expected_loss(alpha, beta),
        beats,
        lift_low,
        lift_high,
        remaining,
    )
