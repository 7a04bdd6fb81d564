from datetime import UTC, datetime, timedelta

import pytest

from mab_dashboard.look import MOST_NAMED, overview_row, share_bars
from mab_dashboard.overview import counts_by_verdict, row_of, sorted_rows
from mab_dashboard.place import Place, place_of

LATE = datetime(2026, 3, 12, 4, tzinfo=UTC)


def item(name: str = "checkout", **overview: object) -> dict:
    shares = [
        {
            "variant_name": variant,
            "is_control": variant == "control",
            "allocation_percentage": share,
            "previous_percentage": None,
            "data_source": "default_window",
        }
        for variant, share in (("control", 25.0), ("<b>x</b>", 75.0))
    ]
    full = {
        "advice": {"verdict": "winner", "reason": "b leads.", "error_rate": None},
        "leader": {
            "variant_name": "b",
            "probability_best": 0.99,
            "lift": 0.1,
            "lift_interval": [0, 1],
        },
        "as_of_date": "2026-03-10",
        "effective_date": "2026-03-11",
        "data_through": "2026-03-10",
        "fresh_until": "2026-03-12T04:00:00Z",
        "held_back": None,
        "days": 20,
        "impressions": 5000,
        "shares": shares,
    } | overview
    return {"experiment_id": f"exp_{name}", "name": name, "status": "running", "overview": full}


def badges(**overview: object) -> tuple[str, ...]:
    return row_of(item(**overview), now=LATE).badges


def test_a_healthy_experiment_has_no_badge_until_it_is_late():
    assert badges() == ()
    assert row_of(item(), now=LATE + timedelta(microseconds=1)).badges == ("stale",)


@pytest.mark.parametrize(
    ("overview", "expected"),
    [
        ({"held_back": {"reason": "data_gap", "detail": "x"}}, "held_back"),
        ({"impressions": 0}, "no_traffic"),
        ({"advice": None, "leader": None}, "no_analysis"),
    ],
)
def test_each_badge_has_its_cause(overview, expected):
    assert badges(**overview) == (expected,)


def test_the_prior_and_a_frozen_allocation_have_a_badge():
    shown = item()
    shown["overview"]["shares"][0]["data_source"] = "prior"
    shown["status"] = "paused"
    assert row_of(shown, now=LATE).badges == ("frozen", "prior")


def test_a_frozen_allocation_is_never_late():
    assert badges(fresh_until=None) == ()


def test_what_is_not_published_has_only_that_badge():
    shown = item() | {"overview": None}
    row = row_of(shown, now=LATE)
    assert (row.badges, row.verdict, row.shares) == (("not_published",), None, [])
    assert overview_row(row, "en")


def test_rows_are_sorted_and_those_without_the_value_come_last():
    rows = [
        row_of(item("b", leader=None, impressions=1), now=LATE),
        row_of(item("c", advice={"verdict": "data_problem", "reason": "x"}), now=LATE),
        row_of(item("a", advice=None), now=LATE),
    ]
    names = {order: [row.name for row in sorted_rows(rows, order)] for order in ("name", "verdict")}
    assert names == {"name": ["a", "b", "c"], "verdict": ["c", "b", "a"]}
    assert [row.name for row in sorted_rows(rows, "lift")] == ["a", "c", "b"]
    assert [row.name for row in sorted_rows(rows, "impressions")] == ["a", "c", "b"]
    assert counts_by_verdict(rows) == {
        "data_problem": 1,
        "winner": 1,
        "safe_to_stop": 0,
        "keep_running": 0,
    }


def test_names_in_a_row_are_text():
    shown = item(advice={"verdict": "winner", "reason": "<script>", "error_rate": None})
    text = overview_row(row_of(shown, now=LATE), "pt")
    assert "<script" not in text
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt; 75,0 %" in text


def test_the_bars_say_their_numbers_and_many_variants_are_cut():
    shares = item()["overview"]["shares"]
    many = [shares[0] | {"variant_name": f"v{n}"} for n in range(MOST_NAMED + 3)]
    assert "control 25.0 %" in share_bars(shares, "en")
    assert "+3" in share_bars(many, "en")
    assert "before" not in share_bars(shares, "en")
    assert 'class="bar before"' in share_bars(
        [share | {"previous_percentage": 50.0} for share in shares], "en"
    )


@pytest.mark.parametrize(
    "place",
    [
        Place(),
        Place("overview", language="pt"),
        Place("experiment", "exp_0123456789ab"),
        Place("experiment", "exp_0123456789ab", LATE.date(), "pt"),
        Place("quality", "exp_0123456789ab"),
    ],
)
def test_a_place_is_its_url_and_back(place):
    assert place_of(place.query()) == place


@pytest.mark.parametrize(
    "query", [{"page": "x"}, {"page": "", "lang": "de"}, {"date": "2026-02-30"}, {"date": "x"}]
)
def test_a_url_that_makes_no_sense_is_the_overview(query):
    assert place_of(query) == Place()
