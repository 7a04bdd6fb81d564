"""The gate: what is held back, alone, and for how long."""

import dagster as dg
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


def test_a_paused_experiment_is_served_with_its_last_allocation_and_its_status(make_world):
    world = make_world(now="2025-03-18T02:00:00")
    world.register("checkout")
    world.run(BEFORE)
    world.change("checkout", "2025-03-18T10:00:00Z", status="paused")
    world.clock.set("2025-03-20T02:00:00")
    world.run(DAY, "2025-03-19")
    body = world.bodies()["checkout"]
    assert (body["as_of_date"], body["status"], body["held_back"]) == (BEFORE, "paused", None)
    page = world.instance.get_latest_materialization_event(dg.AssetKey("publication"))
    rows = page.asset_materialization.metadata["served_now"].value.records
    assert {row.data["served"] for row in rows} == {f"{BEFORE}: frozen, paused"}
