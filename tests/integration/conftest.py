"""What the integration tests share: a world of one's own, with a clock that the test sets.

A `World` is a MAB_HOME in a temporary folder, the real platform on it and the real Dagster job on
an instance in memory. Nothing is mocked but the time, and the time only moves when it is read.
"""

import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from mab_pipeline.allocation.gate import Failure
from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.checks.finders import Subject
from mab_pipeline.definitions import build_defs
from mab_pipeline.jobs import DAILY_ALLOCATION
from mab_pipeline.operations.dagster_home import DAGSTER_YAML
from mab_pipeline.resources import build_platform
from mab_store.allocation_payload import allocation_bodies
from mab_store.clock import Clock
from mab_store.days import Days
from mab_store.experiments.schemas import experiment_id_of
from mab_store.settings import Settings, load_settings
from mab_store.warehouse.reader import open_reader
from mab_store.warehouse.table_schema import declared_tables
from tests.integration.api import servers
from tests.integration.command_line import CommandLine

Row = dict[str, Any]
# What two runs of the same thing may differ in.
VOLATILE = {
    "run_id",
    "computed_at",
    "published_at",
    "held_at",
    "analysed_at",
    "received_at",
    "loaded_at",
    "updated_at",
}
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")


class FakeClock:
    """A clock that stands until it is read; each reading is a millisecond later than the last."""

    def __init__(self, now: str) -> None:
        self.set(now)

    def set(self, now: str) -> None:
        self.now = datetime.fromisoformat(now)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@dg.logger
def silent(_context: dg.InitLoggerContext) -> logging.Logger:
    logger = logging.Logger("silent")  # noqa: LOG001  # Dagster wants one of our own
    logger.addHandler(logging.NullHandler())
    return logger


