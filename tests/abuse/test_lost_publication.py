"""A run or a rebuild that would take from readers what they are served."""

import shutil

import pytest
from typer.testing import CliRunner

from mab_pipeline.alerts.conditions import notices_of_run
from mab_pipeline.allocation.publish import serve
from mab_pipeline.cli.main import app
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.errors import PublicationRefusedError, UsageError
from mab_store.warehouse.duckdb.published_copies import current_copy
from tests.integration.steps import run

DAYS = ("2025-03-17", "2025-03-18")


@pytest.fixture(scope="module")
def decided(make_world):
    world = make_world(now="2025-03-19T02:00:00")
    for name in ("checkout", "banner"):
        world.register(name)
        for day in DAYS:
            world.metrics(
                day, (name, "control", 300, 3), (name, "variant_a", 300, 9), name=name + ".csv"
            )
    run(world, *DAYS)
    return world


@pytest.fixture
def world(decided, make_world):
    world = make_world(now="2025-03-19T03:00:00")
    shutil.copytree(decided.home, world.home, dirs_exist_ok=True)
    return world


EXPERIMENT = "(select min(experiment_id) from publications)"
# What goes missing from the warehouse, and how the refusal speaks of it.
LOSSES = {
    "everything": ("delete from publications", "published experiments gone: 2"),
    "an experiment's decisions": (
        f"delete from publications where experiment_id = {EXPERIMENT}",
        "published experiments gone: 1",
    ),
    "an experiment's registration": (
        f"delete from experiments where experiment_id = {EXPERIMENT}",
        "published experiments gone: 1",
    ),
    "the newest day of all": (
        f"delete from publications where as_of_date = '{DAYS[1]}'",
        "published history shorter: 2",
    ),
    "an older day of one": (
        f"delete from publications where as_of_date = '{DAYS[0]}' and experiment_id = {EXPERIMENT}",
        "published history shorter: 1",
    ),
}


@pytest.mark.parametrize(("statement", "words"), LOSSES.values(), ids=LOSSES)
def test_a_copy_that_lacks_what_is_served_is_refused_unless_the_loss_is_accepted(
    statement, words, world
):
    served = current_copy(world.settings.published_dir)
    before = sorted(world.settings.published_dir.iterdir())
    world.query(statement)
    with pytest.raises(PublicationRefusedError, match=words) as refused:
        world.platform.warehouse.publish_copy()
    assert served.name in str(refused.value)
    assert "`mab rebuild`" in str(refused.value)
    assert "--accept-loss" in str(refused.value)
    assert sorted(world.settings.published_dir.iterdir()) == before
    world.platform.warehouse.publish_copy(accept_loss=True)
    assert current_copy(world.settings.published_dir) != served
    world.platform.warehouse.publish_copy()  # nothing more is lost


def test_what_only_grows_or_changes_is_published(world):
    world.query("update publications set buckets = '{}'")
    world.query(
        "insert into publications select as_of_date + 1, * exclude as_of_date from publications"
    )
    world.platform.warehouse.publish_copy()


def test_a_served_copy_that_cannot_be_read_stands_in_nobody_s_way(world):
    current_copy(world.settings.published_dir).write_bytes(b"x" * 100)
    world.query("delete from publications")
    world.platform.warehouse.publish_copy()


def test_a_home_that_lost_warehouse_and_journal_runs_but_takes_nothing_from_readers(world):
    served = world.bodies()
    for path in world.home.glob("warehouse.duckdb*"):
        path.unlink()
    shutil.rmtree(world.home / "journal")
    result = world.run(DAYS[1], fails=True)
    (notice,) = notices_of_run(world.instance, result.dagster_run)
    assert notice.cause == "publication_refused"
    assert "published history shorter: 2" in notice.text
    assert world.bodies() == served
    with pytest.raises(PublicationRefusedError):
        serve(world.platform)
    with pytest.raises(PublicationRefusedError):
        rebuild(world.platform)
    rebuild(world.platform, accept_loss=True)
    assert set(world.bodies()) == set(served)


def test_a_person_who_asks_for_it_by_name_gets_it(world, mab):
    world.query("delete from publications")
    shutil.rmtree(world.home / "journal")
    code, _, err = mab(world.home)("run", "--date", DAYS[1], "--accept-loss")
    assert code == 0, err
    assert b"accepts_loss" in (world.settings.published_dir / "current.json").read_bytes()
    kept = "select count(*) as n, count(previous_as_of_date) as before from current_publications"
    assert world.query(kept) == [(2, 0)]  # of the deleted days nothing is remembered


def test_a_run_that_publishes_nothing_does_not_take_the_option():
    result = CliRunner().invoke(app, ["run", "--windows", "--accept-loss"])
    assert isinstance(result.exception, UsageError)
    assert "publishes nothing" in str(result.exception)
