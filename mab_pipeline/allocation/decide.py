"""The rule: from what the windows hold of each variant to its share, its identity and its record.

What belongs here: grouping inputs into decisions, naming a decision by what decided it, calling
the numeric core, and the rows of `allocations`. What does not: the numerics (`bandit/`), the
windows (SQL), databases and Dagster. Replay runs this same code.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mab_pipeline.bandit.decision import to_hundredths
from mab_pipeline.bandit.exact import probability_best
from mab_pipeline.bandit.posterior import posterior
from mab_pipeline.bandit.thompson import experiment_seed, thompson_shares
from mab_store.settings import Settings
from mab_store.warehouse.table_schema import declared_tables

FloatArray = npt.NDArray[np.float64]
ALGORITHMS = {"monte_carlo": "thompson_sampling", "exact": "probability_best"}
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
class RuleSettings:
    """The settings that decide a result; each is recorded beside it.

    Attributes are those of `Settings` of the same names; `seed_base` is MAB_SEED.
    """

    default_window_days: int
    max_window_days: int
    min_impressions: int
    prior_alpha: float
    prior_beta: float
    allocation_method: str
    thompson_samples: int
    seed_base: int

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the deciding settings out of all settings."""
        return cls(
            default_window_days=settings.default_window_days,
            max_window_days=settings.max_window_days,
            min_impressions=settings.min_impressions,
            prior_alpha=settings.prior_alpha,
            prior_beta=settings.prior_beta,
            allocation_method=settings.allocation_method,
            thompson_samples=settings.thompson_samples,
            seed_base=settings.mab_seed,
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the settings that an allocation recorded."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Return the settings as canonical JSON: the same settings give the same text."""
        return _canonical({name: getattr(self, name) for name in self.__slots__})

    @property
    def window_parameters(self) -> dict[str, object]:
        """Parameters of `sql/assets/windowed_aggregates.sql`."""
        return {
            "default_window_days": self.default_window_days,
            "max_window_days": self.max_window_days,
            "min_impressions": self.min_impressions,
        }


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions to be made: one per experiment and day, each over consecutive input rows.

    Attributes:
        inputs: Rows of `sql/assets/allocations_inputs.sql`, as columns by name.
        first_rows: First input row of each decision, shape (n_decisions,).
        sizes: Number of variants of each decision, shape (n_decisions,).
        inputs_hashes: What the rule saw, hashed, one per decision.
        allocation_ids: Identity of each decision.
    """

    inputs: dict[str, list[Any]]
    first_rows: npt.NDArray[np.int64]
    sizes: npt.NDArray[np.int64]
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


def identify(inputs: pa.Table, rule: RuleSettings, *, version: str) -> Decisions:
    """Group input rows into decisions and name each by day, experiment, inputs, rule and code.

    Args:
        inputs: Rows of `sql/assets/allocations_inputs.sql`, in its order.
        rule: The settings that decide.
        version: Version of the code that decides.
    """
    columns = inputs.to_pydict()
    keys = list(zip(columns["as_of_date"], columns["experiment_id"], strict=True))
    starts = [row for row, key in enumerate(keys) if row == 0 or keys[row - 1] != key]
    ends = [*starts[1:], len(keys)]
    settings = rule.to_json()
    seen = list(zip(*(columns[name] for name in _INPUT_COLUMNS), strict=True))
    hashes, ids = [], []
    for start, end in zip(starts, ends, strict=False):
        as_of_date, experiment_id = keys[start]
        inputs_hash = _hash(seen[start:end])
        hashes.append(inputs_hash)
        identity = [str(as_of_date), experiment_id, inputs_hash, settings, version]
        ids.append("alc_" + _hash(identity))
    first_rows = np.array(starts, dtype=np.int64)
    sizes = np.array(ends[: len(starts)], dtype=np.int64) - first_rows
    return Decisions(columns, first_rows, sizes, hashes, ids)


def decide(
    decisions: Decisions, rule: RuleSettings, *, version: str, now: datetime, run_id: str
) -> pa.Table:
    """Compute the allocation of every decision; return the rows of `allocations`."""
    cells = _cells(decisions)
    padded = np.full((2, len(decisions), int(decisions.sizes.max(initial=1))), np.nan)
    for plane, name in enumerate(("clicks", "impressions")):
        padded[plane][cells] = np.asarray(decisions.inputs[name], dtype=np.float64)
    alpha, beta = posterior(
        padded[0], padded[1], prior_alpha=rule.prior_alpha, prior_beta=rule.prior_beta
    )
    seeds = np.array(
        [
            experiment_seed(rule.seed_base, experiment_id, as_of_date)
            for as_of_date, experiment_id in map(decisions.key, range(len(decisions)))
        ],
        dtype=np.int64,
    )
    best, hundredths = _shares(alpha, beta, rule, seeds)
    numbers = {
        "alpha": alpha[cells],
        "beta": beta[cells],
        "probability_best": best[cells],
        "allocation_hundredths": hundredths[cells],
        "seed": seeds[cells[0]],
    }
    return _record(decisions, rule, numbers, version=version, now=now, run_id=run_id)


def _shares(
    alpha: FloatArray, beta: FloatArray, rule: RuleSettings, seeds: npt.NDArray[np.int64]
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Return the exact probabilities, and the allocation by the method that the rule names."""
    if len(alpha) == 0:
        return alpha, alpha.astype(np.int64)
    best = probability_best(alpha, beta)
    if rule.allocation_method == "exact":
        return best, to_hundredths(best)
    shares = thompson_shares(alpha, beta, samples=rule.thompson_samples, seeds=seeds)
    return best, to_hundredths(shares)


def _record(
    decisions: Decisions,
    rule: RuleSettings,
    numbers: dict[str, npt.NDArray[Any]],
    *,
    version: str,
    now: datetime,
    run_id: str,
) -> pa.Table:
    """Put inputs, results and circumstances into rows of `allocations`."""
    schema = declared_tables()["allocations"].arrow_schema
    count = int(decisions.sizes.sum())
    repeats = decisions.sizes.tolist()
    is_exact = rule.allocation_method == "exact"
    constants: dict[str, object] = {
        "algorithm": ALGORITHMS[rule.allocation_method],
        "samples": 0 if is_exact else rule.thompson_samples,
        "settings": rule.to_json(),
        "code_version": version,
        "numpy_version": np.__version__,
        "computed_at": now,
        "run_id": run_id,
    }
    columns: dict[str, Any] = {
        **{name: decisions.inputs[name] for name in schema.names if name in decisions.inputs},
        **numbers,
        **{name: pa.repeat(pa.scalar(value), count) for name, value in constants.items()},
        "effective_date": [day + timedelta(days=1) for day in decisions.inputs["as_of_date"]],
        "allocation_id": _spread(decisions.allocation_ids, repeats),
        "inputs_hash": _spread(decisions.inputs_hashes, repeats),
    }
    arrays = [_array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Any, kind: pa.DataType) -> pa.Array:
    return values.cast(kind) if isinstance(values, pa.Array) else pa.array(values, type=kind)


def _cells(decisions: Decisions) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where each input row goes in an array of shape (n_decisions, n_variants)."""
    index = np.repeat(np.arange(len(decisions)), decisions.sizes)
    position = np.arange(len(index)) - np.repeat(decisions.first_rows, decisions.sizes)
    return index, position


def _spread(values: list[str], repeats: list[int]) -> list[str]:
    return [value for value, count in zip(values, repeats, strict=True) for _ in range(count)]


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(value: object) -> str:
    return hashlib.sha256(_canonical(value).encode()).hexdigest()[:16]
