from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from mab_dashboard.counts import Counts, Decided, counts_of, decided
from mab_dashboard.what_if import decide_again, rule_of, with_preset

DAY = date(2026, 3, 9)
SETTINGS = {
    "default_window_days": 14,
    "max_window_days": 30,
    "min_impressions": 200,
    "prior_alpha": 1.0,
    "prior_beta": 99.0,
    "allocation_method": "exact",
    "thompson_samples": 1000,
    "seed_base": 0,
}
RULE = rule_of(SETTINGS)


def daily(day, **counts):
    rows = [{"variant_name": n, "impressions": i, "clicks": c} for n, (i, c) in counts.items()]
    return {"date": str(day), "variants": rows}


def again(days, rule=RULE, variants=("control", "b")):
    decision = Decided(DAY, variants, "control", (5000,) * len(variants))
    first = DAY - timedelta(days=rule.max_window_days - 1)
    counts = counts_of(days, variants, first=first, last=DAY)
    (found,) = decide_again("exp_0", [decision], counts, rule)
    return found


@pytest.mark.parametrize(
    ("age", "sources"),
    [
        (0, ("default_window", "default_window")),
        (13, ("default_window", "default_window")),
        (14, ("max_window", "max_window")),
        (29, ("max_window", "max_window")),
        (30, ("prior", "prior")),
    ],
)
def test_a_day_is_in_the_window_up_to_its_last_day(age, sources):
    day = DAY - timedelta(days=age)
    found = again([daily(day, control=(200, 2), b=(200, 20))])
    assert found.sources == sources
    assert found.impressions == ((0, 0) if sources[0] == "prior" else (200, 200))


def test_the_least_impressions_count_and_one_fewer_do_not():
    for shown, source in ((200, "default_window"), (199, "prior")):
        found = again([daily(DAY, control=(500, 5), b=(shown, 20))])
        assert found.sources == ("default_window", source)


def test_exploration_and_burn_in_give_their_shares():
    days = [daily(DAY, control=(5000, 50), b=(100, 1))]
    burning = again(days, replace(RULE, burn_in="on"))
    assert burning.hundredths == (5000, 5000)
    explored = again(
        [daily(DAY, control=(50_000, 5000), b=(50_000, 50))], replace(RULE, exploration=0.2)
    )
    assert explored.hundredths == (9000, 1000)


def test_counts_after_the_day_and_of_other_variants_do_not_count():
    days = [daily(DAY, control=(300, 3), b=(300, 9), gone=(9, 9))]
    later = [*days, daily(DAY + timedelta(days=1), control=(10**6, 10**5))]
    assert again(later) == again(days)


def test_options_of_a_preset_replace_others_and_windows_hold_their_order():
    rule = with_preset(replace(RULE, exploration=0.5, max_window_days=20), "robust")
    assert (rule.exploration, rule.burn_in, rule.estimate) == (0.02, "on", "day_effects")
    assert (rule.default_window_days, rule.max_window_days) == (28, 28)
    assert with_preset(rule, "brief") == replace(RULE, default_window_days=28, max_window_days=28)


def test_settings_of_another_version_are_read_without_what_is_unknown():
    assert rule_of({**SETTINGS, "to_come": 1}) == RULE


def test_of_several_publications_of_a_day_the_last_counts():
    row = {"variant_name": "b", "is_control": False}
    bodies = [
        {"as_of_date": str(DAY), "allocations": [row | {"allocation_percentage": share}]}
        for share in (12.34, 56.78)
    ]
    assert decided(bodies) == [Decided(DAY, ("b",), None, (5678,))]


def test_no_decision_gives_none():
    assert decide_again("exp_0", [], Counts(DAY, (), *np.zeros((2, 0, 0), int)), RULE) == []
