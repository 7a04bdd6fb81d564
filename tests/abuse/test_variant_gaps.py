"""A part of an experiment's data goes missing, and what is left must not decide alone."""

import io
from datetime import date

import pytest
from rich.console import Console

from mab_pipeline.alerts.conditions import notices_of_run
from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.cli.console import rendered
from mab_pipeline.operations.doctor import examine
from mab_pipeline.operations.explain import explain
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.experiments.schemas import experiment_id_of
from mab_store.warehouse.reader import open_reader
from tests.integration.steps import run

FIRST, SECOND, DAY, NEXT, LAST = (f"2025-03-{day}" for day in range(16, 21))
SOUND = (("control", 400, 4), ("a", 400, 8), ("b", 400, 12))
# What comes in on DAY: variant, impressions, clicks. b is the winner, and had most of the traffic.
FEEDS = {
    "sound": SOUND,
    "renamed": (*SOUND[:2], ("b2", 400, 12)),
    "capitals": (*SOUND[:2], ("B", 400, 12)),
    "blank_behind": (*SOUND[:2], ("b ", 400, 12)),
    "extra_arm": (*SOUND, ("holdout", 401, 4)),  # 400 would be 10 %
    "counts_of_one": (*SOUND[:2], ("b", 400, 4000)),
    "unreadable": (*SOUND[:2], ("b", "4e2", 12)),
    "small_extra_arm": (*SOUND, ("holdout", 100, 4)),  # 100 of 3700 in three days
    "all_renamed": (("Control", 400, 4), ("A", 400, 8), ("B", 400, 12)),
}
HELD = sorted(set(FEEDS) - {"sound", "small_extra_arm"})


def feed(world, day, feeds):
    world.metrics(day, *((name, *row) for name, rows in feeds.items() for row in rows))


def night_after(world, day):
    world.clock.set(f"2025-03-{int(day[-2:]) + 1}T02:00:00")


@pytest.fixture(scope="module")
def attacked(make_world):
    """Two days as they should be, then DAY."""
    world = make_world(now="2025-03-18T02:00:00", max_rejected_share=1.0)
    for name in FEEDS:
        world.register(name, "control", "a", "b")
    for day in (FIRST, SECOND):
        feed(world, day, dict.fromkeys(FEEDS, SOUND))
    run(world, FIRST, SECOND)
    feed(world, DAY, FEEDS)
    night_after(world, DAY)
    world.result = world.run(DAY)
    return world


@pytest.mark.parametrize("name", FEEDS)
def test_an_experiment_with_a_gap_keeps_what_it_was_served_before(attacked, name):
    body = attacked.bodies()[name]
    if name in HELD:
        assert body["as_of_date"] == SECOND
        assert body["held_back"]["reason"] == "variant_gap"
        assert "of the impressions were rejected" in body["held_back"]["detail"]
    else:
        assert (body["as_of_date"], body["held_back"]) == (DAY, None)


def test_the_check_the_doctor_and_an_alert_name_the_experiments(attacked, evaluations):
    ids = sorted(attacked.register(name, "control", "a", "b") for name in HELD)
    (evaluation,) = evaluations(attacked.result, "publication", "variants_are_complete").values()
    assert not evaluation.passed
    assert not evaluation.blocking
    assert evaluation.metadata["experiments"].value == sorted(HELD)
    run = attacked.instance.get_run_by_id(attacked.result.run_id)
    notices = {notice.cause: notice for notice in notices_of_run(attacked.instance, run)}
    notice = notices["variant_gap"]
    assert set(notices) == {"variant_gap", "sample_ratio"}  # b had most of the traffic
    assert sorted(notice.experiments) == ids
    assert "--accept-variant-gap" in notice.remedy
    found = examine(attacked.platform, attacked.instance, with_api=False)
    (checks,) = [finding for finding in found if finding.part == "checks"]
    assert not checks.is_ok
    assert "publication.variants_are_complete" in checks.detail


STORY = ("untouched", "corrected", "retired", "starved")
STARVED = (("control", 9000, 1800), ("a", "", ""), ("b", 0, 0))


def state(world, name):
    body = world.bodies()[name]
    return body["as_of_date"], (body["held_back"] or {}).get("reason")


