"""Publishing: each field of its report, and every edge of its verdicts; no Dagster is needed."""

import json
from datetime import date, datetime

import pytest

from mab_pipeline import bandit
from mab_pipeline.allocation.variant_gaps import ACCEPTED, VARIANT_GAP
from mab_store.experiments.schemas import experiment_id_of
from tests.integration.steps import decide, publish_days, run

BEFORE, DAY, NEXT = "2025-03-17", "2025-03-18", "2025-03-19"
NAMES = ("good", "bad", "new")
VARIANTS = ("control", "variant_a")


def on(day):
    return date.fromisoformat(day)


def two(make_world, *names, now="2025-03-18T02:00:00", **settings):
    """Return a world with these experiments, and data for all three days."""
    world = make_world(now=now, **settings)
    for name in names:
        world.register(name)
    for day in (BEFORE, DAY, NEXT):
        world.metrics(day, *[(name, variant, 400, 4) for name in names for variant in VARIANTS])
    return world


def corrupt(world, name, day):
    """Make the shares of a stored decision sum to 100.01 %."""
    world.query(
        "update allocations set allocation_hundredths = allocation_hundredths + 1 "
        "where variant_name = 'control' and experiment_id = ? and as_of_date = ?",
        experiment_id_of(name),
        day,
    )


def allocation_of(world, name, day):
    """Return the id of a day's decision, and its shares in hundredths."""
    rows = world.query(
        "select allocation_id, variant_name, allocation_hundredths from allocations "
        "where experiment_id = ? and as_of_date = ? order by 2",
        experiment_id_of(name),
        day,
    )
    return rows[0][0], {name: hundredths for _, name, hundredths in rows}


def keys(*names, day):
    return [(on(day), identity) for identity in sorted(map(experiment_id_of, names))]


@pytest.fixture(scope="module")
def judged(make_world):
    """`bad` has a corrupt decision of the second day, `new` came with it; published twice."""
    world = two(make_world, "good", "bad")
    world.first = run(world, BEFORE)
    world.clock.set("2025-03-19T02:00:00")
    world.register("new")
    decide(world, DAY)
    corrupt(world, "bad", DAY)
    world.second = publish_days(world, DAY, run_id="second")
    world.third = publish_days(world, DAY)
    return world


def test_what_is_published_is_reported_as_it_is_stored(judged):
    report = judged.second
    stored = judged.table("publications", volatile=True)
    assert [row["experiment_id"] for row in report.published] == sorted(
        map(experiment_id_of, ("good", "new"))
    )
    for row in report.published:
        assert row in stored
        assert (row["as_of_date"], row["run_id"], row["was_live"]) == (on(DAY), "second", True)
        assert row["published_at"].date() == on(NEXT)
    good = next(row for row in report.published if row["experiment_id"] == experiment_id_of("good"))
    identity, shares = allocation_of(judged, "good", DAY)
    assert good["allocation_id"] == identity
    before = next(
        row for row in judged.first.published if row["experiment_id"] == experiment_id_of("good")
    )
    previous = {
        name: list(map(tuple, pairs)) for name, pairs in json.loads(before["buckets"]).items()
    }
    assert json.loads(good["buckets"]) == {
        name: list(map(list, pairs))
        for name, pairs in bandit.assign_buckets(shares, previous).items()
    }
    assert good["data_through"] == on(DAY)
    new = next(row for row in report.published if row["experiment_id"] == experiment_id_of("new"))
    assert new["data_through"] is None


def test_what_is_held_back_is_noted_once_and_reported_every_time(judged):
    (held,) = judged.second.held
    assert held in judged.table("publication_holds", volatile=True)
    assert (held["as_of_date"], held["experiment_id"]) == keys("bad", day=DAY)[0]
    assert (held["run_id"], held["reason"]) == ("second", "shares_sum_to_100")
    assert held["held_at"].date() == on(NEXT)
    assert "not to 10000" in held["detail"]
    assert judged.third.held == []
    for report in (judged.second, judged.third):
        assert report.held_back == keys("bad", day=DAY)
        assert report.held_now == [experiment_id_of("bad")]
        assert report.accepted == []
    assert len(judged.table("publication_holds")) == 1


def test_what_is_published_already_is_counted_and_left(judged):
    assert (judged.first.unchanged, judged.second.unchanged, judged.third.unchanged) == (0, 0, 2)
    assert judged.third.published == []
    assert len(judged.table("publications")) == 2 + 2


