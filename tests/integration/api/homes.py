"""Homes for the tests and benchmarks of the API.

The decisions are made up; their publication is the pipeline's own code, without a run.
"""

import hashlib
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from mab_pipeline import bandit
from mab_pipeline.allocation.analysis import Evidence, analyse
from mab_pipeline.allocation.publish import serve
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.resources import build_platform
from mab_store.experiments.events import fold_events
from mab_store.experiments.registration import register
from mab_store.experiments.schemas import ExperimentSpec, VariantSpec, experiment_id_of
from mab_store.settings import Settings
from mab_store.warehouse.table_schema import declared_tables

TODAY = date(2026, 3, 10)
YESTERDAY = TODAY - timedelta(days=1)
NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC).replace(tzinfo=None)
SETTINGS = RuleSettings.of(Settings(_env_file=None)).to_json()
ANALYSED = 3  # experiments with an analysis; the others have none, as after an upgrade


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


class Home:
    """A MAB_HOME with experiments `experiment_000` and so on."""

    def __init__(self, root: Path, *, clock: Clock | None = None, **overrides: object) -> None:
        self.clock = clock or Clock()
        self.settings = Settings(_env_file=None, **{"mab_home": root, **overrides})
        root.mkdir(parents=True, exist_ok=True)
        self.platform = build_platform(self.settings, clock=self.clock)
        self.variants: dict[str, list[str]] = {}
        self.platform.warehouse.create_schema()

    def clone(self, root: Path, **overrides: object) -> "Home":
        """Return a copy of this home with a clock of its own."""
        shutil.copytree(self.settings.mab_home, root)
        changes = {name: getattr(self.settings, name) for name in self.settings.model_fields_set}
        twin = Home(root, clock=Clock(self.clock()), **(changes | {"mab_home": root} | overrides))
        twin.variants = dict(self.variants)
        return twin

    def register(self, count: int = 3, *, variants: int = 3) -> list[str]:
        """Register experiments in the inbox and load them; return their ids."""
        ids = []
        for number in range(count):
            spec = ExperimentSpec(
                name=f"experiment_{number:03}",
                description='Ünïcode and "quotes": "is_stale":false',
                variants=[
                    VariantSpec(name=_variant(place), is_control=place == 0)
                    for place in range(variants)
                ],
            )
            event = register(self.platform.inbox, spec, now=self.clock() - timedelta(days=90)).event
            self.variants[event.experiment_id] = [variant.name for variant in spec.variants]
            ids.append(event.experiment_id)
        self.load_registry()
        return ids

    def load_registry(self) -> None:
        """Load the registry from the inbox, as the pipeline's first asset does."""
        inbox = self.platform.inbox
        contents = {file.source_file: inbox.read(file) for file in inbox.experiment_files()}
        registry = fold_events(contents)
        self._replace("experiments", registry.experiments)
        self._replace("variants", registry.variants)

    def invent(self, count: int, *, variants: int = 4) -> list[str]:
        """Fill the registry with experiments that have no file; return their ids."""
        rows, variant_rows = [], []
        for number in range(count):
            name = f"experiment_{number:06}"
            experiment_id = experiment_id_of(name)
            self.variants[experiment_id] = [_variant(place) for place in range(variants)]
            always = {"valid_from_date": date(1900, 1, 1), "valid_to_date": date(9999, 12, 31)}
            common = always | {"experiment_id": experiment_id}
            rows.append(common | {"experiment_name": name, "status": "running", "created_at": NOW})
            variant_rows += [
                common
                | {
                    "variant_name": variant,
                    "is_control": place == 0,
                    "position": place,
                    "status": "active",
                }
                for place, variant in enumerate(self.variants[experiment_id])
            ]
        self._replace("experiments", rows)
        self._replace("variants", variant_rows)
        return list(self.variants)

    def publish(
        self, day: date = YESTERDAY, *, only: Sequence[str] | None = None, counts: bool = True
    ) -> str:
        """Publish made-up decisions of a day; return the name of the copy."""
        now = self.clock()
        allocations, publications, metrics, analyses = [], [], [], []
        for number, (experiment_id, names) in enumerate(self.variants.items()):
            if only is not None and experiment_id not in only:
                continue
            shares = _shares(names, seed=number + day.toordinal())
            allocation_id = "alc_" + _digest(f"{experiment_id}{day}{now}")
            key = {"as_of_date": day, "experiment_id": experiment_id}
            decided = {"allocation_id": allocation_id, "effective_date": day + timedelta(days=1)}
            allocations += [
                key | decided | _decision(place, name, share, now=now)
                for place, (name, share) in enumerate(shares.items())
            ]
            publications.append(
                key
                | {
                    "published_at": now,
                    "allocation_id": allocation_id,
                    "buckets": json.dumps(bandit.assign_buckets(shares, None)),
                    "was_live": True,
                    "data_through": day,
                    "run_id": "run",
                }
            )
            if number < ANALYSED:
                analyses.append(key | _analysis(names, allocation_id, now=now))
            metrics += [
                {
                    "metric_date": day,
                    "experiment_id": experiment_id,
                    "variant_name": name,
                    "impressions": 1000 + place,
                    "clicks": 10 * place,
                    "source_file": f"metrics/{day}/counts.csv",
                    "received_at": now,
                }
                for place, name in enumerate(names)
            ]
        self._append("allocations", allocations)
        self._append("publications", publications)
        self._append("analysis", analyses)
        if counts:
            self._append("daily_metrics", metrics)
        self._settle(now)
        return serve(self.platform)

    def hold_back(self, experiment_id: str, day: date) -> str:
        """Note that the gate held back an experiment's decision of a day."""
        now = self.clock()
        row = {
            "as_of_date": day,
            "experiment_id": experiment_id,
            "held_at": now,
            "reason": "data_gap",
            "detail": "no accepted counts",
            "run_id": "run",
        }
        self._append("publication_holds", [row])
        self._settle(now)
        return serve(self.platform)

    @property
    def pointer(self) -> Path:
        return self.settings.published_dir / "current.json"

    def copies(self) -> list[Path]:
        return sorted(self.settings.published_dir.glob("serving-*.duckdb"))

    def _settle(self, now: datetime) -> None:
        with self.platform.warehouse.transaction() as transaction:
            transaction.execute("assets/publication_current", {"stamp": now})

    def _append(self, table: str, rows: Sequence[dict[str, object]]) -> None:
        schema = declared_tables()[table].arrow_schema
        with self.platform.warehouse.transaction() as transaction:
            transaction.load_arrow(table, pa.Table.from_pylist(list(rows), schema=schema))

    def _replace(self, table: str, rows: Sequence[dict[str, object]]) -> None:
        with self.platform.warehouse.transaction() as transaction:
            transaction._connection.execute(f"delete from {table}")
        self._append(table, rows)


