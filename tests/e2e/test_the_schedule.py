"""The schedule starts a run at its hour: a real daemon whose clock is set to just before it."""

from datetime import UTC, datetime, time, timedelta

import dagster as dg
import pytest

from mab_pipeline.allocation.publish import serve
from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_pipeline.operations.dagster_home import prepare_home
from mab_pipeline.runs.failures import cause_of
from mab_store.days import Days
from tests.drill.services import daemon, wait_until
from tests.e2e.shifted_clock import ShiftedClock
from tests.integration import conftest as worlds

clean_environment, make_world = worlds.clean_environment, worlds.make_world

HOUR = 2
NAME = "daily_allocation_schedule"
TODAY = datetime.now(UTC).date()
EVE = TODAY - timedelta(days=1)
# The night after today, which is over then: the shifted clock is ahead of the real one.
NIGHT = TODAY + timedelta(days=1)


def at(moment: time) -> datetime:
    return datetime.combine(NIGHT, moment)


@pytest.fixture(scope="module")
def world(make_world):
    """The eve is published, today's counts are loaded; the inbox sensor has nothing to ask for."""
    world = make_world(now=at(time(0, 30)).isoformat(), mab_start_date=EVE - timedelta(days=30))
    world.register("cta")
    for day in (EVE, TODAY):
        world.metrics(str(day), ("cta", "control", 1000, 30), ("cta", "variant_a", 1000, 40))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DAGSTER_HOME")
        prepare_home(world.settings)
        with dg.DagsterInstance.get() as instance:
            world.instance = instance
            world.run(str(EVE))
            load(world, Days(TODAY, NIGHT))
            yield world


def load(world, days: Days) -> None:
    """Load days that Dagster in this process takes for unfinished: its clock is the real one."""
    load_experiments(world.platform)
    load_raw_metrics(world.platform, days)
    load_daily_metrics(world.platform, days)
    serve(world.platform)


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    clock = ShiftedClock(tmp_path_factory.mktemp("clock") / "shift")
    clock.set(at(time(HOUR - 1)))
    return clock


@pytest.fixture(scope="module")
def service(world, clock):
    """Dagster's daemon an hour before the schedule's."""
    variables = {"MAB_SCHEDULE_HOUR": str(HOUR), "MAB_START_DATE": str(EVE - timedelta(days=30))}
    service = daemon(world.settings, **variables, **clock.environment)
    service.start()
    yield service
    service.end()


def scheduled(world) -> list[dg.DagsterRun]:
    return world.instance.get_runs(dg.RunsFilter(tags={"dagster/schedule_name": NAME}))


def is_known(world, service) -> bool:
    """Say whether the daemon has seen the schedule, and watches it from now on."""
    assert service.process.poll() is None, "the daemon ended"
    states = world.instance.schedule_storage.all_instigator_state()
    return NAME in {state.instigator_name for state in states}


def ticks(world) -> list[float]:
    """Return the times that the schedule was evaluated for [seconds since 1970]."""
    storage = world.instance.schedule_storage
    (state,) = [s for s in storage.all_instigator_state() if s.instigator_name == NAME]
    found = storage.get_ticks(state.instigator_origin_id, state.selector_id)
    return [tick.timestamp for tick in found]


def test_at_its_hour_utc_the_schedule_runs_the_day_that_ended_and_publishes_it(
    world, clock, service
):
    wait_until(lambda: is_known(world, service), "the daemon watches the schedule")
    assert scheduled(world) == []
    assert world.bodies()["cta"]["as_of_date"] == str(EVE)

    clock.set(at(time(HOUR - 1, 59, 58)))
    wait_until(lambda: scheduled(world) != [], "the schedule starts a run")
    wait_until(lambda: scheduled(world)[0].is_finished, "the run ends")

    (run,) = scheduled(world)
    assert run.is_success, cause_of(world.instance, run)
    assert run.tags["dagster/partition"] == str(TODAY)
    assert ticks(world) == [at(time(HOUR)).replace(tzinfo=UTC).timestamp()]
    assert world.bodies()["cta"]["as_of_date"] == str(TODAY)
    # The eve was decided in this night, when the day that it was for was over.
    assert world.published("cta") == [(str(EVE), False), (str(TODAY), True)]


@pytest.mark.usefixtures("service")
def test_on_the_next_night_it_runs_the_next_day(world, clock):
    wait_until(lambda: [run for run in scheduled(world) if run.is_finished], "the first has run")
    clock.set(at(time(HOUR)) + timedelta(days=1, seconds=-2))
    wait_until(lambda: len(scheduled(world)) == 2, "the schedule starts a second run")
    wait_until(lambda: scheduled(world)[0].is_finished, "it ends")
    assert [run.tags["dagster/partition"] for run in scheduled(world)] == [str(NIGHT), str(TODAY)]
