"""The multinomial from the setting to the body, in replay and explain, and its cross-check."""

import io
import json
from datetime import date

import pytest
from rich.console import Console

from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.cli.console import rendered
from mab_pipeline.operations.explain import explain
from mab_pipeline.operations.replay import replay
from mab_store.warehouse.reader import open_reader
from tests.integration.conftest import World

BEFORE, DAY = "2025-03-17", "2025-03-18"
UP_TO_ALLOCATIONS = (
    "experiments",
    "raw_metrics",
    "daily_metrics",
    "windowed_aggregates",
    "allocations",
)
OF = (
    "as_of_date = ? and experiment_id = "
    "(select min(experiment_id) from experiments where experiment_name = ?)"
)


@pytest.fixture(scope="module")
def world(make_world):
    """Three experiments by the multinomial; P(best) of `wrong` is then wrong, and so its share."""
    world = make_world(now="2025-03-18T02:00:00", allocation_method="multinomial")
    for name in ("good", "wrong"):
        world.register(name)
    world.register("mixed", "control", "b", "c", decision={"exploration": 0.1, "burn_in": "on"})
    for day in (BEFORE, DAY):
        rows = [(name, v, 400, 4) for name in ("good", "wrong") for v in ("control", "variant_a")]
        rows += [("mixed", "control", 400, 8), ("mixed", "b", 400, 9), ("mixed", "c", 50, 1)]
        world.metrics(day, *rows)
    world.run(BEFORE)
    world.clock.set("2025-03-19T02:00:00")
    world.run(DAY, assets=UP_TO_ALLOCATIONS)
    for variant, share in (("control", 0.55), ("variant_a", 0.45)):
        world.query(
            "update allocations set probability_best = ?, allocation_hundredths = ? "
            f"where variant_name = ? and {OF}",
            share,
            round(share * 10_000),
            variant,
            DAY,
            "wrong",
        )
    world.result = world.run(DAY, assets=("publication",))
    return world


def record_of(world, name, day=DAY):
    with open_reader(world.settings) as copy:
        return find_record(copy, name, date.fromisoformat(day))


def test_the_method_is_recorded_and_shares_sum_to_100(world):
    for name in ("good", "mixed"):
        record = record_of(world, name)
        assert record.head["algorithm"] == "thompson_multinomial"
        assert record.head["samples"] == 10_000
        assert json.loads(record.head["settings"])["allocation_method"] == "multinomial"
        assert sum(row["allocation_hundredths"] for row in record.rows.values()) == 10_000
        assert world.bodies()[name]["algorithm"] == "thompson_multinomial"
    good = record_of(world, "good").rows
    # 800 impressions and 8 clicks each: 1/2, within five standard deviations of 10,000 draws.
    assert abs(good["control"]["allocation_hundredths"] - 5_000) < 250
    assert good["control"]["allocation_hundredths"] != 5_000


@pytest.mark.parametrize("name", ["good", "mixed"])
def test_a_decision_replays_bit_for_bit_under_another_method(world, name):
    other = World(world.home, now="2025-03-19T03:00:00")
    for day in (BEFORE, DAY):
        result = replay(other.platform, record_of(world, name, day))
        assert (result.differences, result.notes) == ([], [])


def test_explain_says_how_it_was_drawn(world):
    with open_reader(world.settings) as copy:
        screen = Console(width=200, file=io.StringIO())
        screen.print(rendered(explain(copy, record_of(world, "good"))))
    told = " ".join(screen.file.getvalue().split())
    assert "was the highest (their counts drawn at once, from P(best)); P(best) is its" in told


def test_literal_draws_hold_back_a_p_best_that_its_share_agrees_with(world, evaluations):
    body = world.bodies()["wrong"]
    assert body["as_of_date"] == BEFORE
    assert body["held_back"]["reason"] == "monte_carlo_agrees_with_exact"
    assert "literal draws, but P(best)" in body["held_back"]["detail"]
    for name in ("good", "mixed"):
        assert (world.bodies()[name]["as_of_date"], world.bodies()[name]["held_back"]) == (
            DAY,
            None,
        )
    result = world.run_checks("allocations", DAY)
    evaluation = evaluations(result, "allocations", "monte_carlo_agrees_with_exact")[DAY]
    assert not evaluation.passed
    assert evaluation.metadata["experiments"].value == ["wrong"]
