"""The cross-check of Monte Carlo and the exact probability, whichever of them made the shares.

Drawn shares are compared with P(best) in `gate.unlikely_draws`. Shares that were made from P(best)
cannot prove it, so a sample of their decisions is drawn literally here.
"""

import hashlib
from collections import Counter, defaultdict
from datetime import date
from heapq import nsmallest
from typing import NamedTuple

import numpy as np

from mab_pipeline import bandit
from mab_pipeline.allocation.decide import Decisions
from mab_pipeline.allocation.gate import CurrentAllocations, Failure, Share, unlikely_draws
from mab_pipeline.allocation.rule_arrays import weigh
from mab_pipeline.allocation.rule_settings import RuleSettings

SAMPLE = 100
"""Decisions of a day that are drawn literally; all if there are fewer."""

DRAWS = 10_000
"""Literal draws per decision, whatever THOMPSON_SAMPLES is: one draw would prove nothing."""

FAMILY_LEVEL = 1e-6
"""Probability that a day whose P(best) are all right has a finding here."""


class _Cell(NamedTuple):
    """A variant of a decision that was drawn literally."""

    day: date
    experiment_id: str
    name: str
    wins: int
    probability_best: float


def disagreements(current: CurrentAllocations) -> list[Failure]:
    """Find shares that P(best) makes all but impossible, and P(best) that literal draws do."""
    return [*unlikely_draws(current), *unlikely_probabilities(current)]


def unlikely_probabilities(current: CurrentAllocations) -> list[Failure]:
    """Find stored P(best) that literal draws make all but impossible.

    Of a day's decisions that were made from P(best), `SAMPLE` are drawn again, `DRAWS` times each.

    Notes:
        A count of wins is Binomial(DRAWS, P(best)). With m counts on a day, one is a finding if its
        smaller tail is below `FAMILY_LEVEL / 2 m`: by Bonferroni's inequality some count of a sound
        day is one with a probability of at most `FAMILY_LEVEL`.
    """
    cells = [
        cell
        for rule, which in _sampled(current.decisions).items()
        for cell in _drawn(rule, which, current)
    ]
    if not cells:
        return []
    counted = Counter(cell.day for cell in cells)
    wins = np.array([cell.wins for cell in cells], dtype=np.int64)
    best = np.clip(np.array([cell.probability_best for cell in cells]), 0.0, 1.0)
    tails = bandit.binomial_tail(wins, wins, DRAWS, best)
    return [
        Failure(
            cell.day,
            f"{cell.name}: {cell.wins} wins in {DRAWS} literal draws, but P(best), which its share "
            f"was made from, is {cell.probability_best:.6g} (tail {tail:.1e})",
            cell.experiment_id,
        )
        for cell, tail in zip(cells, tails, strict=True)
        if not tail >= FAMILY_LEVEL / (2 * counted[cell.day])
    ]


def _sampled(decisions: Decisions) -> dict[RuleSettings, list[int]]:
    """Choose decisions by a hash of day and experiment, so that every run chooses the same."""
    by_day: dict[date, list[tuple[bytes, int]]] = defaultdict(list)
    for index, rule in enumerate(decisions.rules):
        if rule.allocation_method != "monte_carlo":
            day, experiment_id = decisions.key(index)
            by_day[day].append((_digest("sample", day, experiment_id), index))
    chosen: dict[RuleSettings, list[int]] = defaultdict(list)
    for candidates in by_day.values():
        for _, index in nsmallest(SAMPLE, candidates):
            chosen[decisions.rules[index]].append(index)
    return chosen


def _drawn(rule: RuleSettings, which: list[int], current: CurrentAllocations) -> list[_Cell]:
    """Draw decisions of one rule literally; a variant without a stored row is left out."""
    decisions = current.decisions
    weighed = weigh(decisions.evidence(which), rule)
    seeds = [_seed(rule, *decisions.key(index)) for index in which]
    drawn = bandit.thompson_shares(weighed.alpha, weighed.beta, samples=DRAWS, seeds=seeds)
    wins = np.rint(drawn * DRAWS).astype(np.int64)
    nothing: dict[str, Share] = {}
    return [
        _Cell(*decisions.key(index), name, int(wins[row, place]), stored[name].probability_best)
        for row, index in enumerate(which)
        for stored in (current.shares.get(decisions.allocation_ids[index], nothing),)
        for place, name in enumerate(decisions.variants(index))
        if name in stored
    ]


def _seed(rule: RuleSettings, day: date, experiment_id: str) -> int:
    """Return the seed of a stream that no decision draws from."""
    digest = _digest(f"draws|{rule.seed_base}", day, experiment_id)
    return int.from_bytes(digest[:8], "big") >> 1


def _digest(purpose: str, day: date, experiment_id: str) -> bytes:
    return hashlib.sha256(f"mab-cross-check-v1|{purpose}|{experiment_id}|{day}".encode()).digest()
