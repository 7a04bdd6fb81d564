"""Day effects and overdispersion of many experiments at once: one fit each, a fraction of the time.

`day_effects` has the model, and the same figures of one experiment.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mab_pipeline.bandit.arrays import FloatArray
from mab_pipeline.bandit.day_effects import overdispersion, scaled_day_effects

# Experiments are padded to whole multiples of so many days, so that few shapes remain.
_STRIDE = 28
# Numbers that an array of a batch may hold.
_BLOCK = 2**18


class DayFits(NamedTuple):
    """What day effects leave of an experiment's counts.

    Attributes:
        impressions: Effective impressions times the information that is left, shape
            `(n_variants,)`.
        clicks: Effective clicks, likewise.
        phi: Overdispersion across days; NaN without degrees of freedom.
    """

    impressions: FloatArray
    clicks: FloatArray
    phi: float


def day_fits(counts: Sequence[tuple[FloatArray, FloatArray]]) -> list[DayFits]:
    """Fit the days of each experiment.

    Args:
        counts: Impressions and clicks of each, both of shape `(n_days, n_variants)`.
    """
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for place, (shown, _) in enumerate(counts):
        groups[-(-max(1, len(shown)) // _STRIDE) * _STRIDE, shown.shape[1]].append(place)
    found: dict[int, DayFits] = {}
    for (days, width), places in groups.items():
        step = max(1, _BLOCK // (days * width * width))
        for start in range(0, len(places), step):
            some = places[start : start + step]
            planes = np.zeros((2, len(some), days, width))
            for row, place in enumerate(some):
                for side, plane in zip(counts[place], planes, strict=True):
                    plane[row, days - len(side) :] = side  # days without any come first
            found |= zip(some, _fit(planes[0], planes[1]), strict=True)
    return [found[place] for place in range(len(counts))]


def _fit(shown: FloatArray, hits: FloatArray) -> list[DayFits]:
    effective, clicks = scaled_day_effects(shown, hits)
    phi = _overdispersion(shown, hits, effective, clicks)
    return [DayFits(*row) for row in zip(effective, clicks, phi, strict=True)]


def _overdispersion(
    shown: FloatArray, hits: FloatArray, effective: FloatArray, clicks: FloatArray
) -> list[float]:
    """Return phi of each experiment as `overdispersion` does, without another fit."""
    arm = np.divide(clicks, effective, out=np.zeros_like(clicks), where=effective > 0.0)
    totals = hits.sum(axis=2)
    expected = (shown * arm[:, None, :]).sum(axis=2)
    day = np.divide(totals, expected, out=np.zeros_like(totals), where=expected > 0.0)
    mean = shown * day[:, :, None] * arm[:, None, :]
    used = (shown > 0.0) & (totals > 0.0)[:, :, None] & (hits.sum(axis=1) > 0.0)[:, None, :]
    safe = np.where(used, shown, 1.0)
    variance = mean * np.clip(1.0 - mean / safe, 1.0 / safe, 1.0)
    ok = used & (variance > 0.0)
    terms = np.divide((hits - mean) ** 2, variance, out=np.zeros_like(mean), where=ok)
    freedom = used.sum(axis=(1, 2)) - used.any(axis=2).sum(axis=1) - used.any(axis=1).sum(axis=1)
    phi = np.where(
        (freedom >= 0) & used.any(axis=(1, 2)),
        terms.sum(axis=(1, 2)) / np.maximum(freedom + 1, 1),
        np.nan,
    )
    # Without information, or if a rate was cut at 1, the rates of the fit are not to be had here.
    plain = (hits.sum(axis=1) == 0.0) | ((effective > 0.0) & (arm < 1.0))
    return [
        float(phi[row]) if plain[row].all() else overdispersion(shown[row], hits[row])
        for row in range(len(phi))
    ]
