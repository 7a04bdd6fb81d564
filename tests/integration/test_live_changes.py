"""Experiments that change while they run: from `PATCH` over the nightly runs to what is served."""

from contextlib import contextmanager
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from mab_api.app import create_app
from mab_pipeline.operations.replay import replay
from mab_store.experiments.schemas import experiment_id_of
from tests.integration.operations.test_replay_and_explain import record_of, told

NAMES = ("pausing", "finishing", "growing", "shrinking", "ending")
PAST, NEXT, LAST = "2025-03-16", "2025-03-17", "2025-03-18"


@contextmanager
def api_of(world):
    app = create_app(world.settings, clock=world.clock, is_dev=True)
    with TestClient(app, "http://127.0.0.1", raise_server_exceptions=False) as client:
        assert app.state.serving.refresher.looked.wait(60)
        yield client


def night(world, day: str) -> dict:
    """Run a day on the night after it; return what is served then, by name."""
    counts = [
        (name, variant, 400, clicks)
        for name in NAMES
        for variant, clicks in (("control", 12), ("a", 14), ("b", 13))
    ]
    if day >= "2025-03-18":
        counts.append(("growing", "c", 90, 3))
    world.metrics(day, *counts)
    world.clock.set(f"{day}T02:00:00")
    world.clock.now += timedelta(days=1)
    world.run(day)
    return world.bodies()


def shares(body) -> dict:
    return {v["variant_name"]: v["allocation_percentage"] for v in body["allocations"]}


@pytest.fixture(scope="module")
def world(make_world):
    """Changes on the 17th, true from the 18th; one experiment is resumed from the 19th on."""
    world = make_world(api_refresh_seconds=3600)
    world.nights, world.answers = {}, {}
    for name in NAMES:
        world.register(name, "control", "a", "b", created="2025-03-10T00:00:00Z")
    world.nights[PAST] = night(world, PAST)
    world.clock.set("2025-03-17T12:00:00")
    changes = {
        "pausing": {"status": "paused"},
        "finishing": {"status": "finished"},
        "growing": {"add_variants": ["c"]},
        "shrinking": {"retire_variants": ["b"]},
        "ending": {"retire_variants": ["a", "b"]},
    }
    with api_of(world) as client:
        for name, change in changes.items():
            path = f"/experiments/{experiment_id_of(name)}"
            world.answers[name] = client.patch(path, json={"changed_by": "ana", **change})
        world.run(PAST)  # what the sensor does when it sees the files
        world.nights["noon"] = world.bodies()
        world.nights[NEXT] = night(world, NEXT)
        world.clock.set("2025-03-18T12:00:00")
        path = f"/experiments/{experiment_id_of('pausing')}"
        resume = {"changed_by": "bob", "reason": "holidays are over", "status": "running"}
        world.answers["resuming"] = client.patch(path, json=resume)
        world.listed = client.get(f"{path}/changes").json()["changes"]
    world.nights[LAST] = night(world, LAST)
    return world


def test_a_change_is_true_from_the_day_after_it_was_made(world):
    for name in NAMES:
        answer = world.answers[name]
        assert (answer.status_code, answer.json()["effective_date"]) == (202, "2025-03-18")
    assert world.answers["resuming"].json()["effective_date"] == "2025-03-19"
    before, noon = world.nights[PAST], world.nights["noon"]
    assert noon == before
    assert not any(body["is_frozen"] for body in noon.values())


def test_a_paused_experiment_keeps_its_last_allocation_frozen_until_it_is_resumed(world):
    last = world.nights[PAST]["pausing"]
    frozen = world.nights[NEXT]["pausing"]
    assert frozen == last | {"status": "paused", "is_frozen": True}
    resumed = world.nights[LAST]["pausing"]
    assert (resumed["as_of_date"], resumed["status"]) == (LAST, "running")
    assert resumed["is_frozen"] is False
    # Three days of 400, that of the pause among them.
    assert resumed["allocations"][0]["metrics"]["impressions"] == 3 * 400
    assert [day for day, _ in world.published("pausing")] == [PAST, LAST]


def test_a_finished_experiment_answers_with_its_last_allocation_but_is_not_listed(world):
    last = world.nights[PAST]["finishing"]
    assert world.nights[LAST]["finishing"] == last | {
        "status": "finished",
        "is_frozen": True,
    }
    with api_of(world) as client:
        listed = client.get("/allocations").json()["experiments"]
        path = f"/experiments/{experiment_id_of('finishing')}/allocation"
        body = client.get(path).json()
    assert (body["as_of_date"], body["status"], body["is_stale"]) == (PAST, "finished", False)
    assert {body["experiment_name"] for body in listed} == set(NAMES) - {"finishing"}


def test_an_added_variant_starts_from_the_prior_and_gets_traffic(world):
    assert set(shares(world.nights[PAST]["growing"])) == {"control", "a", "b"}
    for day in (NEXT, LAST):
        added = world.nights[day]["growing"]["allocations"][3]
        assert (added["variant_name"], added["is_control"]) == ("c", False)
        # 90 impressions on the 18th are too few: the prior, Beta(1, 99), goes on deciding.
        assert (added["data_source"], added["posterior"]) == ("prior", {"alpha": 1, "beta": 99})
        assert added["allocation_percentage"] > 0
        assert added["buckets"]


@pytest.mark.parametrize(
    ("name", "left"), [("shrinking", {"control", "a"}), ("ending", {"control"})]
)
def test_a_retired_variant_has_no_share_and_no_buckets_but_its_rows_stay(world, name, left):
    assert set(shares(world.nights[PAST][name])) == {"control", "a", "b"}
    for day in (NEXT, LAST):
        body = world.nights[day][name]
        found = shares(body)
        assert set(found) == left
        assert sum(round(100 * share) for share in found.values()) == 10_000
        buckets = [pair for v in body["allocations"] for pair in v["buckets"]]
        assert sum(last - first + 1 for first, last in buckets) == 100
    (kept,) = world.query(
        "select count(*), sum(impressions) from daily_metrics "
        "where experiment_id = ? and variant_name = 'b'",
        experiment_id_of(name),
    )
    assert kept == (3, 3 * 400)


def test_who_changed_what_and_when_can_be_read(world):
    told_of = [
        (change["changed_by"], change["status"], change["effective_date"], change["reason"])
        for change in world.listed
    ]
    assert told_of == [
        ("ana", "paused", "2025-03-18", None),
        ("bob", "running", "2025-03-19", "holidays are over"),
    ]


def test_days_before_a_change_are_computed_and_replayed_with_what_was_true_then(world):
    before = world.tables()
    world.run(PAST, republish=True)
    after = world.tables()
    for table in ("windowed_aggregates", "allocations", "publications", "variants"):
        assert after[table] == before[table]
    assert set(world.shares("shrinking", PAST)) == {"control", "a", "b"}
    for name in ("shrinking", "growing"):
        for day in (PAST, NEXT):
            assert replay(world.platform, record_of(world, name, day)).differences == []


def test_explain_tells_what_the_owner_changed(world):
    def text(name: str, day: str | None) -> str:
        return told(world, name, day)

    assert "paused from 2025-03-18 on: what was published last stays, frozen" in text(
        "pausing", PAST
    )
    assert "running again from 2025-03-19 on" in text("pausing", PAST)
    assert "finished from 2025-03-18 on" in text("finishing", PAST)
    assert "c: active from 2025-03-18 on" in text("growing", PAST)
    for day in (PAST, LAST):
        assert "b: retired from 2025-03-18 on: no share" in text("shrinking", day)
    assert "from 2025-03-18 on" not in text("growing", LAST)