def test_each_newest_verdict_is_kept_for_the_analysis_with_the_faults(judged):
    verdicts = judged.second.judged
    assert set(verdicts) == set(map(experiment_id_of, NAMES))
    bad = verdicts[experiment_id_of("bad")]
    (held,) = judged.second.held
    assert (bad.day, bad.is_published, bad.faults) == (on(DAY), False, (held["detail"],))
    assert bad.allocation_id == allocation_of(judged, "bad", DAY)[0]
    assert bad.at == held["held_at"]
    good = verdicts[experiment_id_of("good")]
    assert (good.is_published, good.faults) == (True, ())
    assert good.allocation_id == allocation_of(judged, "good", DAY)[0]
    assert judged.third.judged == {}  # a finding that is noted is not analysed again
    assert verdicts.keys() == {
        row["experiment_id"] for row in judged.table("analysis") if row["as_of_date"] == on(DAY)
    }
    runs = {row["run_id"] for row in judged.table("analysis", volatile=True)}
    assert len(runs) == 2
    assert "second" in runs


def test_what_readers_get_is_reported_the_held_back_first(judged):
    rows = judged.second.served
    assert [row["experiment_name"] for row in rows] == ["bad"] * 2 + ["good"] * 2 + ["new"] * 2
    assert {row["as_of_date"] for row in rows[:2]} == {on(BEFORE)}
    assert {row["as_of_date"] for row in rows[2:]} == {on(DAY)}


def test_the_gate_reads_only_the_days_it_is_asked_for(make_world):
    world = two(make_world, "good")
    decide(world, BEFORE)
    world.clock.set("2025-03-19T02:00:00")
    decide(world, DAY)
    report = publish_days(world, DAY)
    assert [row["as_of_date"] for row in report.published] == [on(DAY)]
    world.clock.set("2025-03-20T02:00:00")
    report = run(world, BEFORE, NEXT)
    assert [row["as_of_date"] for row in report.published] == [on(BEFORE), on(NEXT)]
    assert [row["was_live"] for row in report.published] == [False, True]
    assert report.unchanged == 1


def test_a_hold_of_an_older_day_holds_nothing_back_now(make_world):
    world = two(make_world, "good")
    run(world, BEFORE)
    decide(world, DAY, NEXT)
    corrupt(world, "good", DAY)
    world.clock.set("2025-03-20T02:00:00")
    report = publish_days(world, DAY, NEXT)
    assert report.held_back == keys("good", day=DAY)
    assert report.held_now == []  # the next day was published after it
    # Its newest verdict is the one of the published day.
    (verdict,) = report.judged.values()
    assert (verdict.day, verdict.is_published) == (on(NEXT), True)
    # Held back again, of a day older than the newest: nothing to analyse and nothing held now.
    world.query("delete from publication_holds")
    again = publish_days(world, DAY, republish=True)
    assert (again.held_back, again.held_now) == (keys("good", day=DAY), [])
    assert len(again.held) == 1
    assert again.judged == {}


def test_a_first_decision_that_is_corrupt_is_held_back_although_there_is_nothing_to_keep(
    make_world,
):
    world = two(make_world, "good")
    decide(world, BEFORE)
    corrupt(world, "good", BEFORE)
    report = publish_days(world, BEFORE)
    assert report.held_now == [experiment_id_of("good")]
    assert report.published == []


def test_a_verdict_names_the_last_day_with_data_if_it_is_not_the_decided_one(make_world):
    world = two(make_world, "good")
    run(world, BEFORE)
    (world.inbox / f"metrics/{DAY}/export.csv").unlink()
    (world.inbox / f"metrics/{NEXT}/export.csv").unlink()
    world.clock.set("2025-03-19T02:00:00")
    (verdict,) = run(world, DAY).judged.values()
    assert verdict.faults == (f"no accepted impressions since {BEFORE}",)


# Older days, and experiments that do not run any more


def test_an_older_day_that_changed_is_published_again_only_when_asked(make_world):
    world = two(make_world, "good")
    run(world, BEFORE)
    world.clock.set("2025-03-19T02:00:00")
    run(world, DAY)
    newest = world.published("good")
    world.metrics(BEFORE, ("good", "control", 900, 90), name="late.csv")
    report = run(world, BEFORE)
    assert (report.published, report.unchanged) == ([], 1)
    report = publish_days(world, BEFORE, republish=True)
    (row,) = report.published
    assert (row["as_of_date"], row["was_live"], report.unchanged) == (on(BEFORE), False, 0)
    assert report.judged == {}  # readers see the newer decision
    assert world.published("good")[:-1] == newest
    # The next day continues the newest day's buckets, not those of the older one.
    world.clock.set("2025-03-20T02:00:00")
    (third,) = run(world, NEXT).published
    ((continued,),) = world.query("select buckets from publications where as_of_date = ?", DAY)
    _, shares = allocation_of(world, "good", NEXT)
    previous = {
        name: [(first, last) for first, last in pairs]
        for name, pairs in json.loads(continued).items()
    }
    assert third["buckets"] == json.dumps(bandit.assign_buckets(shares, previous))


def test_a_decision_of_a_paused_experiment_that_was_never_published_is(make_world):
    world = two(make_world, "good")
    decide(world, BEFORE)
    world.change("good", "2025-03-18T10:00:00Z", status="paused")
    world.clock.set("2025-03-19T12:00:00")
    (row,) = run(world, BEFORE).published
    assert (row["as_of_date"], row["was_live"]) == (on(BEFORE), False)


