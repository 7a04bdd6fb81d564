"""The steps that tests call directly leave what a run of Dagster leaves."""

from tests.integration import steps
from tests.integration.conftest import World

DAYS = ("2025-03-17", "2025-03-18", "2025-03-19")


def story(world: World, run) -> dict[str, object]:
    """Run a range, and a day for which a late file and a new experiment came in."""
    world.register("checkout")
    world.register("gone")
    for place, day in enumerate(DAYS):
        rows = [("checkout", v, 300 + place, 3 + i) for i, v in enumerate(("control", "variant_a"))]
        world.metrics(day, *rows, ("checkout", "variant_a", "x", 1))
    world.metrics(DAYS[0], ("gone", "control", 9, 1), name="gone.csv")
    world.drop(f"metrics/{DAYS[0]}/broken.json", "{")
    run(DAYS[0], DAYS[1])
    world.register("late", created="2025-03-18T12:00:00Z")
    world.metrics(DAYS[0], ("checkout", "control", 900, 90), name="late.csv")
    run(DAYS[2], None)
    run(DAYS[0], DAYS[2], republish=True)
    return world.tables()


def test_direct_steps_and_a_run_of_dagster_leave_the_same_tables_and_journal(make_world):
    by_dagster, by_hand = make_world(), make_world()
    expected = story(by_dagster, by_dagster.run)
    found = story(by_hand, lambda *days, **options: steps.run(by_hand, *days, **options))
    assert found == expected
    for table in ("inbox_files", "allocations", "publications", "analysis"):
        journaled = [world.platform.journal.read(table) for world in (by_dagster, by_hand)]
        assert len(journaled[0]) == len(journaled[1]) > 0