def _analysis(names: Sequence[str], allocation_id: str, *, now: datetime) -> dict[str, object]:
    """Return the analysis of one day with these made-up counts."""
    shown = 1000.0 + np.arange(len(names))
    clicks = 10.0 * np.arange(len(names))
    nothing = np.full((1, len(names)), np.nan)
    evidence = Evidence(
        variants=tuple(names),
        control=0,
        alpha=1.0 + clicks,
        beta=99.0 + shown - clicks,
        first_day=now.date(),
        impressions=shown[None],
        clicks=clicks[None],
        shares=nothing,
        buckets=nothing,
    )
    found = analyse(evidence)
    return {
        "analysed_at": now,
        "allocation_id": allocation_id,
        "is_published": True,
        "advice": found.advice.verdict,
        "sample_ratio_p_value": found.sample_ratio.p_value,
        "analysis": found.to_json(),
        "run_id": "run",
    }


def _variant(place: int) -> str:
    return "control" if place == 0 else f"variant_{'abcdefghijklmnopqrstuvwxyz'[place - 1]}"


def _shares(names: Sequence[str], *, seed: int) -> dict[str, int]:
    """Shares in hundredths that differ from day to day and sum to 10,000."""
    weights = [1 + (seed * 7919 + place * 104729) % 97 for place in range(len(names))]
    shares = [10_000 * weight // sum(weights) for weight in weights]
    shares[0] += 10_000 - sum(shares)
    return dict(zip(names, shares, strict=True))


def _decision(place: int, name: str, share: int, *, now: datetime) -> dict[str, object]:
    impressions, clicks = 10_000 + place, 300 + 10 * place
    return {
        "variant_name": name,
        "allocation_hundredths": share,
        "alpha": 1.0 + clicks,
        "beta": 99.0 + impressions - clicks,
        "probability_best": share / 10_000,
        "window_days": 14,
        "data_source": "default_window",
        "impressions": impressions,
        "clicks": clicks,
        "algorithm": "thompson_sampling",
        "samples": 10_000,
        "seed": 1,
        "settings": SETTINGS,
        "inputs_hash": "x",
        "code_version": "x",
        "numpy_version": "x",
        "computed_at": now,
        "run_id": "run",
    }


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
