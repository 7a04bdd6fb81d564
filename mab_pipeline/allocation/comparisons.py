"""Comparisons: what the draws of a decision decided, if options decided the rest of its shares."""

from typing import NamedTuple

import numpy as np

from mab_pipeline.allocation.decide import Decisions
from mab_pipeline.allocation.rule_arrays import mixture, weigh
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.bandit.exact import probability_best


class Comparison(NamedTuple):
    """How a variant's share follows from the draws: `share = least + scale * won`.

    Attributes:
        least: Share that it gets whatever is drawn.
        scale: What is left to the draws.
        best: Exact probability of the highest rate among the variants that are compared.
    """

    least: float
    scale: float
    best: float


def mixes(rule: RuleSettings) -> bool:
    """Say whether shares may be more than the outcome of the comparison."""
    return rule.burn_in == "on" or rule.exploration > 0.0 or rule.control_min_allocation > 0.0


def comparisons(decisions: Decisions) -> dict[str, dict[str, Comparison]]:
    """Return the comparisons by allocation id and variant, of decisions whose rule mixes."""
    found: dict[str, dict[str, Comparison]] = {}
    for rule, which in decisions.by_rule().items():
        if not mixes(rule):
            continue
        evidence = decisions.evidence(which)
        parts, weighed = mixture(evidence, rule), weigh(evidence, rule)
        alpha = np.where(parts.compared, weighed.alpha, np.nan)
        best = probability_best(alpha, np.where(parts.compared, weighed.beta, np.nan))
        for row, decision in enumerate(which):
            found[decisions.allocation_ids[decision]] = {
                name: Comparison(
                    float(parts.least[row, place]),
                    float(parts.scale[row, 0]),
                    float(best[row, place]),
                )
                for place, name in enumerate(decisions.variants(decision))
            }
    return found
