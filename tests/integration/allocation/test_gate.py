"""The gate: what is held back, alone, and for how long."""

import json

import pytest

BEFORE, DAY = "2025-03-17", "2025-03-18"
UP_TO_ALLOCATIONS = (
    "experiments",
    "raw_metrics",
    "daily_metrics",
    "windowed_aggregates",
    "allocations",
)
CORRUPTIONS = {
    "wrong_sum": ("shares_sum_to_100", "allocation_hundredths = allocation_hundredths + 1"),
    "negative": (
        "shares_sum_to_100",
        "allocation_hundredths = case when is_control then -1 else 10001 end",
    ),
    # Same posterior twice: the exact probability is 1/2, and 10,000 of 10,000 draws are not.
    "impossible": (
        "monte_carlo_agrees_with_exact",
        "allocation_hundredths = case when is_control then 10000 else 0 end",
    ),
}
ROW_OF = "experiment_id = (select min(experiment_id) from experiments where experiment_name = ?)"


@pytest.fixture(scope="module")
def world(make_world):
    """Five experiments with a publication each; the next day's decisions of four are corrupt."""
    world = make_world(now="2025-03-18T02:00:00")
    names = (*CORRUPTIONS, "missing_row", "good")
    for name in names:
        world.register(name)
    for day in (BEFORE, DAY):
        rows = [(name, variant, 400, 4) for name in names for variant in ("control", "variant_a")]
        world.metrics(day, *rows)
    world.run(BEFORE)
    world.clock.set("2025-03-19T02:00:00")
    world.run(DAY, assets=UP_TO_ALLOCATIONS)
    for name, (_, change) in CORRUPTIONS.items():
        change = change.replace("is_control", "variant_name = 'control'")  # noqa: PLW2901  # one case
        world.query(f"update allocations set {change} where as_of_date = ? and {ROW_OF}", DAY, name)
    world.query(
        f"delete from allocations where as_of_date = ? and variant_name = 'variant_a' and {ROW_OF}",
        DAY,
        "missing_row",
    )
    world.result = world.run(DAY, assets=("publication",))
    return world


REASONS = {name: check for name, (check, _) in CORRUPTIONS.items()}
REASONS["missing_row"] = "every_running_variant_has_a_row"


@pytest.mark.parametrize("name", REASONS)
def test_an_experiment_with_a_corrupt_decision_keeps_its_last_publication_marked(world, name):
    body = world.bodies()[name]
    assert body["as_of_date"] == BEFORE
    reasons = {
        reason
        for (reason,) in world.query(f"select reason from publication_holds where {ROW_OF}", name)
    }
    assert REASONS[name] in reasons  # a share that is missing is missing in the sum too
    assert body["held_back"]["reason"] in reasons
    assert world.published(name) == [(BEFORE, True)]


def test_the_others_are_published(world):
    body = world.bodies()["good"]
    assert (body["as_of_date"], body["held_back"]) == (DAY, None)
    metadata = world.result.asset_materializations_for_node("publication")[0].metadata
    assert metadata["dagster/row_count"].value == 1
    assert len(metadata["held_back"].value) == 4


def test_the_pages_of_decisions_and_publications_show_who_is_held_back(world):
    (published,) = world.result.asset_materializations_for_node("publication")
    observed = [
        event.asset_observation_data.asset_observation
        for event in world.result.get_asset_observation_events()
    ]
    assert [(o.asset_key.to_user_string(), o.partition) for o in observed] == [("allocations", DAY)]
    table = published.metadata["served_now"].value
    assert observed[0].metadata["served_now"].value == table
    rows = [record.data for record in table.records]
    state = f"{BEFORE}: held back, "
    held = {row["experiment"]: row for row in rows[::-1] if row["served"].startswith(state)}
    assert set(held) == set(REASONS)
    assert all(row["reason"] for row in held.values())
    assert {row["served"] for row in rows if row["experiment"] == "good"} == {f"{DAY}: newest"}
    assert [row["experiment"] for row in rows][-1] == "good"  # the held back come first
    assert set(published.metadata["held_back"].value) == set(REASONS)


