import pytest

from mab_dashboard.experiment_parts import other_leader, what_changed


@pytest.mark.parametrize(("advised", "expected"), [(None, None), ("a", None), ("b", "a")])
def test_a_leader_that_the_advice_does_not_name_is_said(advised, expected):
    variants = [
        {"variant_name": "b", "probability_best": 0.2},
        {"variant_name": "a", "probability_best": 0.8},
    ]
    assert other_leader({"advice": {"variant_name": advised}, "variants": variants}) == expected


def test_a_change_is_told_by_its_keys():
    change = {
        "status": "paused",
        "add_variants": ["c"],
        "retire_variants": ["<b>"],
        "decision": {"prior": "own_rate"},
    }
    assert what_changed(change) == "status = paused; + c; - <b>; prior = own_rate"
    nothing = {"status": None, "add_variants": [], "retire_variants": [], "decision": None}
    assert what_changed(nothing) == ""