class World:
    """A MAB_HOME, and what a test does with it."""

    def __init__(
        self,
        home: Path,
        *,
        now: str = "2025-03-20T02:00:00",
        clock: Clock | None = None,
        **settings: object,
    ) -> None:
        self.home = home
        self.dropped = 1_700_000_000
        self.clock = clock or FakeClock(now)
        self.settings = load_settings(mab_home=home, _env_file=None, **settings)
        self.platform = build_platform(self.settings, clock=self.clock)

    @cached_property
    def instance(self) -> dg.DagsterInstance:
        """Dagster's records of this world; a test that starts no run does not pay for them."""
        return dg.DagsterInstance.ephemeral()

    @cached_property
    def job(self) -> dg.JobDefinition:
        """The daily job on this world's platform, for any day, whatever has come in by now."""
        first = self.settings.mab_start_date
        defs = build_defs(platform=self.platform, run_logger=silent, first=first)
        return defs.resolve_job_def(DAILY_ALLOCATION)

    # What comes in

    def register(
        self, name: str, *variants: str, created: str = "2025-01-01T00:00:00Z", **more: object
    ) -> str:
        """Register an experiment; the first variant is the control."""
        names = variants or ("control", "variant_a")
        body = {
            "experiment_id": experiment_id_of(name),
            "created_at": created,
            "name": name,
            "variants": [{"name": v, "is_control": v == names[0]} for v in names],
            **more,
        }
        self.drop(f"experiments/{body['experiment_id']}/registered.json", json.dumps(body))
        return str(body["experiment_id"])

    def change(self, name: str, at: str, **what: object) -> None:
        body = {"experiment_id": experiment_id_of(name), "created_at": at, **what}
        stamp = at.replace(":", "")
        self.drop(f"experiments/{body['experiment_id']}/{stamp}.json", json.dumps(body))

    def drop(self, source_file: str, content: str | bytes) -> None:
        """Put a file into the inbox as a person would, replacing one that is there.

        Each says that it was written a second after the one before: the order of corrections may
        not depend on the machine.
        """
        path = self.inbox / source_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.dropped += 1
        os.utime(path, (self.dropped, self.dropped))

    def metrics(self, day: str, *rows: tuple[object, ...], name: str = "export.csv") -> str:
        """Drop a CSV of (experiment, variant, impressions, clicks) for a day; return its name."""
        lines = [",".join(map(str, row)) for row in rows]
        text = "\n".join(["experiment,variant_name,impressions,clicks", *lines, ""])
        self.drop(f"metrics/{day}/{name}", text)
        return f"metrics/{day}/{name}"

    @property
    def inbox(self) -> Path:
        return self.home / "inbox"

    # What is done

    def run(
        self,
        first: str,
        last: str | None = None,
        *,
        assets: tuple[str, ...] = (),
        republish: bool = False,
        accept_variant_gap: bool = False,
        fails: bool = False,
    ) -> dg.ExecuteInProcessResult:
        """Run the daily job for a day or a range, as Dagster runs it."""
        config: Row = {"loggers": {"progress": {}}}
        if republish or accept_variant_gap:
            asked = {"republish": republish, "accept_variant_gap": accept_variant_gap}
            config["ops"] = {"publication": {"config": asked}}
        result = self.job.execute_in_process(
            instance=self.instance,
            partition_key=None if last else first,
            tags=dict(zip(RANGE, (first, last), strict=True)) if last else None,
            run_config=config,
            raise_on_error=not fails,
            asset_selection=[dg.AssetKey(name) for name in assets] or None,
        )
        assert result.success is not fails
        return result

    def run_checks(
        self, asset: str, first: str, last: str | None = None, *, fails: bool = False
    ) -> dg.ExecuteInProcessResult:
        """Run the checks of an asset alone."""
        checks = {dg.AssetCheckKey(dg.AssetKey(asset), check.name) for check in CHECKS[asset]}
        job = self.job.get_subset(asset_selection=set(), asset_check_selection=checks)
        result = job.execute_in_process(
            instance=self.instance,
            partition_key=None if last else first,
            tags=dict(zip(RANGE, (first, last), strict=True)) if last else None,
            run_config={"loggers": {"progress": {}}},
            raise_on_error=False,
        )
        assert result.success is not fails
        return result

    def find(self, asset: str, check: str, first: str, last: str | None = None) -> list[Failure]:
        """Return what one check finds."""
        days = Days(date.fromisoformat(first), date.fromisoformat(last or first) + timedelta(1))
        (found,) = [c for c in CHECKS[asset] if c.name == check]
        with Subject.opened(self.platform, days, self.instance, asset) as subject:
            return found.find(subject)

    # What came of it

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Look into the warehouse, or corrupt it, behind the pipeline's back."""
        with duckdb.connect(self.settings.warehouse_path) as connection:
            return connection.execute(sql, values).fetchall()

    def table(self, name: str, *, volatile: bool = False) -> list[Row]:
        """Return the rows of a table in the order of its grain."""
        columns = [
            column.name
            for column in declared_tables()[name].columns
            if volatile or column.name not in VOLATILE
        ]
        rows = self.query(f"select {', '.join(columns)} from {name}")
        return sorted((dict(zip(columns, row, strict=True)) for row in rows), key=str)

    def tables(self, *, volatile: bool = False) -> dict[str, list[Row]]:
        """Return every table but what is noted only to save time."""
        names = [name for name in declared_tables() if name != "judged_days"]
        return {name: self.table(name, volatile=volatile) for name in names}

    def shares(self, experiment: str, day: str) -> dict[str, float]:
        """Return each variant's share of the newest decision of a day, in percent."""
        rows = self.query(
            "select variant_name, allocation_hundredths / 100 from allocations where "
            "experiment_id = ? and as_of_date = ? qualify computed_at = max(computed_at) over ()",
            experiment_id_of(experiment),
            day,
        )
        return dict(rows)

    def windows(self, experiment: str, day: str) -> dict[str, tuple[Any, ...]]:
        """Return what the rule sees of each variant: source, days observed, impressions, clicks."""
        rows = self.query(
            "select variant_name, data_source, days_observed, impressions, clicks from "
            "windowed_aggregates where experiment_id = ? and as_of_date = ?",
            experiment_id_of(experiment),
            day,
        )
        return {row[0]: row[1:] for row in rows}

    def bodies(self, day: str | None = None) -> dict[str, Row]:
        """Return what readers are served, by experiment name."""
        now = self.clock()
        parameters = {"today": now.date(), "as_of_date": day}
        with open_reader(self.settings) as copy:
            rows = copy.fetch_arrow("serving/published_allocations", parameters)
        bodies = allocation_bodies(rows, settings=self.settings, now=now)
        return {body["experiment_name"]: body for body in bodies}

    def published(self, experiment: str) -> list[tuple[str, bool]]:
        """Return (as-of day, was live) of every publication, oldest first."""
        rows = self.query(
            "select cast(as_of_date as varchar), was_live from publications "
            "where experiment_id = ? order by published_at, as_of_date",
            experiment_id_of(experiment),
        )
        return [(day, was_live) for day, was_live in rows]