def test_the_checks_fail_with_the_names_and_stop_nothing(world, evaluations):
    result = world.run_checks("allocations", DAY)
    for check in set(REASONS.values()):
        evaluation = evaluations(result, "allocations", check)[DAY]
        expected = sorted(name for name, reason in REASONS.items() if reason == check)
        assert "exp_" not in evaluation.metadata["found"].value
        if check == "monte_carlo_agrees_with_exact":
            assert expected[0] in evaluation.metadata["experiments"].value
        elif check == "shares_sum_to_100":
            assert set(expected) <= set(evaluation.metadata["experiments"].value)
        else:
            assert evaluation.metadata["experiments"].value == expected
        assert not evaluation.passed
        assert evaluation.severity.value == "ERROR"
        assert not evaluation.blocking


def test_a_hold_is_noted_once_however_often_the_day_runs(world):
    before = world.table("publication_holds", volatile=True)
    assert len(before) >= 4
    world.run(DAY, assets=("publication",))
    assert world.table("publication_holds", volatile=True) == before


def feed(world, *days, names=("steady", "dying")):
    for day in days:
        rows = [(name, variant, 400, 4) for name in names for variant in ("control", "variant_a")]
        world.metrics(day, *rows)


@pytest.fixture
def dying(make_world):
    """Two experiments; from 2025-03-12 on only one of them has data."""
    world = make_world(now="2025-03-16T02:00:00")
    for name in ("steady", "dying"):
        world.register(name)
    feed(world, "2025-03-10", "2025-03-11")
    feed(world, "2025-03-12", "2025-03-13", "2025-03-14", "2025-03-15", names=("steady",))
    world.result = world.run("2025-03-11", "2025-03-15")
    return world


def test_an_experiment_whose_data_stopped_keeps_its_publication_until_they_return(
    dying, evaluations
):
    # MAX_DATA_GAP_DAYS=3: without data on the 12th and 13th it goes on; on the 14th, the third
    # day without, it stops.
    assert [day for day, _ in dying.published("dying")] == [
        "2025-03-11",
        "2025-03-12",
        "2025-03-13",
    ]
    body = dying.bodies()["dying"]
    assert body["as_of_date"] == "2025-03-13"
    assert body["held_back"] == {
        "reason": "data_gap",
        "detail": "no accepted impressions since 2025-03-11, 3 days are allowed",
    }
    assert body["data_through"] == "2025-03-11"
    assert dying.bodies()["steady"]["as_of_date"] == "2025-03-15"
    alive = evaluations(dying.result, "publication", "feeds_are_alive")
    assert [day for day, e in sorted(alive.items(), key=str) if day and not e.passed] == [
        "2025-03-14",
        "2025-03-15",
    ]
    feed(dying, "2025-03-16")
    dying.clock.set("2025-03-17T02:00:00")
    dying.run("2025-03-16")
    body = dying.bodies()["dying"]
    assert (body["as_of_date"], body["held_back"]) == ("2025-03-16", None)


def test_late_data_for_the_gap_close_it_and_the_day_is_published_after_all(dying):
    rows = [("dying", variant, 400, 4) for variant in ("control", "variant_a")]
    dying.metrics("2025-03-14", *rows, name="late.csv")
    dying.run("2025-03-15")
    body = dying.bodies()["dying"]
    assert (body["as_of_date"], body["held_back"]) == ("2025-03-15", None)
    assert dying.find("publication", "feeds_are_alive", "2025-03-15") == []


def test_an_experiment_without_any_publication_is_published_whatever_its_gap(make_world):
    world = make_world(now="2025-03-16T02:00:00")
    for name in ("old", "never"):
        world.register(name)
    feed(world, "2025-03-05", names=("old",))
    world.run("2025-03-15")
    assert set(world.bodies()) == {"old", "never"}
    assert world.windows("old", "2025-03-15")["control"] == ("default_window", 1, 400, 4)
    # One that never had data is published day after day: there is nothing to keep.
    world.clock.set("2025-03-17T02:00:00")
    world.run("2025-03-16")
    assert world.bodies()["never"]["as_of_date"] == "2025-03-16"
    assert world.bodies()["never"]["data_through"] is None
    assert world.bodies()["old"]["held_back"]["reason"] == "data_gap"


def test_a_hold_is_in_the_journal_as_much_as_a_publication(dying):
    rows = dying.platform.journal.read("publication_holds").to_pylist()
    assert [str(row["as_of_date"]) for row in rows] == ["2025-03-14", "2025-03-15"]
    published = dying.platform.journal.read("publications").to_pylist()
    assert len(published) == 3 + 5
    assert all(json.loads(row["buckets"]) for row in published)
