"""What if: the decisions of an experiment's own days under other settings; pure.

The rule's own code decides, on the counts that the API serves. Days were served the published
shares, and keep their counts: this says what the rule would have decided, not what people would
have clicked then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mab_dashboard.counts import Counts, Decided
from mab_pipeline.allocation.rule_arrays import Evidence, draw_of, kept_counts, weigh
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.bandit.thompson import experiment_seed
from mab_pipeline.simulation.windows import SOURCES, Windows, sum_windows
from mab_store.rule_options import PRESETS

MOST_DAYS = 60
"""Decisions that are computed at a time, the newest: a second or two."""
FIELDS = frozenset(RuleSettings.__slots__)
SHARE_FIELDS = ("exploration", "control_min_allocation")


class Again(NamedTuple):
    """A decision under other settings; tuples have one entry per variant.

    Attributes:
        decided: The published decision.
        hundredths: Shares in 0.01 % under the settings.
        sources: Which window counts: `default_window`, `max_window` or `prior`.
        impressions: Impressions that count.
        clicks: Clicks that count.
        probability_best: Exact probability of the highest rate.
    """

    decided: Decided
    hundredths: tuple[int, ...]
    sources: tuple[str, ...]
    impressions: tuple[int, ...]
    clicks: tuple[int, ...]
    probability_best: tuple[float, ...]

    @property
    def is_same(self) -> bool:
        """Whether the shares are the published ones, to the last hundredth."""
        return self.hundredths == self.decided.hundredths


def rule_of(settings: Mapping[str, Any]) -> RuleSettings:
    """Return the settings that a decision recorded; options that it lacks are the brief's."""
    return RuleSettings(**{name: value for name, value in settings.items() if name in FIELDS})


def with_preset(rule: RuleSettings, preset: str) -> RuleSettings:
    """Return the rule with the options of a preset; windows, prior and seed stay if it has none."""
    options = RuleSettings(**{name: getattr(rule, name) for name in _REQUIRED})
    given = {name: value for name, value in PRESETS[preset].items() if name in FIELDS}
    changed = replace(options, **given)  # type: ignore[arg-type]  # of the presets
    return replace(changed, max_window_days=max(rule.max_window_days, changed.default_window_days))


_REQUIRED = (
    "default_window_days",
    "max_window_days",
    "min_impressions",
    "prior_alpha",
    "prior_beta",
    "allocation_method",
    "thompson_samples",
    "seed_base",
)


def decide_again(
    experiment_id: str, decisions: Sequence[Decided], counts: Counts, rule: RuleSettings
) -> list[Again]:
    """Decide the days of published decisions under settings.

    Args:
        experiment_id: The experiment: the seed of each day follows from it.
        decisions: The published ones.
        counts: All accepted counts from `rule.max_window_days` before the first decision on, of
            every variant of the decisions; earlier ones count for burn-in alone.
        rule: The settings.

    Returns:
        A decision for each. With the settings that were recorded and the counts that were there,
        these are the published shares bit for bit: the seeds are the same.
    """
    if not decisions:
        return []
    seeds = [experiment_seed(rule.seed_base, experiment_id, one.day) for one in decisions]
    evidence, sources = _evidence(decisions, counts, rule)
    weighed = weigh(evidence, rule, draw_of(rule, np.array(seeds, dtype=np.int64)))
    sources = np.where(kept_counts(evidence, rule), SOURCES.index("max_window"), sources)
    return [
        Again(
            one,
            tuple(weighed.hundredths[row, :size].tolist()),
            tuple(SOURCES[source] for source in sources[row, :size]),
            tuple(int(value) for value in weighed.impressions[row, :size]),
            tuple(int(value) for value in weighed.clicks[row, :size]),
            tuple(weighed.probability_best[row, :size].tolist()),
        )
        for row, one in enumerate(decisions)
        for size in [len(one.variants)]
    ]


def _evidence(
    decisions: Sequence[Decided], counts: Counts, rule: RuleSettings
) -> tuple[Evidence, npt.NDArray[np.int64]]:
    """Return the evidence, one decision a row, and the code of each variant's window."""
    shape = (len(decisions), max(len(one.variants) for one in decisions))
    shown, hits = np.full((2, *shape), np.nan)
    most_shown, most_hits, since = np.full((3, *shape), np.nan)
    sources = np.full(shape, SOURCES.index("prior"))
    by_day = np.zeros((2, shape[0], rule.max_window_days, shape[1]))
    is_control = np.zeros(shape, np.bool_)
    for row, one in enumerate(decisions):
        cells, own = np.s_[row, : len(one.variants)], counts.of(one.variants)
        found = _windows(own, one.day, rule)
        sources[cells], shown[cells], hits[cells] = found.source, found.impressions, found.clicks
        most_shown[cells], most_hits[cells] = found.max_impressions, found.max_clicks
        until = own.through(one.day)
        since[cells] = until.impressions.sum(axis=0)
        is_control[cells] = [name == one.control for name in one.variants]
        for side, array in zip(by_day, (until.impressions, until.clicks), strict=True):
            side[row, :, : len(one.variants)] = array[-rule.max_window_days :]
    evidence = Evidence(
        impressions=shown,
        clicks=hits,
        is_short=sources == SOURCES.index("prior"),
        max_window_impressions=most_shown,
        max_window_clicks=most_hits,
        since_joined=since,
        is_control=is_control,
        day_impressions=by_day[0],
        day_clicks=by_day[1],
        window_days=np.where(
            sources == SOURCES.index("default_window"),
            rule.default_window_days,
            rule.max_window_days,
        ),
    )
    return evidence, sources


def _windows(own: Counts, day: date, rule: RuleSettings) -> Windows:
    """Return the sums of the windows that end with a day, each of shape `(n_variants,)`."""
    end = (day - own.first).days + 1
    found = sum_windows(own.impressions[:, None], own.clicks[:, None], end, rule)
    return Windows(*(array[0] for array in found))
