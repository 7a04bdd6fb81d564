"""The options of the rule from the settings to the body, in replay, rebuild and explain."""

import io
import json
from datetime import date

import pytest
from rich.console import Console

from mab_pipeline.allocation.recorded import find_record
from mab_pipeline.cli.console import rendered
from mab_pipeline.ingestion.late_data import Arrivals, Plan, plan_runs
from mab_pipeline.operations.explain import explain
from mab_pipeline.operations.replay import replay
from mab_pipeline.recovery.rebuild import rebuild
from mab_store.warehouse.reader import open_reader
from tests.integration.conftest import World
from tests.integration.dashboard.again import decided_again
from tests.integration.steps import load, run

FIRST, LAST = "2025-03-12", "2025-03-15"
OPTIONS = {"decision_preset": "robust", "control_min_allocation": 0.1}


@pytest.fixture(scope="module")
def world(make_world):
    """Four days of `shop` with all options on; `c` joins with few impressions, `old` is starved."""
    world = make_world(now="2025-03-16T02:00:00", **OPTIONS)
    world.register("shop", "control", "b", "old", created="2025-01-01T00:00:00Z")
    world.change("shop", "2025-03-12T08:00:00Z", add_variants=["c"])
    world.register("own", created="2025-01-01T00:00:00Z", decision={"decision_preset": "brief"})
    world.change("own", "2025-03-13T08:00:00Z", decision={"exploration": 1, "estimate": "pooled"})
    # Older than any window; burn-in counts it, as it counts all days.
    world.metrics("2025-01-10", ("shop", "old", 500, 20))
    for place, day in enumerate((FIRST, "2025-03-13", "2025-03-14", LAST)):
        rows = [("shop", "control", 400, 30 - place), ("shop", "b", 300 + 50 * place, 20)]
        rows += [("shop", "old", 10, 1), ("own", "control", 900, 9), ("own", "variant_a", 900, 90)]
        rows += [("shop", "c", 40, 4)] if day > FIRST else []
        world.metrics(day, *rows)
    load(world, "2025-01-10")
    run(world, FIRST, LAST)
    return world


def record_of(world, day=LAST, name="shop"):
    with open_reader(world.settings) as copy:
        return find_record(copy, name, date.fromisoformat(day))


def told(world, day=LAST):
    with open_reader(world.settings) as copy:
        record = find_record(copy, "shop", date.fromisoformat(day))
        screen = Console(width=200, file=io.StringIO())
        screen.print(rendered(explain(copy, record)))
    return " ".join(screen.file.getvalue().split())


def test_every_option_is_recorded_with_the_decision(world):
    record = record_of(world)
    assert json.loads(record.head["settings"]) == {
        "allocation_method": "monte_carlo",
        "burn_in": "on",
        "control_min_allocation": 0.1,
        "default_window_days": 28,
        "estimate": "day_effects",
        "exploration": 0.02,
        "max_window_days": 30,
        "min_impressions": 200,
        "prior": "own_rate",
        "prior_alpha": 1.0,
        "prior_beta": 99.0,
        "seed_base": 0,
        "short_window": "keep",
        "thompson_samples": 10000,
    }


def test_the_new_variant_is_in_burn_in_and_the_starved_one_is_not(world):
    shares = world.shares("shop", LAST)
    assert sum(shares.values()) == pytest.approx(100)
    # The floors 10, 0.5, 0.5, 0.5 leave 88.5 %, of which c gets a quarter.
    assert shares["c"] == pytest.approx(0.5 + 88.5 / 4, abs=0.01)
    assert shares["control"] >= 9.99
    rows = record_of(world).rows
    assert (rows["c"]["data_source"], rows["c"]["impressions"]) == ("max_window", 120)
    assert (rows["old"]["data_source"], rows["old"]["clicks"]) == ("max_window", 4)
    assert rows["control"]["alpha"] != 1.0 + rows["control"]["clicks"]  # day effects


