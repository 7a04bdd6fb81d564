"""The rule: from the windows of each variant to its share, its identity and its record.

It groups inputs into decisions, names each by its inputs, settings and code, calls the numeric
core, and returns the rows of `allocations`. Replay runs this same code.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mab_pipeline.allocation.evidence import (
    KEPT,
    OWN_OPTIONS,
    cells_of,
    evidence_of,
    option_columns,
    rows_of,
)
from mab_pipeline.allocation.rule_arrays import Evidence, draw_of, kept_counts, weigh
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.bandit.thompson import experiment_seed
from mab_store.warehouse.table_schema import declared_tables

ALGORITHMS = {
    "monte_carlo": "thompson_sampling",
    "multinomial": "thompson_multinomial",
    "exact": "probability_best",
}
_INPUT_COLUMNS = (
    "variant_name",
    "window_days",
    "data_source",
    "impressions",
    "clicks",
    "default_window_impressions",
    "default_window_clicks",
    "max_window_impressions",
    "max_window_clicks",
)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions to compute: one per experiment and day, each over consecutive input rows.

    Attributes:
        inputs: Rows of `inputs.read_inputs`, as columns by name.
        first_rows: First input row of each decision, shape (n_decisions,).
        sizes: Number of variants of each decision, shape (n_decisions,).
        rules: The settings that decide each.
        inputs_hashes: Hash of the inputs, one per decision.
        allocation_ids: Identity of each decision.
    """

    inputs: dict[str, list[Any]]
    first_rows: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
    rules: list[RuleSettings]
    inputs_hashes: list[str]
    allocation_ids: list[str]

    def __len__(self) -> int:
        return len(self.allocation_ids)

    def key(self, decision: int) -> tuple[date, str]:
        """Return day and experiment of a decision."""
        row = int(self.first_rows[decision])
        return self.inputs["as_of_date"][row], self.inputs["experiment_id"][row]

    def variants(self, decision: int) -> list[str]:
        """Return the variant names of a decision, in drawing order."""
        row = int(self.first_rows[decision])
        names: list[str] = self.inputs["variant_name"][row : row + int(self.sizes[decision])]
        return names

    def by_rule(self) -> dict[RuleSettings, list[int]]:
        """Return the decisions that each rule makes."""
        groups: dict[RuleSettings, list[int]] = {}
        for decision, rule in enumerate(self.rules):
            groups.setdefault(rule, []).append(decision)
        return groups

    def evidence(self, which: list[int]) -> Evidence:
        """Return what decisions of one rule are made from, one row each."""
        rule = self.rules[which[0]]
        return evidence_of(self.inputs, self.first_rows[which], self.sizes[which], rule)


def identify(inputs: pa.Table, rule: RuleSettings, *, version: str) -> Decisions:
    """Group input rows into decisions and name each by day, experiment, inputs, rule and code.

    Args:
        inputs: Rows of `inputs.read_inputs`, in its order.
        rule: The settings of the installation; options of an experiment's own go before them.
        version: Version of the code that decides.
    """
    columns = inputs.to_pydict()
    keys = list(zip(columns["as_of_date"], columns["experiment_id"], strict=True))
    starts = [row for row, key in enumerate(keys) if row == 0 or keys[row - 1] != key]
    ends = [*starts[1:], len(keys)]
    own = columns.get(OWN_OPTIONS, [None] * len(keys))
    rules = [rule.with_own_options(own[start]) for start in starts]
    hashes, ids = [], []
    for start, end, deciding in zip(starts, ends, rules, strict=False):
        as_of_date, experiment_id = keys[start]
        seen = [columns[name][start:end] for name in (*_INPUT_COLUMNS, *option_columns(deciding))]
        inputs_hash = _hash(list(zip(*seen, strict=True)))
        hashes.append(inputs_hash)
        identity = [str(as_of_date), experiment_id, inputs_hash, deciding.to_json(), version]
        ids.append("alc_" + _hash(identity))
    first_rows = np.array(starts, dtype=np.int64)
    sizes = np.array(ends[: len(starts)], dtype=np.int64) - first_rows
    return Decisions(columns, first_rows, sizes, rules, hashes, ids)


