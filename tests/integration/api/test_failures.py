import re
import threading
from datetime import timedelta

import orjson
import pytest

from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.homes import NOW, TODAY
from tests.integration.api.servers import DEADLINE_SECONDS

FIRST = experiment_id_of("experiment_000")
ALLOCATION = f"/experiments/{FIRST}/allocation"


def remove_pointer(home):
    home.pointer.unlink()


def empty_pointer(home):
    home.pointer.write_bytes(b"")


def garbage_pointer(home):
    home.pointer.write_bytes(b'["serving"]')


def pointer_to_nothing(home):
    home.pointer.write_text('{"file": "serving-99.duckdb"}')


def pointer_out_of_the_folder(home):
    home.pointer.write_text('{"file": "../published"}')


def remove_the_copy(home):
    home.copies()[-1].unlink()


def remove_everything(home):
    for path in home.settings.published_dir.iterdir():
        path.unlink()
    home.settings.published_dir.rmdir()


def truncate_the_copy(home):
    path = home.copies()[-1]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def garbage_in_place_of_the_copy(home):
    home.copies()[-1].write_bytes(b"garbage" * 10_000)


def a_new_copy_of_garbage(home):
    (home.settings.published_dir / "serving-7.duckdb").write_bytes(b"\0" * 20_000)
    home.pointer.write_text('{"file": "serving-7.duckdb"}')


def a_new_copy_with_one_block_broken(home):
    home.clock.now += timedelta(hours=1)
    name = home.publish(TODAY)
    path = home.settings.published_dir / name
    content = bytearray(path.read_bytes())
    for offset in range(12_288, len(content), 50_000):
        content[offset : offset + 64] = b"\x55" * 64
    path.write_bytes(bytes(content))


def a_copy_whose_shares_do_not_add_up(home):
    home.clock.now += timedelta(hours=1)
    with home.platform.warehouse.transaction() as transaction:
        transaction._connection.execute(
            "update allocations set allocation_hundredths = allocation_hundredths + 1"
        )
    home.publish(TODAY)
    with home.platform.warehouse.transaction() as transaction:
        transaction._connection.execute(
            "update allocations set allocation_hundredths = allocation_hundredths + 1"
        )
    home.platform.warehouse.publish_copy()


DISASTERS = [
    remove_pointer,
    empty_pointer,
    garbage_pointer,
    pointer_to_nothing,
    pointer_out_of_the_folder,
    remove_the_copy,
    remove_everything,
    truncate_the_copy,
    garbage_in_place_of_the_copy,
    a_new_copy_of_garbage,
    a_new_copy_with_one_block_broken,
    a_copy_whose_shares_do_not_add_up,
]


def metric(api, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", api.get("/metrics").text, re.MULTILINE)
    assert found, name
    return float(found[1])


def warnings(api) -> list[dict[str, object]]:
    lines = [orjson.loads(line) for line in api.log.getvalue().splitlines()]
    return [line for line in lines if line["level"] == "warning"]


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda disaster: disaster.__name__)
def test_the_last_good_answer_goes_on(api, disaster):
    good, whole_list = api.get(ALLOCATION), api.get("/allocations")
    disaster(api.home)
    for _ in range(3):
        assert not api.refresh()
        assert api.get(ALLOCATION).content == good.content
        assert api.get("/allocations").content == whole_list.content
    assert metric(api, "mab_refresh_failures_total") == 3
    assert [line["event"] for line in warnings(api)] == ["refresh failed"]
    assert api.get("/readyz").status_code == 200
    api.home.clock.now = NOW + timedelta(days=2)
    assert not api.refresh()
    assert api.get(ALLOCATION).json() == good.json() | {"is_stale": True}


@pytest.mark.parametrize("disaster", DISASTERS, ids=lambda disaster: disaster.__name__)
def test_the_next_publication_heals_it(api, disaster):
    disaster(api.home)
    assert not api.refresh()
    api.home.clock.now += timedelta(days=1)
    with api.home.platform.warehouse.transaction() as transaction:
        transaction._connection.execute("delete from allocations")
    api.home.settings.published_dir.mkdir(exist_ok=True)
    api.home.publish(TODAY + timedelta(days=1))
    assert api.refresh()
    assert api.get(ALLOCATION).json()["as_of_date"] == str(TODAY + timedelta(days=1))
    assert metric(api, "mab_stale_seconds") < 60


def test_a_start_beside_a_broken_copy_serves_503_until_there_is_a_good_one(published, start):
    garbage_in_place_of_the_copy(published)
    api = start(published)
    assert api.get(ALLOCATION).status_code == 503
    published.clock.now += timedelta(minutes=1)
    published.publish(TODAY)
    assert api.refresh()
    assert api.get(ALLOCATION).status_code == 200


def test_stale_seconds_rise_while_refreshing_fails(api, monkeypatch):
    refresher = api.app.state.serving.refresher
    remove_pointer(api.home)
    moments = iter(range(1_000_000))
    monkeypatch.setattr(
        "mab_api.snapshot.refresher.time.monotonic", lambda: 1e9 + 10 * next(moments)
    )
    refresher._good_at = 1e9
    assert not api.refresh()
    first = metric(api, "mab_stale_seconds")
    assert not api.refresh()
    assert metric(api, "mab_stale_seconds") > first > 0


def test_one_warning_a_minute_is_logged_however_often_it_fails(api, monkeypatch):
    remove_pointer(api.home)
    seconds = {"now": 1e9}
    monkeypatch.setattr("mab_api.snapshot.refresher.time.monotonic", lambda: seconds["now"])
    for _ in range(130):
        assert not api.refresh()
        seconds["now"] += 1
    assert len(warnings(api)) == 3
    assert "published" in str(warnings(api)[0]["reason"])


def test_a_home_that_was_made_anew_under_the_same_name_is_served(api):
    old = api.get(ALLOCATION).json()
    copy = api.home.copies()[-1]
    api.home.clock.now += timedelta(days=1)
    name = api.home.publish(TODAY)
    (copy.with_name(name)).replace(copy)
    api.home.pointer.write_text(f'{{"file": "{copy.name}"}}')
    assert api.refresh()
    assert api.get(ALLOCATION).json()["as_of_date"] != old["as_of_date"]


def test_history_outlives_the_deletion_of_its_copy(api):
    remove_everything(api.home)
    assert not api.refresh()
    assert len(api.get(f"/experiments/{FIRST}/history").json()["history"]) == 3


def test_history_of_a_copy_that_was_broken_under_its_name_is_503_and_not_a_crash(api):
    api.app.state.serving.refresher.snapshot.copy.close()
    answer = api.get(f"/experiments/{FIRST}/history")
    assert answer.status_code == 503
    assert answer.json()["type"] == "urn:mab:problem:history-unavailable"
    assert api.get(ALLOCATION).status_code == 200


def test_a_slow_history_query_delays_no_allocation(api, monkeypatch):
    released, entered = threading.Event(), threading.Event()

    def slow(*_arguments):
        entered.set()
        assert released.wait(DEADLINE_SECONDS)
        raise AssertionError

    monkeypatch.setattr("mab_api.routes.history._query", slow)
    threads = [
        threading.Thread(target=api.get, args=(f"/experiments/{FIRST}/history?limit={n}",))
        for n in range(1, 60)
    ]
    for thread in threads:
        thread.start()
    assert entered.wait(DEADLINE_SECONDS)
    try:
        assert all(api.get(ALLOCATION).status_code == 200 for _ in range(20))
        body = {"name": "meanwhile", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
        assert api.post("/experiments", json=body).status_code == 201
    finally:
        released.set()
        for thread in threads:
            thread.join()
