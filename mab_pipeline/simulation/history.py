"""Past traffic of experiments, as arrays by day and variant."""

from collections.abc import Iterator, Sequence
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mab_store.errors import NotPublishedError
from mab_store.warehouse.reader import Reader

IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


class History(NamedTuple):
    """Counts of an experiment.

    Attributes:
        experiment_id: Its id.
        name: Its name.
        impressions: Impressions by day, every day from first to last, shape `(n_days, n_arms)`.
            Column 0 is the control's.
        clicks: Clicks, same shape.
    """

    experiment_id: str
    name: str
    impressions: IntArray
    clicks: IntArray

    @property
    def is_there(self) -> BoolArray:
        """Whether a variant takes part: from its first to its last day with impressions.

        On a day on which none does, and which has no traffic, all count as there.
        """
        seen = self.impressions > 0
        begun = np.maximum.accumulate(seen, axis=0)
        goes_on = np.maximum.accumulate(seen[::-1], axis=0)[::-1]
        there = begun & goes_on
        return there | ~there.any(axis=1, keepdims=True)


def read_histories(
    reader: Reader, experiments: Sequence[str], first: date | None, last: date | None
) -> list[History]:
    """Read the published counts.

    Args:
        reader: The published data.
        experiments: Ids or names; all if empty.
        first: First day, or None for the first that there is.
        last: Last day, or None.

    Returns:
        The experiments that can be compared: at least two variants with impressions, at least two
        days, and a click.

    Raises:
        NotPublishedError: An experiment is unknown, or none can be compared.
    """
    rows = reader.fetch_arrow(
        "simulation/histories", {"from_date": first, "to_date": last}
    ).to_pylist()
    wanted = set(experiments)
    known = {str(row[key]) for row in rows for key in ("experiment_id", "experiment_name")}
    if unknown := sorted(wanted - known):
        raise NotPublishedError(
            f"{', '.join(unknown)}: no published counts of such an experiment on these days. "
            "`mab allocations` lists the experiments."
        )
    found = [
        history
        for history in _histories(rows)
        if not wanted or wanted & {history.experiment_id, history.name}
    ]
    comparable = [history for history in found if _is_comparable(history)]
    if not comparable:
        raise NotPublishedError(
            "No experiment can be compared: each needs two days, two variants with impressions, "
            "and a click. Choose other days or experiments."
        )
    return comparable


def _histories(rows: list[dict[str, Any]]) -> Iterator[History]:
    for (experiment_id, name), group in groupby(
        rows, key=itemgetter("experiment_id", "experiment_name")
    ):
        own = list(group)
        variants = list(dict.fromkeys(row["variant_name"] for row in own))
        first = min(row["metric_date"] for row in own)
        length = (max(row["metric_date"] for row in own) - first).days + 1
        counts = np.zeros((2, length, len(variants)), np.int64)
        for row in own:
            cell = (row["metric_date"] - first).days, variants.index(row["variant_name"])
            counts[0][cell], counts[1][cell] = row["impressions"], row["clicks"]
        yield History(experiment_id, name, *counts)


def _is_comparable(history: History) -> bool:
    days, arms = (np.count_nonzero(history.impressions.any(axis=axis)) for axis in (1, 0))
    return bool(days >= 2 and arms >= 2 and history.clicks.any())
