"""Current rows, kept run by run, are those that all of history gives."""

import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta

import duckdb
import pytest

from mab_store.warehouse.duckdb.published_copies import PublishedCopy
from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables
from tests.unit.sql.test_sql_cases import to_arrow

FIRST = date(2025, 1, 1)
NOON = datetime(2025, 6, 1, 12)  # noqa: DTZ001  # the warehouse holds naive UTC
EXPERIMENTS = [f"exp_{number}" for number in range(6)]
DAYS = [FIRST + timedelta(days=number) for number in range(5)]
CURRENT = ("current_publications", "current_holds", "current_analyses")
Row = dict[str, object]
Key = tuple[date, datetime]


class History:
    """Rows of runs, in the tables and as Python values."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        for name in SCHEMA_FILES:
            for statement in load_sql(name):
                connection.execute(statement.text)
        self.publications: list[Row] = []
        self.holds: list[Row] = []
        self.analyses: list[Row] = []

    def run(self, chance: random.Random, number: int) -> None:
        """Write what one run could: each day and experiment is published, held back, or neither."""
        stamp = NOON + timedelta(seconds=number)
        published, held, analysed = [], [], []
        for name in EXPERIMENTS:
            for day in chance.sample(DAYS, chance.randint(0, 2)):
                key: Row = {"experiment_id": name, "as_of_date": day}
                if chance.random() < 0.6:
                    made = key | {"published_at": stamp, "allocation_id": f"{chance.random()}"}
                    published.append(made)
                else:
                    reasons = chance.sample(["data_gap", "shares", "variant_gap"], 2)
                    made = key | {"held_at": stamp, "detail": f"{chance.random()}"}
                    held += [made | {"reason": reason} for reason in reasons]
                if chance.random() < 0.8:
                    analysed.append(key | {"analysed_at": stamp, "analysis": f"{chance.random()}"})
        self.publications += published
        self.holds += held
        self.analyses += analysed
        self._load("publications", published)
        self._load("publication_holds", held)
        self._load("analysis", analysed)
        if published or held:
            transaction = DuckDBTransaction(self.connection)
            transaction.execute("assets/publication_current", {"stamp": stamp})

    def refill(self) -> None:
        """Forget the current rows, and find them in all of history."""
        for table in CURRENT:
            self.connection.execute(f"delete from {table}")
        DuckDBTransaction(self.connection).execute("schema/02_fill_current")

    def stored(self) -> list[list[tuple[object, ...]]]:
        """Return the rows of the three tables, without the time of writing."""
        return [
            self.connection.sql(
                f"select * exclude (updated_at) from {table} order by experiment_id"
            ).fetchall()
            for table in CURRENT
        ]

    def expected(self) -> list[list[tuple[object, ...]]]:
        """Work out the same from the Python values."""
        publications, holds, analyses = [], [], []
        for name in EXPERIMENTS:
            own = sorted(
                (r for r in self.publications if r["experiment_id"] == name),
                key=lambda row: (row["as_of_date"], row["published_at"]),
            )
            last = {row["as_of_date"]: row for row in own}
            newest, *before = [last[day] for day in sorted(last, reverse=True)] or [None]
            if newest:
                previous = before[0] if before else {"as_of_date": None, "allocation_id": None}
                values = [newest[k] for k in ("as_of_date", "published_at", "allocation_id")]
                publications.append(
                    (name, *values, previous["as_of_date"], previous["allocation_id"])
                )
            since = (newest["as_of_date"], newest["published_at"]) if newest else None
            found = [
                (r["as_of_date"], r["held_at"], r["reason"], r["detail"])
                for r in self.holds
                if r["experiment_id"] == name
                and (since is None or (r["as_of_date"], r["held_at"]) > since)
            ]
            holds += [(name, *row) for row in sorted(found)[-1:]]
            seen = [
                (r["as_of_date"], r["analysed_at"])
                for r in self.analyses
                if r["experiment_id"] == name
            ]
            analyses += [(name, *row) for row in sorted(seen)[-1:]]
        return [publications, holds, analyses]

    def _load(self, table: str, rows: list[Row]) -> None:
        if rows:
            DuckDBTransaction(self.connection).load_arrow(
                table, to_arrow(declared_tables()[table], rows)
            )


@pytest.fixture
def history() -> Iterator[History]:
    with duckdb.connect() as connection:
        yield History(connection)


@pytest.mark.parametrize("seed", range(5))
def test_after_each_run_and_filled_at_once_it_is_the_newest_of_all(history, seed):
    chance = random.Random(seed)
    for number in range(8):
        history.run(chance, number)
        assert history.stored() == history.expected()
    assert all(history.stored())
    DuckDBTransaction(history.connection).execute("schema/02_fill_current")
    assert history.stored() == history.expected()  # present rows stay as they are
    history.refill()
    assert history.stored() == history.expected()


def test_a_copy_of_an_older_version_is_read_with_the_same_answers(history):
    chance = random.Random(1)
    for number in range(8):
        history.run(chance, number)
    views = [f"served_{table}" for table in CURRENT]
    views += ["served_published_months", "served_observed_months"]
    shown = [history.connection.sql(f"select * from {v} order by all").fetchall() for v in views]
    for view in views:
        history.connection.execute(f"drop view {view}")
    for table in CURRENT:
        history.connection.execute(f"drop table {table}")
    for reader in (copy := PublishedCopy(history.connection, "old"), copy.branch()):
        found = [
            reader._connection.sql(f"select * from {v} order by all").fetchall() for v in views
        ]
        assert found == shown
