from datetime import UTC, date, datetime, timedelta

import pytest

from mab_dashboard.quality import (
    feeds,
    late_files,
    missing_days,
    rejections,
    silent_since,
    verdict_counts,
)


def days(*numbers: int) -> list[date]:
    return [date(2026, 3, number) for number in numbers]


def file(verdict: str, rows: int = 1, *, received: str = "2026-03-02T01:00:00Z") -> dict:
    return {
        "source_file": "metrics/x.csv",
        "received_at": received,
        "verdict": verdict,
        "row_count": rows,
        "variant_name": "a",
    }


@pytest.mark.parametrize(
    ("known", "through", "missing"),
    [
        ((), None, ()),
        ((1, 2, 3), None, ()),
        ((1, 4), None, (2, 3)),
        ((1, 2), 4, (3, 4)),
        ((1, 4), 2, (2, 3)),
    ],
)
def test_missing_days_lie_between_the_first_and_the_last_expected(known, through, missing):
    last = date(2026, 3, through) if through else None
    assert missing_days(days(*known), through=last) == days(*missing)


@pytest.mark.parametrize(
    ("received", "late"),
    [
        ("2026-03-03T00:00:00Z", []),
        ("2026-03-03T00:00:00.000001Z", [1]),
        ("2026-03-04T00:00:00Z", [2]),
    ],
)
def test_a_file_is_late_after_the_day_after_its_day(received, late):
    found = late_files([{"date": "2026-03-01", "files": [file("accepted", received=received)]}])
    assert [item.days_late for item in found] == late


def test_rejected_rows_are_listed_and_good_ones_counted():
    item = {
        "date": "2026-03-01",
        "files": [
            file("accepted", 5),
            file("superseded", 2),
            file("negative", 3),
            file("accepted"),
        ],
    }
    assert [(row["reason"], row["rows"]) for row in rejections([item])] == [("negative", 3)]
    assert [(row["verdict"], row["rows"]) for row in verdict_counts([item])] == [
        ("accepted", 6),
        ("negative", 3),
        ("superseded", 2),
    ]


def test_a_variant_without_impressions_on_the_last_day_is_silent():
    daily = [
        {"date": "2026-03-01", "variants": [{"variant_name": "a", "impressions": 5}]},
        {
            "date": "2026-03-02",
            "variants": [
                {"variant_name": "a", "impressions": 0},
                {"variant_name": "b", "impressions": 5},
            ],
        },
    ]
    found = silent_since(daily, ["a", "b", "c"], through=date(2026, 3, 2))
    assert found == {"a": date(2026, 3, 1), "c": None}


def feed(name, through, *, status="running", **overview):
    full = {
        "advice": None,
        "leader": None,
        "as_of_date": "2026-03-09",
        "effective_date": "2026-03-10",
        "data_through": through,
        "fresh_until": "2026-03-11T04:00:00Z",
        "held_back": None,
        "days": 1,
        "impressions": 5,
        "rejected_rows": 0,
        "shares": [],
    } | overview
    return {"experiment_id": name, "name": name, "status": status, "overview": full}


def test_feeds_that_are_silent_late_or_rejected_are_listed_the_longest_silence_first():
    now = datetime(2026, 3, 11, 4, tzinfo=UTC)
    items = [
        feed("fine", "2026-03-09"),
        feed("late by a day", "2026-03-08"),
        feed("never", None, impressions=0),
        feed("paused", "2026-01-01", status="paused"),
        feed("rejected", "2026-03-09", rejected_rows=2),
        {"experiment_id": "new", "name": "new", "status": "running", "overview": None},
    ]
    found = [(one.name, one.days_silent, one.badges) for one in feeds(items, now=now)]
    assert found == [
        ("never", None, ("no_traffic",)),
        ("late by a day", 1, ()),
        ("rejected", 0, ("rejected_rows",)),
    ]
    assert len(feeds(items, now=now + timedelta(microseconds=1))) == 4
    assert feeds([], now=now) == []
