"""One Beta posterior in logit space: density, deviance and its inverse, without cancellation."""

from types import EllipsisType
from typing import NamedTuple, Self

import numpy as np
from scipy import special

from mab_pipeline.bandit.arrays import BoolArray, FloatArray, IndexArray

REACH = 7.8
"""Signed root deviance beyond which a posterior is neglected: its mass there is below
`exp(-REACH**2 / 2)`, about 6e-14."""

_NEWTON_STEPS = 6
# exp(600) is finite, and 1 + exp(-600) is 1.
_FAR = 600.0

Index = slice | IndexArray | BoolArray | tuple[slice | IndexArray | EllipsisType | None, ...]


def _stirling_remainder(z: FloatArray) -> FloatArray:
    """Ln gamma(z) minus Stirling's formula, to full relative precision for large z too."""
    r = 1.0 / np.maximum(z, 10.0)
    r2 = r * r
    # DLMF 5.11.1; the first term left out is 2e-14 at z = 10.
    series = r * (1 / 12 - r2 * (1 / 360 - r2 * (1 / 1260 - r2 * (1 / 1680 - r2 / 1188))))
    small = np.minimum(z, 10.0)
    direct = special.gammaln(small) - (
        (small - 0.5) * np.log(small) - small + 0.5 * np.log(2.0 * np.pi)
    )
    return np.where(z < 10.0, direct, series)


class LogitBeta(NamedTuple):
    """Posteriors of y = ln(theta / (1 - theta)), theta ~ Beta(alpha, beta).

    Attributes:
        mode: Mode of y, `ln(alpha / beta)`, any shape.
        sign: 1 if alpha <= beta, else -1: the posterior is seen in the mirror.
        small: The smaller shape parameter.
        total: `alpha + beta`.
        log_peak: Logarithm of the density of y at its mode.

    Notes:
        In y a Beta density is log-concave and smooth for all shapes, has no singular end at 0 or 1
        when a shape is below 1, and its mode is exactly `ln(alpha / beta)`. The distribution of -y
        is that with the shapes exchanged; so let alpha be the smaller one. With `n = alpha + beta`
        and `t = y - mode`, the log density lies below its peak by

            D(t) = n ln(1 + (alpha / n) (exp(t) - 1)) - alpha t,                           (1)

        whose terms are no larger than the slopes of the two tails make them, so that the rounding
        error at 7 standard deviations is about 7 sqrt(n) * 1e-16: 2e-12 at ten million
        impressions. The textbook form `a ln x + b ln(1 - x) - ln B(a, b)` loses eight digits
        there. By Stirling's formula with its remainder R, the height of the peak is

            sqrt(alpha beta / (2 pi n)) exp(R(n) - R(alpha) - R(beta)),                    (2)

        where again nothing cancels.

    References:
        NIST Digital Library of Mathematical Functions, sections 5.11 and 5.12.
        Barndorff-Nielsen and Cox, Inference and Asymptotics, 1994 (signed root deviance).
    """

    mode: FloatArray
    sign: FloatArray
    small: FloatArray
    total: FloatArray
    log_peak: FloatArray

    @classmethod
    def of(cls, alpha: FloatArray, beta: FloatArray) -> Self:
        """Build from shape parameters.

        Args:
            alpha: First shape parameter, above 0, any shape.
            beta: Second shape parameter, the same shape.

        Returns:
            The posteriors.
        """
        n = alpha + beta
        log_peak = 0.5 * (np.log(alpha / n) + np.log(beta / (2.0 * np.pi)))
        log_peak += _stirling_remainder(n) - _stirling_remainder(alpha) - _stirling_remainder(beta)
        sign = np.where(alpha <= beta, 1.0, -1.0)
        return cls(np.log(alpha / beta), sign, np.minimum(alpha, beta), n, log_peak)

    def pick(self, index: Index) -> Self:
        """Index all fields alike.

        Args:
            index: Whatever numpy takes between brackets.

        Returns:
            The posteriors picked.
        """
        return type(self)(*(field[index] for field in self))

    def fall(self, t: FloatArray, work: FloatArray) -> FloatArray:
        """Evaluate equation (1) with the opposite sign, in place.

        Args:
            t: Distance from the mode, mirrored if the posterior is, in logit units; a shape to
                which the posteriors broadcast. Overwritten with the result.
            work: Scratch of the same shape.

        Returns:
            The log density relative to its peak: but for rounding, at most 0.
        """
        beyond = np.maximum(t - _FAR, 0.0) if t.max() > _FAR else None
        if beyond is not None:
            t -= beyond
        np.expm1(t, out=work)
        work *= self.small / self.total
        np.log1p(work, out=work)
        work *= self.total
        t *= self.small
        t -= work
        if beyond is not None:
            t -= (self.total - self.small) * beyond  # D is linear there, to the last bit
        return t

    def signed_root(self, y: FloatArray) -> FloatArray:
        """Measure how far out y lies: `sign(t) sqrt(2 D(t))`, t / sd for a normal posterior.

        Args:
            y: Logit of the rate, a shape to which the posteriors broadcast.

        Returns:
            The signed root deviance.
        """
        t = y - self.mode
        fall = self.fall(self.sign * t, np.empty_like(t))
        return np.copysign(np.sqrt(np.maximum(-2.0 * fall, 0.0)), t)

    def reach(self) -> FloatArray:
        """Find the points with a signed root deviance of -REACH and of REACH.

        Returns:
            Logits, shape `(..., 2)`: the lower and the upper end; good to 1e-3 of a standard
            deviation, which is enough to place panels.

        Notes:
            In terms of `u = |t|`, with s the shape that the tail belongs to (alpha below the
            mode), `D = s u + n ln(1 + (s / n) (exp(-u) - 1))`. D is convex, so Newton's method
            overshoots once at most and then closes in from outside, whatever the start. The start
            is near the Wilson-Hilferty cube root approximation.
        """
        large = self.total - self.small
        mirrored = self.sign < 0.0
        s = np.stack(
            [np.where(mirrored, large, self.small), np.where(mirrored, self.small, large)], axis=-1
        )
        n = self.total[..., None]
        c = s / n
        rest = s[..., ::-1] / n  # 1 - c, without cancellation
        u = 3.0 * np.log1p(REACH / 3.0 / np.sqrt(s * rest))
        for _ in range(_NEWTON_STEPS):
            e = np.expm1(-u)
            excess = s * u + n * np.log1p(c * e) - 0.5 * REACH**2
            u += excess * (1.0 + c * e) / (s * rest * e)  # minus excess / (dD/du)
        ends: FloatArray = self.mode[..., None] + u * np.array([-1.0, 1.0])
        return ends
