"""A newer copy that lost served data is not served, unless a person said that it may."""

import json
import shutil
from collections.abc import Callable
from datetime import timedelta

import orjson
import pytest

from mab_store.experiments.schemas import experiment_id_of
from mab_store.warehouse.duckdb.published_copies import next_copy_name
from tests.integration.api.homes import TODAY, YESTERDAY, Home
from tests.integration.api.test_failures import metric, warnings

FIRST = experiment_id_of("experiment_000")
ALLOCATION = f"/experiments/{FIRST}/allocation"
TABLES = ("experiments", "variants", "allocations", "publications", "daily_metrics")


def execute(home: Home, *statements: str) -> None:
    with home.platform.warehouse.transaction() as transaction:
        for statement in statements:
            transaction._connection.execute(statement)


def empty_world(home):
    execute(home, *(f"delete from {table}" for table in TABLES))


def registrations_gone(home):
    execute(home, "delete from experiments", "delete from variants")


def one_registration_gone(home):
    execute(home, f"delete from experiments where experiment_id = '{FIRST}'")


def one_without_publications(home):
    execute(home, f"delete from publications where experiment_id = '{FIRST}'")


def decisions_gone(home):
    execute(home, "delete from allocations")


def older_warehouse(home):
    execute(home, f"delete from publications where as_of_date = date '{YESTERDAY}'")


def a_day_in_the_middle_gone(home):
    day = YESTERDAY - timedelta(days=4)
    execute(home, f"delete from publications where as_of_date = date '{day}'")


def began_anew_and_ran_a_day(home):
    """A lost warehouse, and then the schedule."""
    execute(home, "delete from allocations", "delete from publications")
    home.pointer.unlink()  # with it, the pipeline would refuse to publish that
    home.clock.now += timedelta(days=1)
    home.publish(TODAY)


LOSSES = [
    empty_world,
    registrations_gone,
    one_registration_gone,
    one_without_publications,
    decisions_gone,
    older_warehouse,
    a_day_in_the_middle_gone,
    began_anew_and_ran_a_day,
]


@pytest.fixture
def ten_days(templates, tmp_path) -> Home:
    return templates["ten_days"].clone(tmp_path / "ten_days")


@pytest.fixture
def losing(ten_days, tmp_path) -> Callable:
    """Lose something in a twin, so that the home itself stays whole."""

    def lose(loss: Callable[[Home], object]) -> str:
        twin = ten_days.clone(tmp_path / "twin")
        loss(twin)
        name = next_copy_name(ten_days.settings.published_dir)
        shutil.copyfile(twin.settings.warehouse_path, ten_days.settings.published_dir / name)
        return name

    return lose


def point(home: Home, name: str, **fields: object) -> None:
    home.pointer.write_text(json.dumps({"file": name} | fields))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_it_is_refused_and_said_until_a_whole_one_comes(ten_days, losing, start, loss):
    api = start(ten_days)
    good, whole_list = api.get(ALLOCATION), api.get("/allocations")
    name = losing(loss)
    point(ten_days, name)

    for _ in range(2):
        assert not api.refresh()
        assert api.get(ALLOCATION).content == good.content
        assert api.get("/allocations").content == whole_list.content
    ready = api.get("/readyz")
    assert ready.status_code == 200
    assert ready.json()["refused"]["version"] == name
    assert FIRST in ready.json()["refused"]["reason"]
    assert metric(api, "mab_publication_refused") == 1
    (warning,) = warnings(api)
    assert f"{name} lost served data" in warning["reason"]
    assert "--accept-loss" in warning["reason"]

    ten_days.clock.now += timedelta(days=1)
    ten_days.publish(TODAY)
    assert api.refresh()
    assert api.get(ALLOCATION).json()["as_of_date"] == str(TODAY)
    assert api.get("/readyz").json()["refused"] is None
    assert metric(api, "mab_publication_refused") == 0


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.__name__)
def test_it_is_served_once_a_person_said_so(ten_days, losing, start, loss):
    api = start(ten_days)
    name = losing(loss)
    point(ten_days, name)
    assert not api.refresh()

    point(ten_days, name, accepts_loss=True)
    assert api.refresh()

    assert api.get("/readyz").json()["refused"] is None
    assert warnings(api)[-1]["event"] == "accepted a loss"


@pytest.mark.parametrize("field", [False, "true", 1, None])
def test_only_true_says_so(ten_days, losing, start, field):
    api = start(ten_days)
    point(ten_days, losing(empty_world), accepts_loss=field)

    assert not api.refresh()


def test_a_refused_copy_is_read_once_and_the_pointer_may_go_back(ten_days, losing, start):
    api = start(ten_days)
    first = json.loads(ten_days.pointer.read_bytes())["file"]
    refresher, orders = api.app.state.serving.refresher, []
    read = refresher._read

    def counting(order, stopping):
        orders.append(order.name)
        return read(order, stopping)

    refresher._read = counting
    name = losing(one_registration_gone)
    point(ten_days, name)
    for _ in range(3):
        assert not api.refresh()
    assert orders == [name]

    point(ten_days, first)
    assert api.refresh()
    assert orders == [name]
    assert api.get("/readyz").json()["refused"] is None


def test_a_finished_experiment_is_no_loss(ten_days, start):
    api = start(ten_days)
    execute(ten_days, f"update experiments set status = 'finished' where experiment_id = '{FIRST}'")
    ten_days.clock.now += timedelta(days=1)
    ten_days.publish(TODAY, only=[name for name in ten_days.variants if name != FIRST])

    assert api.refresh()

    assert orjson.loads(api.get(ALLOCATION).content)["status"] == "finished"


def test_the_first_load_takes_what_there_is(ten_days, losing, start):
    point(ten_days, losing(one_registration_gone))

    api = start(ten_days)

    assert api.get("/readyz").json()["experiments"] == len(ten_days.variants) - 1