def decide(decisions: Decisions, *, version: str, now: datetime, run_id: str) -> pa.Table:
    """Compute the allocation of every decision; return the rows of `allocations`."""
    count = int(decisions.sizes.sum())
    columns: dict[str, Any] = {
        **{name: np.zeros(count) for name in ("alpha", "beta", "probability_best")},
        **{name: np.zeros(count, dtype=np.int64) for name in ("allocation_hundredths", "seed")},
        **{name: list(decisions.inputs[name]) for name in ("data_source", "impressions", "clicks")},
    }
    for rule, which in decisions.by_rule().items():
        _decide_by(rule, which, decisions, columns)
    return _record(decisions, columns, version=version, now=now, run_id=run_id)


def _decide_by(
    rule: RuleSettings, which: list[int], decisions: Decisions, columns: dict[str, Any]
) -> None:
    """Fill in the columns of the decisions that one rule makes."""
    sizes = decisions.sizes[which]
    cells, rows = cells_of(sizes), rows_of(decisions.first_rows[which], sizes)
    seeds = np.array(
        [
            experiment_seed(rule.seed_base, experiment_id, as_of_date)
            for as_of_date, experiment_id in map(decisions.key, which)
        ],
        dtype=np.int64,
    )
    evidence = decisions.evidence(which)
    weighed = weigh(evidence, rule, draw_of(rule, seeds))
    columns["alpha"][rows] = weighed.alpha[cells]
    columns["beta"][rows] = weighed.beta[cells]
    columns["probability_best"][rows] = weighed.probability_best[cells]
    columns["allocation_hundredths"][rows] = weighed.hundredths[cells]
    columns["seed"][rows] = seeds[cells[0]]
    kept = kept_counts(evidence, rule)[cells]
    for row, shown, clicks in zip(
        rows[kept], weighed.impressions[cells][kept], weighed.clicks[cells][kept], strict=True
    ):
        columns["data_source"][row] = KEPT
        columns["impressions"][row], columns["clicks"][row] = int(shown), int(clicks)


def _record(
    decisions: Decisions, columns: dict[str, Any], *, version: str, now: datetime, run_id: str
) -> pa.Table:
    """Put inputs, results and circumstances into rows of `allocations`."""
    schema = declared_tables()["allocations"].arrow_schema
    count, repeats = int(decisions.sizes.sum()), decisions.sizes.tolist()
    constants = {
        "code_version": version,
        "numpy_version": np.__version__,
        "computed_at": now,
        "run_id": run_id,
    }
    by_decision: dict[str, list[Any]] = {
        "algorithm": [ALGORITHMS[rule.allocation_method] for rule in decisions.rules],
        "samples": [
            0 if rule.allocation_method == "exact" else rule.thompson_samples
            for rule in decisions.rules
        ],
        "settings": [rule.to_json() for rule in decisions.rules],
        "allocation_id": decisions.allocation_ids,
        "inputs_hash": decisions.inputs_hashes,
    }
    whole: dict[str, Any] = {
        **{name: decisions.inputs[name] for name in schema.names if name in decisions.inputs},
        **columns,
        **{name: pa.repeat(pa.scalar(value), count) for name, value in constants.items()},
        **{name: _spread(values, repeats) for name, values in by_decision.items()},
        "effective_date": [day + timedelta(days=1) for day in decisions.inputs["as_of_date"]],
    }
    arrays = [_array(whole[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, type=kind)


def _spread(values: list[Any], repeats: list[int]) -> list[Any]:
    return [value for value, count in zip(values, repeats, strict=True) for _ in range(count)]


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(value: object) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:16]
