"""Files, events, runs, sensor ticks and rebuilds in any order: always the tables of a rebuild."""

import random
from collections.abc import Callable
from datetime import date, timedelta

import pytest

from mab_pipeline.allocation.publish import Order, publish
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.assets.allocations import allocate
from mab_pipeline.ingestion.judged_days import changed_days
from mab_pipeline.ingestion.late_data import find_arrivals, plan_runs
from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_pipeline.operations.prune import _prune_tables
from mab_pipeline.recovery.rebuild import rebuild
from mab_pipeline.resources import build_platform
from mab_store.days import Days
from mab_store.warehouse.warehouse import rolled_back
from tests.integration.conftest import World
from tests.integration.test_sensors import tick

FIRST = date(2025, 3, 1)
DAYS = 12
OPTIONS = {"default_window_days": 2, "max_window_days": 3, "max_data_gap_days": 365}
NAMES = ("a", "b", "late")
FUNCTIONS_OF_THE_INBOX = (
    "inbox_files", "experiments", "variants", "raw_metrics", "daily_metrics", "windowed_aggregates",
)  # fmt: skip


def inputs(world: World, table: str) -> list[tuple]:
    return sorted(world.query(f"select * from {table}"), key=str)


def stale_windows(world: World) -> list[tuple]:
    """Return the rows of windows that a fresh computation gives otherwise, over all made days."""
    rule = RuleSettings.of(world.settings).window_parameters
    days = {"start_date": FIRST, "end_date": FIRST + timedelta(days=DAYS)}
    with rolled_back(world.platform.warehouse) as transaction:
        before = transaction.fetch_arrow("assets/allocations_inputs", days).to_pylist()
        transaction.execute("assets/windowed_aggregates", days | rule)
        after = transaction.fetch_arrow("assets/allocations_inputs", days).to_pylist()
    made = {row["as_of_date"] for row in before}
    sides = ({tuple(row.values()) for row in rows} for rows in (before, after))
    return sorted((row for row in set.symmetric_difference(*sides) if row[0] in made), key=str)


def overlooked(world: World) -> set[date]:
    """Return the days, of all, that what is noted of them hides from those who should see them.

    They are out of date and would not be judged, or the next registration would not look there for
    the names that nobody knows yet.
    """
    days = Days(FIRST, FIRST + timedelta(days=DAYS))
    with world.platform.warehouse.reading() as queries:
        stale = queries.fetch_arrow("assets/daily_metrics_stale_days", days.parameters)
        unknown = queries.fetch_arrow("follow_up/unknown_names", days.parameters)
        read = queries.fetch_arrow("follow_up/days_with_unknown_names")
        judged = changed_days(queries, days)
    unjudged = set(stale["metric_date"].to_pylist()) - set(judged)
    return unjudged | set(unknown["metric_date"].to_pylist()) - set(read["metric_date"].to_pylist())


def run_assets(world: World, first: date, last: date, *, decides: bool = True) -> None:
    """Do what the assets of a run do, without Dagster around them: it takes a second a run."""
    days, platform = Days(first, last + timedelta(days=1)), world.platform
    load_experiments(platform)
    load_raw_metrics(platform, days)
    load_daily_metrics(platform, days)
    if decides:
        window = RuleSettings.of(platform.settings).window_parameters
        with platform.warehouse.transaction() as transaction:
            transaction.execute("assets/windowed_aggregates", days.parameters | window)
        run_id = f"{platform.clock():%H%M%S%f}"  # names the run's entry in the journal
        allocate(platform, days, run_id=run_id)
        publish(platform, days, Order(run_id))


def run_job(world: World, first: date, last: date) -> None:
    world.run(str(first), str(last))


def tick_assets(world: World) -> bool:
    """Do what the inbox sensor asks for; say whether it asked for anything."""
    arrivals = find_arrivals(world.platform)
    if not arrivals.metrics and not arrivals.events:
        return False
    plan = plan_runs(world.platform, arrivals)
    if plan.decide:
        run_assets(world, *plan.decide)
    if plan.audit:
        run_assets(world, *plan.audit, decides=False)
    return bool(plan.decide or plan.audit)


