"""The options of the rule in words: which of them decided, and what the prior replaced."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from mab_pipeline import bandit
from mab_pipeline.allocation.decide import identify
from mab_pipeline.allocation.inputs import read_inputs
from mab_pipeline.allocation.recorded import Record
from mab_pipeline.allocation.rule_arrays import Evidence, counts, weigh
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_store.days import Days
from mab_store.warehouse.reader import Reader


class Seen(NamedTuple):
    """What the rule sees of an experiment on a day, as the published copy has it.

    Attributes:
        names: The variants, in drawing order.
        evidence: The arrays; one row.
    """

    names: list[str]
    evidence: Evidence

    def of(self, array: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> dict[str, float]:
        """Return a row of numbers by variant."""
        return dict(zip(self.names, array[0].tolist(), strict=True))


def option_lines(copy: Reader, record: Record) -> Iterator[str]:
    """Say how options decided, and what they would have changed for variants on the prior."""
    rule = record.rule
    kept = replace(rule, short_window="keep")
    seen = _seen(copy, record, kept)
    if seen is None:
        return
    yield from _short_variants(record, seen, kept)
    if rule.estimate == "day_effects":
        yield _day_effects(seen.evidence, rule)
    if rule.burn_in == "on":
        yield from _burn_in(record, seen)
    if rule.exploration > 0.0:
        each = f"{100 * rule.exploration / len(seen.names):.4g} %"
        yield (
            f"Exploration of {100 * rule.exploration:.4g} % in total (EXPLORATION): each variant "
            f"gets at least {each}."
        )
    if rule.control_min_allocation > 0.0:
        least = f"{100 * rule.control_min_allocation:.4g} %"
        yield f"The control gets at least {least} (CONTROL_MIN_ALLOCATION)."


def prior_words(record: Record) -> str:
    """Name the prior of a decision."""
    rule = record.rule
    if rule.prior == "fixed":
        return f"The prior is Beta({rule.prior_alpha:g}, {rule.prior_beta:g})."
    rows = list(record.rows.values())
    alpha, beta = bandit.own_rate_prior(
        np.array([row["impressions"] for row in rows], dtype=np.float64),
        np.array([row["clicks"] for row in rows], dtype=np.float64),
    )
    return (
        f"The prior is Beta({float(alpha):g}, {float(beta):.6g}), from the experiment's own click "
        "rate (PRIOR=own_rate)."
    )


def _seen(copy: Reader, record: Record, rule: RuleSettings) -> Seen | None:
    day = Days(record.as_of_date, record.as_of_date + timedelta(days=1))
    inputs = read_inputs(copy, day, rule, with_own_options=False)
    mine = inputs.filter(pc.equal(inputs["experiment_id"], record.experiment_id))
    decisions = identify(mine, rule, version="")
    if len(decisions) == 0 or set(decisions.variants(0)) != set(record.rows):
        return None
    return Seen(decisions.variants(0), decisions.evidence([0]))


def _short_variants(record: Record, seen: Seen, kept: RuleSettings) -> Iterator[str]:
    """Tell of counts that are too few: what they are worth, or would have been."""
    shown, hits = (seen.of(side) for side in counts(seen.evidence, kept))
    share = seen.of(weigh(seen.evidence, kept).shares)
    for name, row in record.rows.items():
        if row["data_source"] != "prior" or shown[name] == 0.0:
            continue
        own = f"{hits[name]:.0f} clicks of {shown[name]:.0f} impressions"
        yield (
            f"{name}: the prior replaced its own {own}; with them its share would be about "
            f"{100 * share[name]:.2f} % instead of {row['allocation_hundredths'] / 100:.2f} % "
            "(SHORT_WINDOW=keep, by the exact method)."
        )


def _burn_in(record: Record, seen: Seen) -> Iterator[str]:
    rule, width = record.rule, len(seen.names)
    assert seen.evidence.since_joined is not None
    for name, since in seen.of(seen.evidence.since_joined).items():
        if since < rule.min_impressions:
            yield (
                f"{name}: in burn-in: {since:.0f} of {rule.min_impressions} impressions since it "
                f"joined, so it has an equal part, 1 of {width} (BURN_IN=on)."
            )


def _day_effects(evidence: Evidence, rule: RuleSettings) -> str:
    assert evidence.day_impressions is not None
    assert evidence.day_clicks is not None
    shown, hits = counts(evidence, rule)
    weighed = weigh(evidence, replace(rule, prior="fixed"))
    left = float((weighed.alpha - rule.prior_alpha).sum() / hits.sum()) if hits.sum() else 1.0
    days = int(evidence.day_impressions[0].any(axis=1).sum())
    return (
        f"Day effects (ESTIMATE=day_effects): a log-linear model takes the effects of {days} days "
        f"out of {shown.sum():.0f} impressions and keeps {100 * left:.0f} % of their information "
        "about the variants."
    )
