"""Regenerate `harder_cases.json`: `python tests/unit/pipeline/bandit/data/make_reference.py`.

Nothing here shares a formula with `mab_pipeline.bandit`. Three oracles, each where it is exact or
easily checked:

* rational: densities with small whole parameters are polynomials, integrated in fractions;
* series: P(B > A) for two posteriors with whole parameters is a finite sum of positive terms
  (Evan Miller, Formulas for Bayesian A/B Testing, 2013), added up with 50 digits;
* quantile: P(i is best) = integral over u from 0 to 1 of the product of F_j(Q_i(u)), j != i, with
  scipy's betainc and betaincinv, so without any density, logit or interpolation.
"""

import json
import math
from collections import Counter
from decimal import MAX_EMAX, MIN_EMIN, Decimal, localcontext
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import special

OUT = Path(__file__).with_name("harder_cases.json")

Arms = list[tuple[float, float]]
Poly = list[Fraction]


def multiply(p: Poly, q: Poly) -> Poly:
    product = [Fraction(0)] * (len(p) + len(q) - 1)
    for i, x in enumerate(p):
        for j, y in enumerate(q):
            product[i + j] += x * y
    return product


def density(a: int, b: int) -> Poly:
    scale = Fraction(math.factorial(a + b - 1), math.factorial(a - 1) * math.factorial(b - 1))
    terms = [scale * math.comb(b - 1, k) * (-1) ** k for k in range(b)]
    return [Fraction(0)] * (a - 1) + terms


def integral(p: Poly) -> Poly:
    return [Fraction(0)] + [x / (k + 1) for k, x in enumerate(p)]


def rational(arms: list[tuple[int, int]]) -> tuple[list[float], list[float]]:
    """Exact probabilities and losses."""
    best, highest = [], Fraction(0)
    for i, arm in enumerate(arms):
        integrand = density(*arm)
        for j, rival in enumerate(arms):
            if j != i:
                integrand = multiply(integrand, integral(density(*rival)))
        best.append(sum(integral(integrand)))
        highest += sum(integral([Fraction(0), *integrand]))
    losses = [float(highest - Fraction(a, a + b)) for a, b in arms]
    return [float(p) for p in best], losses


def series(first: tuple[int, int], second: tuple[int, int]) -> list[float]:
    """P(first > second) and P(second > first)."""
    (a1, b1), (a2, b2) = first, second
    with localcontext() as context:
        context.prec, context.Emin, context.Emax = 50, MIN_EMIN, MAX_EMAX
        term = Decimal(1)
        for k in range(a1):
            term *= Decimal(b1 + k) / Decimal(b1 + b2 + k)
        total = Decimal(0)
        for i in range(a2):
            total += term
            term *= Decimal((a1 + i) * (b2 + i)) / Decimal((a1 + b1 + b2 + i) * (1 + i))
        return [float(1 - total), float(total)]


LEVELS = np.linspace(-8.25, 8.25, 34)  # standard deviations of a normal
NODES, WEIGHTS = np.polynomial.legendre.leggauss(20)


def points(arm, tail, *, upper):
    """Rates and their complements at tail probabilities, neither rounding to 1."""
    a, b = arm
    rate = np.where(upper, special.betainccinv(a, b, tail), special.betaincinv(a, b, tail))
    rest = np.where(upper, special.betaincinv(b, a, tail), special.betainccinv(b, a, tail))
    return rate, rest


def below(arm, rate, rest):
    a, b = arm
    return np.where(rate < 0.5, special.betainc(a, b, rate), special.betaincc(b, a, rest))


def above(arm, rate, rest):
    a, b = arm
    return np.where(rate < 0.5, special.betaincc(a, b, rate), special.betainc(b, a, rest))