def test_the_decisions_are_published_and_every_check_passes(world):
    for name in ("shop", "own"):
        assert [day for day, _ in world.published(name)][-1] == LAST
    body = world.bodies()["shop"]
    assert body["as_of_date"] == LAST
    assert world.query("select count(*) from publication_holds") == [(0,)]


@pytest.mark.parametrize("day", [FIRST, LAST])
def test_a_decision_replays_bit_for_bit_under_other_settings(world, day):
    other = World(world.home, now="2025-03-16T03:00:00")
    result = replay(other.platform, record_of(world, day))
    assert result.differences == []
    assert result.notes == []


@pytest.mark.parametrize("day", [FIRST, "2025-03-13", LAST])
def test_an_experiments_own_options_decide_from_the_day_after_they_were_made(world, day):
    record = record_of(world, day, "own")
    recorded = json.loads(record.head["settings"])
    if day == FIRST:  # decided for 13 March; the change holds from 14 March on
        assert {"burn_in", "exploration", "estimate"}.isdisjoint(recorded)
        assert world.shares("own", day)["variant_a"] > 99
    else:
        assert (recorded["exploration"], recorded["burn_in"]) == (1, "on")
        assert "estimate" not in recorded
        assert set(world.shares("own", day).values()) == {50}
    other = World(world.home, now="2025-03-16T03:00:00")
    assert replay(other.platform, record).is_exact


def test_a_file_older_than_every_window_decides_the_newest_day_again_for_burn_in_alone(world):
    day = date(2025, 1, 5)
    arrivals = Arrivals(metrics={"metrics/2025-01-05/late.csv": day}, events=[], key="")
    newest = date.fromisoformat(LAST)
    assert plan_runs(world.platform, arrivals) == Plan(audit=(day, day), decide=(newest, newest))
    brief = World(world.home, now="2025-03-16T03:00:00")
    assert plan_runs(brief.platform, arrivals) == Plan(audit=(day, day), decide=None)


def test_explain_says_which_options_decided_and_how(world):
    text = told(world)
    for part in (
        "c: 120 impressions in 28 days, fewer than 200; 120 in 30 days, too few again: it kept",
        "c: in burn-in: 120 of 200 impressions since it joined, so it has an equal part, 1 of 4",
        "Exploration of 2 % in total (EXPLORATION): each variant gets at least 0.5 %.",
        "The control gets at least 10 % (CONTROL_MIN_ALLOCATION).",
        "Day effects (ESTIMATE=day_effects): a log-linear model takes the effects of 4 days",
        "from the experiment's own click rate (PRIOR=own_rate)",
        "Of what the options above leave, the share is the part of 10000 draws",
    ):
        assert part in text, part
    assert "old: in burn-in" not in text


def test_the_briefs_rule_decides_again_beside_it_and_a_rebuild_keeps_both(world):
    before = record_of(world)
    brief = World(world.home, now="2025-03-16T04:00:00")
    brief.run(LAST)
    after = record_of(brief)
    assert "burn_in" not in after.head["settings"]
    assert after.rows["c"]["data_source"] == "prior"
    assert before.head["allocation_id"] in after.version_ids
    text = told(brief)
    assert "c: the prior replaced its own 12 clicks of 120 impressions; with them its share" in text
    assert "(SHORT_WINDOW=keep, by the exact method)" in text
    rows = brief.table("allocations", volatile=True)
    rebuild(brief.platform)
    assert brief.table("allocations", volatile=True) == rows
    assert replay(brief.platform, before).is_exact
    assert replay(brief.platform, after).is_exact


@pytest.mark.parametrize("name", ["shop", "own"])
def test_what_if_with_the_recorded_settings_is_what_was_published_bit_for_bit(world, name):
    found = decided_again(world.settings, name)
    assert [one.hundredths for one in found] == [one.decided.hundredths for one in found]
    assert len(found) == 4
