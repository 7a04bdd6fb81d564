"""Overview, daily counts, quality and explanation: what the dashboard and an analyst ask for."""

from datetime import datetime, timedelta

import duckdb
import pytest

from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api import homes
from tests.integration.api.homes import YESTERDAY

FIRST = experiment_id_of("experiment_000")
DAYS = [YESTERDAY - timedelta(days=offset) for offset in range(9, -1, -1)]


@pytest.fixture
def ten_days(templates, start, tmp_path):
    return start(templates["ten_days"].clone(tmp_path / "ten_days"))


def listed(api, **query):
    answer = api.get("/experiments", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()["experiments"]


def test_the_overview_is_what_the_other_routes_say(ten_days):
    (item, *_) = listed(ten_days)
    overview = item.pop("overview")
    assert item == ten_days.get(f"/experiments/{FIRST}").json()
    body = ten_days.get(f"/experiments/{FIRST}/allocation").json()
    analysis = ten_days.get(f"/experiments/{FIRST}/analysis").json()
    before = ten_days.get(f"/experiments/{FIRST}/allocations").json()["publications"][-2]
    assert overview["advice"] == analysis["advice"]
    assert overview["advice"]["messages"] == [
        {"code": "few_days", "parameters": {"days": "1", "needed": "14"}}
    ]
    assert overview["rejected_rows"] == analysis["rejected_rows"] == 0
    for name in ("as_of_date", "effective_date", "published_at", "data_through", "held_back"):
        assert overview[name] == body[name]
    best = max(analysis["variants"], key=lambda variant: variant["probability_best"])
    assert overview["leader"] == {name: best[name] for name in overview["leader"]}
    assert [share["allocation_percentage"] for share in overview["shares"]] == [
        variant["allocation_percentage"] for variant in body["allocations"]
    ]
    assert [share["previous_percentage"] for share in overview["shares"]] == [
        variant["allocation_percentage"] for variant in before["allocations"]
    ]
    assert (overview["days"], overview["impressions"]) == (10, 10 * (1000 + 1001 + 1002))


def test_an_overview_turns_stale_at_the_moment_at_which_the_allocation_does(ten_days):
    (item, *_) = listed(ten_days)
    last = datetime.fromisoformat(item["overview"]["fresh_until"]).replace(tzinfo=None)
    for moment, stale in ((last, False), (last + timedelta(microseconds=1), True)):
        ten_days.home.clock.now = moment
        assert ten_days.get(f"/experiments/{FIRST}/allocation").json()["is_stale"] is stale


def test_without_an_analysis_or_a_publication_before_the_overview_says_null(
    home, start, monkeypatch
):
    monkeypatch.setattr(homes, "ANALYSED", 2)
    home.publish()
    first, _, last = [item["overview"] for item in listed(start(home))]
    assert first["leader"]["lift"] is not None or first["leader"]["variant_name"] == "control"
    assert (last["advice"], last["leader"]) == (None, None)
    assert {share["previous_percentage"] for share in last["shares"]} == {None}


def test_a_registered_experiment_has_no_overview_yet(api):
    body = {"name": "a new one", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
    api.post("/experiments", json=body)
    assert [item["overview"] for item in listed(api, q="new ONE")] == [None]
    assert listed(api, q="new one", status="running", verdict="winner") == []


def test_a_list_is_searched_and_filtered(api):
    for query, expected in [
        ({}, 3),
        ({"q": "_00"}, 3),
        ({"q": "EXPERIMENT_001"}, 1),
        ({"q": FIRST[4:]}, 1),
        ({"q": "%"}, 0),
        ({"status": "running"}, 3),
        ({"status": "paused"}, 0),
        ({"verdict": "keep_running"}, 3),
        ({"verdict": "winner"}, 0),
        ({"verdict": "keep_running", "status": "running", "q": "_002"}, 1),
    ]:
        assert len(listed(api, **query)) == expected, query


def test_a_filter_that_makes_no_sense_is_422_and_names_the_parameter(api):
    for name, value in [("q", ""), ("q", "x" * 201), ("status", "x"), ("verdict", "")]:
        answer = api.get("/experiments", params={name: value})
        assert answer.status_code == 422
        assert [error["pointer"] for error in answer.json()["errors"]] == [f"/query/{name}"]


def test_pages_of_a_filtered_list_are_the_whole(api):
    names, cursor = [], None
    for _ in range(9):
        more = {"cursor": cursor} if cursor else {}
        body = api.get("/experiments", params={"q": "experiment", "limit": 1} | more).json()
        names += [item["name"] for item in body["experiments"]]
        cursor = body["next_cursor"]
        if cursor is None:
            break
    assert names == ["experiment_000", "experiment_001", "experiment_002"]


def test_daily_counts_name_their_files(ten_days):
    body = ten_days.get(f"/experiments/{FIRST}/daily").json()
    assert [day["date"] for day in body["days"]] == [str(day) for day in DAYS]
    assert body["days"][0]["variants"][1] == {
        "variant_name": "variant_a",
        "impressions": 1001,
        "clicks": 10,
        "ctr": 10 / 1001,
        "source_file": f"metrics/{DAYS[0]}/counts.csv",
        "received_at": "2026-03-10T09:31:00Z",
    }


def test_received_rows_are_shown_as_they_came_with_their_verdicts(home, start):
    common = {"metric_date": YESTERDAY, "received_at": homes.NOW, "experiment": "experiment_000"}
    texts = [("control", "10", "1"), ("control", "12", "2"), ("nobody", "5", "1")]
    texts += [("variant_a", "<b>", "=1+1"), ("variant_a", "5", "6")]
    rows = [
        common
        | {
            "source_file": f"metrics/{YESTERDAY}/{'ab'[place % 2]}.csv",
            "row_number": place,
            "variant_name": variant,
            "impressions": shown,
            "clicks": clicks,
        }
        for place, (variant, shown, clicks) in enumerate(texts, start=1)
    ]
    home._append("raw_metrics", rows)
    home.publish()
    api = start(home)
    path = f"/experiments/{FIRST}/rows"
    whole = api.get(path).json()["rows"]
    assert [row["source_file"][-5] for row in whole] == ["a", "a", "b", "b", "b"]
    verdicts = {row["row_number"]: row["verdict"] for row in whole}
    assert verdicts == {
        1: "accepted",  # of the same time the later file counts
        2: "superseded",
        3: "unknown_variant",
        4: "not_an_integer",
        5: "clicks_exceed_impressions",
    }
    assert {(row["impressions"], row["clicks"]) for row in whole} >= {("<b>", "=1+1"), ("5", "6")}
    for verdict, count in [("rejected", 3), ("accepted", 1), ("superseded", 1), ("negative", 0)]:
        found = api.get(path, params={"verdict": verdict}).json()["rows"]
        assert len(found) == count, verdict
    for limit in (1, 2, 4, 5):
        found, cursor = [], None
        while cursor or not found:
            more = {"cursor": cursor} if cursor else {}
            body = api.get(path, params={"limit": limit} | more).json()
            found, cursor = found + body["rows"], body["next_cursor"]
        assert found == whole, limit
    for query in ({"verdict": "x'"}, {"cursor": "1-2-x"}, {"from": "x"}, {"limit": 0}):
        assert api.get(path, params=query).status_code == 422, query


def test_pages_of_days_put_together_are_the_whole(ten_days):
    path = f"/experiments/{FIRST}/daily"
    whole = ten_days.get(path).json()["days"]
    for limit in (1, 3, 9, 10, 11):
        found, cursor = [], None
        for _ in range(20):
            more = {"cursor": cursor} if cursor else {}
            body = ten_days.get(path, params={"limit": limit} | more).json()
            assert len(body["days"]) <= limit
            found += body["days"]
            cursor = body["next_cursor"]
            if cursor is None:
                break
        assert found == whole, limit


def test_from_and_to_bound_the_days_and_nonsense_is_422(ten_days):
    path = f"/experiments/{FIRST}/daily"
    for query, days in [
        ({"from": DAYS[3]}, 7),
        ({"to": DAYS[3]}, 4),
        ({"from": DAYS[3], "to": DAYS[3]}, 1),
    ]:
        assert len(ten_days.get(path, params=query).json()["days"]) == days, query
    for part in ("daily", "quality"):
        for query in ({"limit": 0}, {"cursor": "x"}, {"cursor": "0"}, {"from": "x"}):
            answer = ten_days.get(f"/experiments/{FIRST}/{part}", params=query)
            assert answer.status_code == 422, query


def test_an_explanation_of_any_day_is_that_days(ten_days):
    path = f"/experiments/{FIRST}/explanation"
    newest = ten_days.get(path).json()
    assert newest == ten_days.get(path, params={"date": str(DAYS[-1])}).json()
    body = ten_days.get(path, params={"date": str(DAYS[4])}).json()
    assert (body["as_of_date"], body["effective_date"]) == (str(DAYS[4]), str(DAYS[5]))
    assert [day["date"] for day in body["days"]] == [str(day) for day in DAYS[:5]]
    assert all(day["is_in_default_window"] for day in body["days"])
    assert body["allocation_id"] != newest["allocation_id"]


def test_a_day_without_a_decision_is_404_in_a_sentence(ten_days):
    for day in (str(DAYS[0] - timedelta(days=1)), "9999-12-31"):
        answer = ten_days.get(f"/experiments/{FIRST}/explanation", params={"date": day})
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"There is no allocation for {day}."


def test_a_copy_of_an_older_version_is_503_that_says_so(published, start):
    copy = duckdb.connect(str(published.copies()[-1]))
    copy.execute("drop view served_verdicts")
    copy.close()
    api = start(published)
    for path in ("explanation", "quality"):
        answer = api.get(f"/experiments/{FIRST}/{path}")
        assert answer.status_code == 503
        assert "older version" in answer.json()["detail"]
    assert api.get(f"/experiments/{FIRST}/allocation").status_code == 200