def quantile(arms: Arms) -> tuple[list[float], list[float]]:
    """Probabilities and losses; equal arms are integrated once."""
    kinds = Counter(arms)
    best, highest = {}, 0.0
    for own in kinds:
        best[own] = 0.0
        for upper in (False, True):
            cuts = [1e-16, 0.5]
            for other in kinds:
                place = points(other, special.ndtr(-np.abs(LEVELS)), upper=LEVELS > 0)
                cuts += list((above if upper else below)(own, *place))
            edges = np.unique(np.clip(cuts, 1e-16, 0.5))
            edges = edges[np.append(True, np.diff(edges) > 1e-17)]
            half = np.diff(edges)[:, None] / 2.0
            tail = edges[:-1, None] + half * (1.0 + NODES)
            place = points(own, tail, upper=upper)
            win = half * WEIGHTS
            for other, count in kinds.items():
                win = win * below(other, *place) ** (count - (other == own))
            best[own] += float(win.sum())
            highest += float((win * place[0]).sum()) * kinds[own]
    losses = [highest - a / (a + b) for a, b in arms]
    return [best[arm] for arm in arms], losses


def cases():
    for name, arms in {
        "all equal, uniform": [(1, 1)] * 3,
        "Beta(31,1) beside its mirror and a uniform": [(31, 1), (1, 31), (1, 1)],
        "two of Beta(31,1) and near ones": [(31, 1), (31, 1), (30, 1), (30, 2)],
        "five small ones": [(3, 9), (4, 8), (2, 11), (5, 7), (1, 2)],
        "cold Beta(1,99) twice beside 3/12": [(1, 99), (1, 99), (4, 108)],
        "eight of one kind and one other": [*[(2, 6)] * 8, (4, 4)],
    }.items():
        yield name, arms, *rational(arms), "rational"
    for name, first, second in [
        ("near tie at 100,000", (3_201, 96_899), (3_251, 96_849)),
        ("near tie at 100,000, five sd", (4_001, 96_099), (3_570, 96_530)),
        ("near tie at 10 million", (420_001, 9_580_099), (420_601, 9_579_499)),
        ("10 million at 50 %", (5_000_001, 5_000_099), (5_001_001, 4_999_099)),
        ("cold Beta(1,99) beside 10 million at 1 %", (100_001, 9_900_099), (1, 99)),
        ("cold Beta(1,99) beside 10 million at 4.2 %", (420_001, 9_580_099), (1, 99)),
        ("31/0 beside 10 million at 96 %", (9_600_001, 400_099), (31, 1)),
    ]:
        yield name, [first, second], series(first, second), None, "series"
    million = 1_000_000
    for name, arms in {
        "two cold beside two near ties at 10 million": [
            *[(1.0, 99.0)] * 2,
            (420_001.0, 9_580_099.0),
            (420_601.0, 9_579_499.0),
        ],
        "80 variants, near ties at 100,000": [
            *[(3_201.0, 96_899.0)] * 40,
            *[(3_251.0, 96_849.0)] * 39,
            (3_401.0, 96_699.0),
        ],
        "80 cold variants beside 10 million": [*[(1.0, 99.0)] * 79, (100_001.0, 9_900_099.0)],
        "80 equal ones": [(51.0, 1_049.0)] * 80,
        "arcsine, three of them and a uniform": [*[(0.5, 0.5)] * 3, (1.0, 1.0)],
        "prior of 0.1 and few clicks": [(0.1, 0.9), (0.1, 250.9), (1.1, 200.9), (2.1, 210.9)],
        "both shapes 0.1": [(0.1, 0.1), (0.1, 0.2), (0.2, 0.1)],
        "widths a million apart": [(0.7, 0.9), (4e11, 6e11), (4.0, 6.1)],
        "one narrow in a wide one's tail": [(30.0, 970.0), (62.0 * million, 938.0 * million)],
        "widths in steps of a hundred": [(3.0, 7.0), (3e4, 7.01e4), (3e8, 6.99e8)],
        "tails that matter at 1e-9": [(100.0, 900.0), (163.0, 837.0), (16.1e4, 83.9e4)],
    }.items():
        yield name, arms, *quantile(arms), "quantile"


def main() -> None:
    records = [
        {
            "name": name,
            "posteriors": [list(arm) for arm in arms],
            "probability_best": best,
            "expected_loss": losses,
            "source": f"make_reference.py, {oracle}",
        }
        for name, arms, best, losses, oracle in cases()
    ]
    OUT.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