class Walk:
    """What may happen next, chosen by a seeded generator.

    Args:
        world: Where it happens.
        seed: Of the generator.
        run: How days are run.
        ticks: How the sensor is served.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        *,
        run: Callable[[World, date, date], None] = run_assets,
        ticks: Callable[[World], object] = tick_assets,
    ) -> None:
        self.world, self.chance = world, random.Random(seed)
        self.run_days, self.ticks = run, ticks
        self.files = 0
        self.done: list[str] = []
        world.register("a", created="2025-02-20T00:00:00Z")
        world.register("b", created="2025-02-20T00:00:00Z", start_date="2025-03-04")

    @property
    def yesterday(self) -> date:
        return self.world.clock.now.date() - timedelta(days=1)

    def acts(self) -> list[Callable[[], None]]:
        return [
            *[self.file] * 4, *[self.run] * 4, *[self.time_passes] * 4, *[self.run_range] * 2,
            *[self.tick] * 2, *[self.event] * 2, self.correction,
        ]  # fmt: skip

    def step(self) -> None:
        act = self.chance.choice(self.acts())
        self.done.append(act.__name__)
        act()
        self.check()

    def check(self) -> None:
        assert stale_windows(self.world) == [], self.done
        assert overlooked(self.world) == set(), self.done

    def day(self) -> date:
        return FIRST + timedelta(days=self.chance.randrange((self.yesterday - FIRST).days + 1))

    def file(self) -> None:
        self.files += 1
        rows = [
            (name, variant, self.chance.randrange(150, 300), self.chance.randrange(9))
            for name in self.chance.sample(NAMES, 2)
            for variant in ("control", "variant_a", "new")
        ]
        self.world.metrics(str(self.day()), *rows, name=f"{self.chance.random()}.csv")

    def correction(self) -> None:
        found = sorted(self.world.inbox.glob("metrics/*/*.csv"))
        if found:
            path = self.chance.choice(found)
            path.write_text(path.read_text().replace(",1", ",2"))

    def event(self) -> None:
        at = f"{self.day()}T1{self.chance.randrange(10)}:00:00Z"
        what = self.chance.randrange(4)
        if what == 0:
            self.world.register("late", created=at)
        elif what == 1:
            self.world.change("a", at, status=self.chance.choice(["paused", "running"]))
        elif what == 2:
            self.world.change("b", at, add_variants=["new"])
        else:
            self.world.change("b", at, retire_variants=["variant_a"])

    def run(self) -> None:
        day = self.day()
        self.run_days(self.world, day, day)

    def run_range(self) -> None:
        first, last = sorted((self.day(), self.day()))
        self.run_days(self.world, first, last)

    def tick(self) -> None:
        self.ticks(self.world)

    def time_passes(self) -> None:
        now = self.world.clock.now + timedelta(days=1)
        if now.date() <= FIRST + timedelta(days=DAYS):
            self.world.clock.set(now.isoformat())

    def end(self) -> None:
        """Load the rest, as the sensor does, and compare with what a rebuild makes."""
        while self.ticks(self.world):
            assert stale_windows(self.world) == [], self.done
        before = {name: inputs(self.world, name) for name in FUNCTIONS_OF_THE_INBOX}
        rebuild(self.world.platform)
        for name, rows in before.items():
            assert inputs(self.world, name) == rows, (name, self.done)


class HardWalk(Walk):
    """A walk on which more happens: what an operator does, and what should not happen."""

    def acts(self) -> list[Callable[[], None]]:
        return [
            *super().acts(), *[self.take_away] * 2, *[self.put_back] * 2, self.clock_goes_back,
            self.prune, self.other_settings, self.edit, *[self.killed] * 2, self.rebuild,
        ]  # fmt: skip

    def check(self) -> None:
        assert overlooked(self.world) == set(), self.done

    def take_away(self) -> None:
        if found := sorted(self.world.inbox.glob("metrics/*/*.csv")):
            path = self.chance.choice(found)
            path.rename(path.with_name(f".{path.name}"))

    def put_back(self) -> None:
        if found := sorted(self.world.inbox.glob("metrics/*/.*.csv")):
            path = self.chance.choice(found)
            path.rename(path.with_name(path.name[1:]))

    def clock_goes_back(self) -> None:
        now = self.world.clock.now - timedelta(days=2)
        if now.date() > FIRST:
            self.world.clock.set(now.isoformat())

    def prune(self) -> None:
        _prune_tables(self.world.platform, self.day(), apply=True)

    def other_settings(self) -> None:
        changed = {"max_window_days": self.chance.choice([2, 3, 9])}
        settings = self.world.settings.model_copy(update=changed)
        self.world.platform = build_platform(settings, clock=self.world.clock)

    def edit(self) -> None:
        self.world.query(
            self.chance.choice([
                "update daily_metrics set clicks = clicks + 1 where metric_date = ?",
                "update raw_metrics set clicks = '7' where metric_date = ?",
                "delete from daily_metrics where metric_date = ?",
                "delete from judged_days where metric_date = ?",
            ]),
            self.day(),
        )  # fmt: skip

    def killed(self) -> None:
        """End a run between the two tables."""
        load_raw_metrics(self.world.platform, Days(FIRST, self.day() + timedelta(days=1)))

    def rebuild(self) -> None:
        rebuild(self.world.platform, accept_loss=True)

    def end(self) -> None:
        last = self.yesterday
        run_assets(self.world, FIRST, last, decides=False)
        days = Days(FIRST, last + timedelta(days=1)).parameters
        with self.world.platform.warehouse.reading() as queries:
            stale = queries.fetch_arrow("assets/daily_metrics_stale_days", days)
        assert stale["metric_date"].to_pylist() == [], self.done


@pytest.fixture
def empty(make_world) -> World:
    return make_world(now="2025-03-04T02:00:00", mab_start_date=FIRST, **OPTIONS)


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_what_can_happen_ends_in_the_tables_of_a_rebuild(empty, seed):
    walk = Walk(empty, seed)
    for _ in range(20):
        walk.step()
    walk.end()
    for _ in range(5):  # beginning with what a rebuild left
        walk.step()


def test_so_it_does_in_dagster_s_runs_and_the_sensor_s(empty):
    walk = Walk(empty, seed=99, run=run_job, ticks=tick)
    for _ in range(8):
        walk.step()
    walk.end()


def test_whatever_is_done_no_day_that_is_out_of_date_is_overlooked(empty):
    walk = HardWalk(empty, seed=100)
    for _ in range(20):
        walk.step()
    walk.end()
