"""Why the shares moved: each reason alone, and none where there is none."""

import copy

import pytest

from mab_dashboard.moves import why_moved


def day(name: str, *, inside: bool = True, clicks: int = 3) -> dict:
    rows = [{"variant_name": "a", "impressions": 100, "clicks": clicks}]
    return {"date": name, "is_in_default_window": inside, "variants": rows}


@pytest.fixture
def before() -> dict:
    return {
        "settings": {"min_impressions": 200},
        "variants": [
            {
                "variant_name": name,
                "allocation_percentage": 50.0,
                "data_source": "default_window",
                "metrics": {"impressions": 300, "clicks": 9, "ctr": 0.03},
            }
            for name in ("a", "b")
        ],
        "days": [day("2026-03-01"), day("2026-03-02")],
    }


def keys(before, now) -> list[str]:
    return [fact.key for fact in why_moved(before, now)]


def test_the_first_decision_has_nothing_to_compare_with(before):
    assert keys(None, before) == ["moved_first"]


def test_the_same_evidence_moves_nothing(before):
    assert keys(before, copy.deepcopy(before)) == ["moved_not"]


@pytest.mark.parametrize(("change", "key"), [(0.05, "moved_draws"), (0.04, "moved_not")])
def test_shares_that_differ_without_a_reason_differ_by_the_draws(before, change, key):
    now = copy.deepcopy(before)
    now["variants"][0]["allocation_percentage"] += change
    assert keys(before, now) == [key]


def test_days_that_came_and_left_are_named_with_their_counts(before):
    now = copy.deepcopy(before)
    now["days"] = [day("2026-03-01", inside=False), day("2026-03-02"), day("2026-03-03")]
    found = why_moved(before, now)
    assert [(fact.key, fact.values["day"]) for fact in found] == [
        ("moved_day_in", "2026-03-03"),
        ("moved_day_out", "2026-03-01"),
    ]
    assert found[0].values["impressions"] == 100


def test_a_corrected_day_is_named(before):
    now = copy.deepcopy(before)
    now["days"][0] = day("2026-03-01", clicks=4)
    assert keys(before, now) == ["moved_late"]


@pytest.mark.parametrize("source", ["prior", "max_window"])
def test_another_window_is_named_in_both_directions(before, source):
    now = copy.deepcopy(before)
    now["variants"][1]["data_source"] = source
    assert keys(before, now) == [f"moved_to_{source}"]
    assert keys(now, before) == ["moved_to_default_window"]


def test_changed_counts_come_largest_first(before):
    now = copy.deepcopy(before)
    for row, more in zip(now["variants"], (10, 100), strict=True):
        row["metrics"] = {"impressions": 300 + more, "clicks": 10, "ctr": 10 / (300 + more)}
    found = why_moved(before, now)
    assert [fact.values["variant"] for fact in found] == ["b", "a"]
    assert found[0].values["impressions"] == 100


def test_variants_that_joined_or_left_and_settings_are_named(before):
    now = copy.deepcopy(before)
    now["variants"][1]["variant_name"] = "c"
    now["settings"] = {"min_impressions": 100}
    assert keys(before, now) == ["moved_joined", "moved_left", "moved_settings"]