@pytest.fixture(scope="module")
def story(make_world):
    """What became of a gap that nobody touched, and of others, run after run."""
    world = make_world(now="2025-03-17T02:00:00")
    for name in STORY:
        world.register(name, "control", "a", "b")
    start = (("control", 9000, 1800), ("a", 9000, 90), ("b", 9000, 90))
    feed(world, FIRST, dict.fromkeys(STORY, SOUND) | {"starved": start})
    run(world, FIRST)
    extra = (*SOUND, ("holdout", 400, 4))
    bad = dict.fromkeys(STORY, FEEDS["renamed"]) | {"untouched": extra, "starved": STARVED}
    world.states = {}

    def step(name, day, **more):
        night_after(world, day)
        run(world, day, **more)
        world.states[name] = {each: state(world, each) for each in STORY}

    feed(world, SECOND, bad)
    step("found", SECOND)
    step("the same once more", SECOND)
    world.metrics(SECOND, *(("corrected", *row) for row in SOUND), name="later.csv")
    step("corrected", SECOND)
    rename = {"retire_variants": ["b"], "add_variants": ["b2"]}
    world.change("retired", "2025-03-18T09:00:00Z", **rename)
    feed(world, DAY, bad | {"corrected": SOUND})
    step("renamed", DAY)
    world.holds = world.table("publication_holds")
    world.details = {name: str(world.bodies()[name]["held_back"]) for name in STORY}
    step("accepted", DAY, accept_variant_gap=True)
    world.found_after_acceptance = world.find("publication", "variants_are_complete", DAY)
    feed(world, NEXT, bad | {"corrected": SOUND})
    step("accepted the day before", NEXT)
    world.explained = explained(world, "untouched", NEXT)
    world.before = world.tables()
    rebuild(world.platform)
    world.rebuilt = world.tables()
    feed(world, LAST, bad | {"untouched": (*extra, ("c", 900, 9)), "corrected": SOUND})
    step("changed", LAST)
    return world


def explained(world, name, day):
    with open_reader(world.settings) as copy:
        console = Console(file=io.StringIO(), width=400)
        record = find_record(copy, name, date.fromisoformat(day))
        console.print(rendered(explain(copy, record)))
    return console.file.getvalue()


GAP = "variant_gap"
# For each step the newest as-of day that is served, and why it is not a newer one.
STATES = {
    "found": [(FIRST, GAP), (FIRST, GAP), (FIRST, GAP), (SECOND, None)],
    "the same once more": [(FIRST, GAP), (FIRST, GAP), (FIRST, GAP), (SECOND, None)],
    "corrected": [(FIRST, GAP), (SECOND, None), (FIRST, GAP), (SECOND, None)],
    # b2 is known from the 19th on; its row of the 18th is rejected, and settled all the same.
    "renamed": [(FIRST, GAP), (DAY, None), (DAY, None), (DAY, None)],
    "accepted": [(DAY, None)] * 4,
    "accepted the day before": [(NEXT, None)] * 4,
    "changed": [(NEXT, GAP), (LAST, None), (LAST, None), (LAST, None)],
}


@pytest.mark.parametrize("step", STATES)
def test_a_gap_lasts_until_it_is_corrected_renamed_or_accepted(story, step):
    assert story.states[step] == dict(zip(STORY, STATES[step], strict=True))


def test_a_hold_is_noted_once_and_says_what_is_missing(story):
    mine = [row for row in story.holds if row["experiment_id"] == experiment_id_of("untouched")]
    assert [str(row["as_of_date"]) for row in mine] == [SECOND, DAY]
    assert (
        "rejected, 10 % are allowed: 800 of 'holdout' (unknown_variant)"
        in story.details["untouched"]
    )


def test_an_acceptance_is_recorded_for_each_day_that_it_covers_and_explained(story):
    accepted = [
        (str(row["as_of_date"]), row["experiment_id"])
        for row in story.table("publication_holds")
        if row["reason"] == "variant_gap_accepted"
    ]
    assert accepted == [(DAY, experiment_id_of("untouched")), (NEXT, experiment_id_of("untouched"))]
    assert story.found_after_acceptance == []
    assert "with a variant gap, which was accepted" in story.explained
    assert "'holdout' (unknown_variant)" in story.explained


def test_a_rebuild_brings_back_holds_and_acceptances(story):
    assert story.rebuilt == story.before


def test_a_range_is_held_back_as_its_days_one_by_one_would_be(make_world):
    tables = []
    for runs in (((SECOND, NEXT),), ((SECOND, None), (DAY, None), (NEXT, None))):
        world = make_world(now="2025-03-21T02:00:00")
        world.register("cta", "control", "a", "b")
        for day, b in ((SECOND, 400), (DAY, 0), (NEXT, 0)):
            world.metrics(day, ("cta", "control", 400, 4), ("cta", "b", b, min(b, 12)))
        for first, last in runs:
            run(world, first, last)
        tables.append([world.table(name) for name in ("publications", "publication_holds")])
    assert tables[0] == tables[1]
    # a never had a row: from the second day on it is missed, as the first gave it a share.
    assert [str(row["as_of_date"]) for row in tables[0][0]] == [SECOND]
    assert {row["reason"] for row in tables[0][1]} == {"variant_gap"}


def test_both_settings_turn_it_off(make_world):
    world = make_world(
        now="2025-03-21T02:00:00", max_rejected_share_held=1, variant_gap_impressions=0
    )
    world.register("renamed", "control", "a", "b")
    feed(world, FIRST, {"renamed": SOUND})
    for day in (SECOND, DAY, NEXT, LAST):
        feed(world, day, {"renamed": FEEDS["renamed"]})
    run(world, FIRST, LAST)
    assert state(world, "renamed") == (LAST, None)
    assert world.table("publication_holds") == []