def materialized(result: dg.ExecuteInProcessResult, asset: str) -> list[str]:
    """Return the partitions of an asset that a run materialised, ascending."""
    return sorted(
        event.partition or ""
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset)
    )


def evaluations(
    result: dg.ExecuteInProcessResult, asset: str, check: str
) -> dict[str | None, dg.AssetCheckEvaluation]:
    """Return a run's evaluations of a check by their partition (None: Dagster's own of a range)."""
    found = {}
    for event in result.all_events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            evaluation = event.asset_check_evaluation_data
            if evaluation.asset_key == dg.AssetKey(asset) and evaluation.check_name == check:
                found[evaluation.partition] = evaluation
    return found


@pytest.fixture(scope="session")
def mab() -> Callable[..., CommandLine]:
    """Return a command line: `mab(home, PRIOR_ALPHA="0")("run", "--date", day)`."""
    return lambda home, **settings: CommandLine(home, settings)


@pytest.fixture(scope="session", name="materialized")
def _materialized() -> Callable[..., list[str]]:
    return materialized


@pytest.fixture(scope="session", name="evaluations")
def _evaluations() -> Callable[..., dict[str | None, dg.AssetCheckEvaluation]]:
    return evaluations


@pytest.fixture(autouse=True, scope="module")
def clean_environment(tmp_path_factory) -> Iterator[pytest.MonkeyPatch]:
    """No setting comes from the environment; Dagster keeps its history in a temporary folder."""
    with pytest.MonkeyPatch.context() as patch:
        for name in Settings.model_fields:
            patch.delenv(name.upper(), raising=False)
        home = tmp_path_factory.mktemp("dagster")
        (home / "dagster.yaml").write_text(DAGSTER_YAML)
        patch.setenv("DAGSTER_HOME", str(home))
        yield patch


@pytest.fixture(autouse=True, scope="session")
def migrations_are_read_once() -> Iterator[None]:
    """Alembic loads 89 scripts for each new store of Dagster; once for all tests is enough."""
    read, known = ScriptDirectory.from_config, dict[str | None, ScriptDirectory]()

    def from_config(config: Config) -> ScriptDirectory:
        place = config.get_main_option("script_location")
        return known.setdefault(place, known.get(place) or read(config))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ScriptDirectory, "from_config", from_config)
        yield


@pytest.fixture(scope="module")
def make_world(tmp_path_factory) -> Callable[..., World]:
    """Make worlds: `make_world(now=..., **settings)`."""

    def make(**options: Any) -> World:
        return World(tmp_path_factory.mktemp("home"), **options)

    return make


@pytest.fixture
def world(make_world) -> World:
    """A world of the test's own; it is the night after 2025-03-19."""
    return make_world()


@pytest.fixture
def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    return servers.free_port()
