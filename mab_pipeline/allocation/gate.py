"""The gate: the conditions that a decision must meet to be published.

Each names experiments: the checks show its findings, and publication holds those experiments back.
Conditions of a whole day are SQL in `sql/checks/`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from mab_pipeline import bandit
from mab_pipeline.allocation.code_version import code_version
from mab_pipeline.allocation.comparisons import Comparison, comparisons
from mab_pipeline.allocation.decide import Decisions, identify
from mab_pipeline.allocation.inputs import read_inputs
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.resources import Platform
from mab_store.days import Days
from mab_store.warehouse.warehouse import Queries

TOO_UNLIKELY = 1e-9
TOTAL = 10_000

Key = tuple[date, str]


@dataclass(frozen=True, slots=True)
class Failure:
    """One finding of a check.

    Attributes:
        day: Day that it concerns.
        detail: The finding, in words.
        experiment_id: Experiment that it concerns; None if it concerns the whole day.
    """

    day: date
    detail: str
    experiment_id: str | None = None


@dataclass(frozen=True, slots=True)
class Share:
    """One row of a stored allocation."""

    hundredths: int
    probability_best: float
    samples: int


@dataclass(frozen=True, slots=True)
class CurrentAllocations:
    """The decisions that the windows call for now, and the stored rows of each.

    Attributes:
        decisions: One per experiment and day.
        shares: Stored rows by allocation id and variant.
    """

    decisions: Decisions
    shares: dict[str, dict[str, Share]]

    def __iter__(self) -> Iterator[tuple[Key, str, dict[str, Share]]]:
        """Yield day and experiment, allocation id and stored rows of each decision."""
        for index, allocation_id in enumerate(self.decisions.allocation_ids):
            yield self.decisions.key(index), allocation_id, self.shares.get(allocation_id, {})


def current_allocations(queries: Queries, days: Days, platform: Platform) -> CurrentAllocations:
    """Match the decisions that the windows call for with the stored ones, by their identity."""
    inputs = read_inputs(queries, days, RuleSettings.of(platform.settings))
    stored = queries.fetch_arrow("assets/allocations_existing", days.parameters)
    decisions = identified(inputs, platform)
    return CurrentAllocations(decisions, _by_decision(stored, set(decisions.allocation_ids)))


def identified(inputs: pa.Table, platform: Platform) -> Decisions:
    """Return the decisions of these windows; the steps of a run share them while no row changes."""
    rule, version = RuleSettings.of(platform.settings), code_version()
    return platform.decisions.of(
        (inputs, rule, version), lambda: identify(inputs, rule, version=version)
    )


def missing_rows(current: CurrentAllocations) -> list[Failure]:
    """Find decisions that lack the row of a variant, or all rows."""
    failures = []
    for index, allocation_id in enumerate(current.decisions.allocation_ids):
        expected = current.decisions.variants(index)
        absent = sorted(set(expected) - current.shares.get(allocation_id, {}).keys())
        if absent:
            day, experiment_id = current.decisions.key(index)
            detail = f"no share for {', '.join(absent)}; materialise allocations of {day}"
            failures.append(Failure(day, detail, experiment_id))
    return failures


def wrong_totals(current: CurrentAllocations) -> list[Failure]:
    """Find decisions whose shares do not sum to exactly 100.00 %, or leave 0 to 100."""
    failures = []
    for (day, experiment_id), _, shares in current:
        values = [share.hundredths for share in shares.values()]
        if values and (sum(values) != TOTAL or min(values) < 0):
            detail = (
                f"shares {values} (in 0.01 %) sum to {sum(values)}, not to {TOTAL}; `mab rebuild` "
                "restores the decision"
            )
            failures.append(Failure(day, detail, experiment_id))
    return failures


def unlikely_draws(current: CurrentAllocations) -> list[Failure]:
    """Find shares that the exact probability makes all but impossible.

    Of a share that burn-in, exploration or a floor took part in, the part that was drawn is judged.
    """
    mixed = comparisons(current.decisions)
    cells = [
        (key, name, share, mixed[allocation_id][name] if allocation_id in mixed else None)
        for key, allocation_id, shares in current
        for name, share in shares.items()
        if share.samples > 0
    ]
    # A share that owes nothing to the draws says nothing of them.
    cells = [cell for cell in cells if cell[3] is None or cell[3].scale > 0.0]
    if not cells:
        return []
    hundredths = np.array([share.hundredths for _, _, share, _ in cells], dtype=np.int64)
    samples = np.array([share.samples for _, _, share, _ in cells], dtype=np.int64)
    best = np.array([own.best if own else share.probability_best for _, _, share, own in cells])
    low, high = _wins(hundredths, samples)
    for place, (_, _, share, comparison) in enumerate(cells):
        if comparison is not None:
            low[place], high[place] = _wins_of_a_part(share, comparison)
    tails = bandit.binomial_tail(low, high, samples, np.clip(best, 0.0, 1.0))
    return [
        Failure(
            day,
            f"{name}: {share.hundredths / 100:.2f} % of {share.samples} draws"
            f"{' and options of the rule' if own else ''}, but the exact probability is "
            f"{probability:.6g} (tail {tail:.1e})",
            experiment_id,
        )
        for ((day, experiment_id), name, share, own), probability, tail in zip(
            cells, best, tails, strict=True
        )
        if not tail >= TOO_UNLIKELY
    ]


def _wins(
    hundredths: np.ndarray[tuple[int], np.dtype[np.int64]],
    samples: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> tuple[np.ndarray[tuple[int], np.dtype[np.int64]], ...]:
    """Return the fewest and the most draws won that round to a share.

    If the number of draws divides 10,000 the share is exact; otherwise rounding moved it by less
    than one hundredth.
    """
    exact = TOTAL % samples == 0
    low = np.where(exact, hundredths * samples // TOTAL, ((hundredths - 1) * samples) // TOTAL)
    high = np.where(exact, low, -((-(hundredths + 1) * samples) // TOTAL))
    return np.clip(low, 0, samples), np.clip(high, 0, samples)


def _wins_of_a_part(share: Share, comparison: Comparison) -> tuple[int, int]:
    """Return the same of a share that the draws decided in part."""
    bounds = [
        ((share.hundredths + one) / TOTAL - comparison.least) / comparison.scale * share.samples
        for one in (-1, 1)
    ]
    fewest, most = math.floor(bounds[0]), math.ceil(bounds[1])
    return max(0, min(share.samples, fewest)), max(0, min(share.samples, most))


def _by_decision(stored: pa.Table, wanted: set[str]) -> dict[str, dict[str, Share]]:
    columns = stored.to_pydict()
    shares: dict[str, dict[str, Share]] = {}
    for allocation_id, name, hundredths, best, samples in zip(
        columns["allocation_id"],
        columns["variant_name"],
        columns["allocation_hundredths"],
        columns["probability_best"],
        columns["samples"],
        strict=True,
    ):
        if allocation_id in wanted:
            shares.setdefault(allocation_id, {})[name] = Share(hundredths, best, samples)
    return shares
