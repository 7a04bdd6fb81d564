"""A world on an engine: a MAB_HOME, the platform on it, the real Dagster job, and its tables."""

import os
from datetime import datetime, timedelta
from typing import Any

import dagster as dg
import duckdb
import pyarrow as pa

from mab_pipeline.definitions import build_defs
from mab_pipeline.jobs import DAILY_ALLOCATION
from mab_pipeline.resources import build_platform
from mab_store.settings import Settings
from mab_store.warehouse.snowflake.connection import connect_directly
from mab_store.warehouse.snowflake.statements import fetched
from mab_store.warehouse.table_schema import declared_tables
from tests.integration.conftest import RANGE, silent

Rows = list[dict[str, Any]]


class Clock:
    """A clock that is the same in every world: each reading is a millisecond later."""

    def __init__(self, now: str) -> None:
        self.now = datetime.fromisoformat(now)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


class World:
    """Everything of one engine."""

    def __init__(
        self, settings: Settings, *, now: str = "2025-03-01T02:00:00", with_schema: bool = True
    ) -> None:
        self.settings = settings
        self.dropped = 1_700_000_000
        self.clock = Clock(now)
        self.platform = build_platform(settings, clock=self.clock)
        if with_schema:
            self.platform.warehouse.create_schema()
        self.instance = dg.DagsterInstance.ephemeral()
        definitions = build_defs(platform=self.platform, run_logger=silent)
        self.job = definitions.resolve_job_def(DAILY_ALLOCATION)

    def drop(self, source_file: str, content: str | bytes) -> None:
        """Put a file into the inbox as a person would, written a second after the one before."""
        path = self.settings.mab_home / "inbox" / source_file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.dropped += 1
        os.utime(path, (self.dropped, self.dropped))

    def run(self, first: str, last: str | None = None) -> dg.ExecuteInProcessResult:
        """Run the daily job for a day or a range, as Dagster runs it."""
        result = self.job.execute_in_process(
            instance=self.instance,
            partition_key=None if last else first,
            tags=dict(zip(RANGE, (first, last), strict=True)) if last else None,
            run_config={"loggers": {"progress": {}}},
        )
        assert result.success
        return result

    def query(self, sql: str) -> pa.Table:
        """Look into the warehouse behind the pipeline's back."""
        if self.settings.mab_engine == "duckdb":
            with duckdb.connect(self.settings.warehouse_path) as connection:
                return connection.sql(sql).to_arrow_table()
        with connect_directly(self.settings)() as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return fetched(cursor)

    def table(self, name: str) -> Rows:
        """Return every row and value of a table but the run ids, in the order of its grain."""
        declared = declared_tables()[name]
        columns = [column.name for column in declared.columns if column.name != "run_id"]
        rows = self.query(f"select {', '.join(columns)} from {name}")
        assert rows.schema == pa.schema([declared.arrow_schema.field(c) for c in columns])
        return sorted(rows.to_pylist(), key=lambda row: [str(row[key]) for key in declared.grain])

    def tables(self) -> dict[str, Rows]:
        """Return every table but judged_days, for which each engine hashes in its own way."""
        return {name: self.table(name) for name in declared_tables() if name != "judged_days"}