# Gaps


def silent_variant(make_world, **settings):
    """Return a world whose published shares promised impressions that did not come."""
    world = two(make_world, "good", **settings)
    run(world, BEFORE)
    for day in (DAY, NEXT):
        world.metrics(day, ("good", "control", 400, 4))
    world.clock.set("2025-03-20T02:00:00")
    return world


def test_a_variant_gap_holds_back_and_an_accepted_one_is_noted_for_later_days_too(make_world):
    # The day before is one with both variants: only one day is judged.
    world = silent_variant(make_world, max_data_gap_days=1, variant_gap_impressions=1)
    report = run(world, DAY)
    (held,) = report.held
    assert held["reason"] == VARIANT_GAP
    assert held["detail"].startswith(f"on {DAY} variant_a has no accepted impressions")
    assert report.accepted == []

    report = publish_days(world, DAY, accept_variant_gap=True)
    (accepted,) = report.accepted
    assert accepted["reason"] == ACCEPTED
    assert json.loads(accepted["detail"]) == {
        "accepted": ["silent: variant_a"],
        "detail": held["detail"],
    }
    (row,) = report.published
    assert (accepted["held_at"], accepted["run_id"]) == (row["published_at"], row["run_id"])
    assert (accepted["as_of_date"], accepted["experiment_id"]) == keys("good", day=DAY)[0]
    assert (report.held, report.held_back, report.held_now) == ([], [], [])
    (verdict,) = report.judged.values()
    assert (verdict.is_published, verdict.faults) == (True, (held["detail"],))
    holds = world.table("publication_holds", volatile=True)
    assert held in holds
    assert accepted in holds
    assert len(holds) == 2

    report = run(world, NEXT)  # the same gap: accepted without being asked again
    assert len(report.published) == len(report.accepted) == 1


def test_what_was_accepted_counts_for_the_next_day_of_the_same_run_and_not_for_more(make_world):
    world = silent_variant(make_world, max_data_gap_days=1, variant_gap_impressions=1)
    report = run(world, DAY, NEXT, accept_variant_gap=True)
    assert [row["as_of_date"] for row in report.accepted] == [on(DAY), on(NEXT)]
    # Another gap than the accepted one: rejected rows come to it.
    world.metrics(NEXT, ("good", "control", 401, 4), ("good", "variant_b", 400, 4))
    report = run(world, NEXT)
    assert [row["reason"] for row in report.held] == [VARIANT_GAP]
    assert "variant_b" in report.held[0]["detail"]


def test_a_gap_that_closed_is_not_accepted_for_ever(make_world):
    world = silent_variant(make_world, max_data_gap_days=1, variant_gap_impressions=1)
    run(world, DAY, accept_variant_gap=True)
    world.metrics(NEXT, *[("good", variant, 400, 4) for variant in VARIANTS])
    world.clock.set("2025-03-21T02:00:00")
    world.metrics("2025-03-20", ("good", "control", 400, 4))
    report = run(world, NEXT, "2025-03-20")  # closed, and there again, in one run
    assert [row["as_of_date"] for row in report.published] == [on(NEXT)]
    assert report.accepted == []
    assert [row["reason"] for row in report.held] == [VARIANT_GAP]


def test_an_accepted_gap_that_lasts_is_accepted_on_every_day_of_a_later_run(make_world):
    world = silent_variant(make_world, max_data_gap_days=1, variant_gap_impressions=1)
    run(world, DAY, accept_variant_gap=True)
    world.clock.set("2025-03-21T02:00:00")
    world.metrics("2025-03-20", ("good", "control", 400, 4))
    report = run(world, NEXT, "2025-03-20")
    assert [row["as_of_date"] for row in report.accepted] == [on(NEXT), on("2025-03-20")]
    assert (len(report.published), report.held) == (2, [])


@pytest.mark.parametrize(("allowed", "is_held"), [(2, True), (3, False)])
def test_a_data_gap_holds_back_from_its_last_allowed_day_on(make_world, allowed, is_held):
    world = two(make_world, "good", max_data_gap_days=allowed)
    run(world, BEFORE)
    for day in (DAY, NEXT):
        (world.inbox / f"metrics/{day}/export.csv").unlink()
    world.clock.set("2025-03-20T02:00:00")
    report = run(world, NEXT)
    assert bool(report.held) is is_held
    if is_held:
        assert (report.held[0]["reason"], report.held[0]["detail"]) == (
            "data_gap",
            f"no accepted impressions since {BEFORE}, 2 days are allowed",
        )


def test_the_journal_has_the_publication_with_its_moment(judged):
    rows = judged.platform.journal.read("publications").to_pylist()
    assert sorted(rows, key=str) == sorted(judged.table("publications", volatile=True), key=str)
    assert all(isinstance(row["published_at"], datetime) for row in rows)
