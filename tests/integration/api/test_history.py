from datetime import timedelta

import pytest

from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.homes import YESTERDAY

FIRST = experiment_id_of("experiment_000")
HISTORY = f"/experiments/{FIRST}/history"
PUBLICATIONS = f"/experiments/{FIRST}/allocations"
PAGES = 1000
DAYS = [YESTERDAY - timedelta(days=offset) for offset in range(9, -1, -1)]


@pytest.fixture
def ten_days(templates, start, tmp_path):
    """An API on a home with ten days of counts and publications, a minute apart."""
    return start(templates["ten_days"].clone(tmp_path / "ten_days"))


def pages(api, path: str, key: str, **query: object) -> list[list[dict]]:
    """Follow the cursors to the end."""
    found, cursor = [], None
    for _ in range(PAGES):  # a cursor that leads in circles must not hang the suite
        more = {"cursor": cursor} if cursor else {}
        body = api.get(path, params=query | more).json()
        found.append(body[key])
        cursor = body["next_cursor"]
        if cursor is None:
            return found
    pytest.fail(f"the cursors had not led to the end after {PAGES} pages")


def test_counts_come_oldest_first_with_their_rate(ten_days):
    body = ten_days.get(HISTORY).json()
    assert [row["date"] for row in body["history"]] == [str(day) for day in DAYS for _ in range(3)]
    assert body["history"][1] == {
        "date": str(DAYS[0]),
        "variant_name": "variant_a",
        "impressions": 1001,
        "clicks": 10,
        "ctr": 10 / 1001,
        "received_at": "2026-03-10T09:31:00Z",
    }
    assert body["next_cursor"] is None


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [(None, None, 10), (3, None, 7), (None, 3, 4), (3, 3, 1), (5, 3, 0)],
)
@pytest.mark.parametrize(
    ("path", "key", "per_day"), [(HISTORY, "history", 3), (PUBLICATIONS, "publications", 1)]
)
def test_from_and_to_bound_the_days_on_both_sides(
    ten_days, path, key, per_day, *, first, last, days
):
    query = {
        name: str(DAYS[place])
        for name, place in (("from", first), ("to", last))
        if place is not None
    }
    assert len(ten_days.get(path, params=query).json()[key]) == days * per_day


@pytest.mark.parametrize("limit", [1, 2, 4, 29, 30])
@pytest.mark.parametrize(("path", "key"), [(HISTORY, "history"), (PUBLICATIONS, "publications")])
def test_pages_of_any_length_put_together_are_the_whole(ten_days, path, key, limit):
    whole = ten_days.get(path).json()[key]
    found = pages(ten_days, path, key, limit=limit)
    assert all(len(page) == limit for page in found[:-1])
    assert [row for page in found for row in page] == whole


@pytest.mark.parametrize("path", [HISTORY, PUBLICATIONS])
@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "x"},
        {"from": "x"},
        {"to": "2026-02-30"},
        {"cursor": "x"},
        {"cursor": ""},
        {"cursor": "-1-61"},
        {"cursor": "9999999-61"},
    ],
)
def test_a_query_that_makes_no_sense_is_422_and_names_the_parameter(ten_days, path, query):
    answer = ten_days.get(path, params=query)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [
        f"/query/{next(iter(query))}"
    ]


@pytest.mark.parametrize("cursor", ["1-ff", "999999-00", "739000-c3"])
def test_any_cursor_of_the_right_form_is_a_place_in_history(ten_days, cursor):
    assert ten_days.get(HISTORY, params={"cursor": cursor}).status_code == 200


def test_publications_show_what_was_served_on_each_day(ten_days):
    found = ten_days.get(PUBLICATIONS).json()["publications"]
    assert [publication["as_of_date"] for publication in found] == [str(day) for day in DAYS]
    served = ten_days.get(f"/experiments/{FIRST}/allocation").json()
    newest = found[-1]
    assert newest["allocations"] == served["allocations"]
    assert {key: served[key] for key in newest if key != "was_live"} == {
        key: value for key, value in newest.items() if key != "was_live"
    }


def test_a_day_that_was_published_twice_is_shown_twice_in_order(ten_days):
    home = ten_days.home
    home.clock.now += timedelta(hours=1)
    home.publish(DAYS[4], counts=False)
    assert ten_days.refresh()
    found = [p for page in pages(ten_days, PUBLICATIONS, "publications", limit=1) for p in page]
    days = [p["as_of_date"] for p in found]
    assert days == sorted([*(str(day) for day in DAYS), str(DAYS[4])])
    again = [p["published_at"] for p in found if p["as_of_date"] == str(DAYS[4])]
    assert again == sorted(again)
    assert len(set(again)) == 2


def test_a_page_is_queried_once_per_publication(ten_days, monkeypatch):
    first = ten_days.get(HISTORY)

    def forbidden(*_arguments):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr("mab_api.routes.history._query", forbidden)
        assert ten_days.get(HISTORY).content == first.content
    ten_days.home.clock.now += timedelta(days=1)
    ten_days.home.publish(YESTERDAY + timedelta(days=1))
    assert ten_days.refresh()
    assert len(ten_days.get(HISTORY).json()["history"]) == 33


def test_an_experiment_without_counts_has_an_empty_history(ten_days):
    body = {"name": "new", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
    location = ten_days.post("/experiments", json=body).headers["location"]
    assert ten_days.get(f"{location}/history").json()["history"] == []
    assert ten_days.get(f"{location}/allocations").json()["publications"] == []
