"""Silent variants: which promises count, since when, and both sides of every edge.

The day is the 10th of March, MAX_DATA_GAP_DAYS=3: the 8th, 9th and 10th are judged.
"""

from typing import Any

import pytest

from tests.unit.pipeline.allocation.gap_scene import (
    BEGINNING,
    END,
    TOMORROW,
    Scene,
    march,
    traffic,
)

# Silence: a variant without impressions that were promised to it.


def silence(control: int = 100, days: tuple[int, ...] = (10,)) -> list[tuple[Any, ...]]:
    return [(day, "control", control, 0) for day in days]


@pytest.mark.parametrize(
    ("impressions", "hundredths", "has_gap"),
    [(40, 5000, True), (39, 5000, False), (400, 500, True), (400, 499, False), (10**9, 0, False)],
)
def test_a_variant_is_missed_from_20_promised_impressions_on(
    gap_of, impressions, hundredths, has_gap
):
    shares = {9: {"control": 10_000 - hundredths, "b": hundredths}}
    gap = gap_of(Scene(silence(impressions), shares=shares))
    assert (gap is not None) is has_gap
    if has_gap:
        assert gap.findings == {"silent: b"}
        assert gap.detail == (
            "in the 3 days up to 2025-03-10 b has no accepted impressions, its shares promised 20"
        )


@pytest.mark.parametrize(("wanted", "has_gap"), [(0, False), (1, True), (50, True), (51, False)])
def test_how_much_must_have_been_promised_is_a_setting(gap_of, wanted, has_gap):
    gap = gap_of(Scene(silence(100)), variant_gap_impressions=wanted)
    assert (gap is not None) is has_gap


@pytest.mark.parametrize(
    ("day", "impressions", "has_gap"),
    [(7, 1, True), (8, 1, False), (10, 1, False), (11, 1, True), (10, 0, True)],
)
def test_one_impression_within_the_judged_days_breaks_the_silence(
    gap_of, day, impressions, has_gap
):
    gap = gap_of(Scene([*silence(days=(7, 8, 9, 10)), (day, "b", impressions, 0)]))
    assert (gap is not None) is has_gap


def test_promises_of_the_days_add_up(gap_of):
    # 30 impressions a day at 25, 20 and 22 %: 7.5 + 6 + 6.6 = 20.1; without the first day 12.6.
    shares = {7: {"b": 2500}, 8: {"b": 2000}, 9: {"b": 2200}}
    assert "promised 20" in gap_of(Scene(silence(30, (8, 9, 10)), shares=shares)).detail
    assert gap_of(Scene(silence(30, (9, 10)), shares=shares)) is None
    assert gap_of(Scene(silence(30, (7, 9, 10)), shares={6: {"b": 10_000}, **shares})) is None


def test_the_share_of_a_day_is_that_of_the_day_before(gap_of):
    assert gap_of(Scene(silence(), shares={9: {"b": 5000}}))
    assert gap_of(Scene(silence(), shares={10: {"b": 5000}})) is None  # is for tomorrow
    assert gap_of(Scene(silence(), shares={8: {"b": 5000}, 9: {"b": 0}})) is None


def test_while_nothing_newer_is_published_the_old_shares_are_served(gap_of):
    assert gap_of(Scene(silence(), shares={1: {"b": 5000}}))
    assert gap_of(Scene(silence(), shares={1: {"b": 5000}, 2: {"b": 0}})) is None


@pytest.mark.parametrize(("live", "has_gap"), [({8, 9}, False), ({8}, True), (set(), False)])
def test_what_was_published_too_late_was_never_served(gap_of, live, has_gap):
    shares = {8: {"b": 5000}, 9: {"b": 0}}
    assert (gap_of(Scene(silence(), shares=shares, live=live)) is not None) is has_gap


def test_an_experiment_without_any_publication_was_promised_nothing(gap_of):
    assert gap_of(Scene(silence(10**6), shares={})) is None


@pytest.mark.parametrize(("joined", "has_gap"), [(10, True), (11, False)])
def test_a_variant_that_joined_is_judged_from_its_first_day_on(gap_of, joined, has_gap):
    variants = [("control", "active"), ("b", "active", march(joined), END)]
    gap = gap_of(Scene(silence(days=(8, 9, 10)), variants=variants))
    assert (gap is not None) is has_gap


def test_a_retired_variant_is_not_missed(gap_of):
    variants = [
        ("control", "active"),
        ("b", "active", BEGINNING, TOMORROW),
        ("b", "retired", TOMORROW, END),
    ]
    assert gap_of(Scene(silence(days=(8, 9, 10)), variants=variants)) is None


PAUSED = [
    ("running", BEGINNING, march(8)),
    ("paused", march(8), march(10)),
    ("running", march(10), END),
]


@pytest.mark.parametrize(
    ("rows", "has_gap"),
    [
        (silence(days=(8, 9)), False),
        (silence(days=(7,)), False),  # not judged
        (silence(days=(10,)), True),
        ([*traffic(10), (8, "odd", 5000, 0), (9, "odd", 5000, 0)], False),
        ([*traffic(10), (10, "odd", 5000, 0)], True),
        ([*silence(), (9, "b", 50, 0)], True),  # on a day that does not count
    ],
)
def test_paused_days_do_not_count(gap_of, rows, has_gap):
    assert (gap_of(Scene(rows, statuses=PAUSED)) is not None) is has_gap


def test_two_kinds_of_gaps_are_told_together(gap_of):
    gap = gap_of(Scene([*silence(), (10, "new_b", 50, 0)]))
    assert gap.findings == {"silent: b", "rejected: 'new_b'"}
    assert gap.detail == (
        "in the 3 days up to 2025-03-10 b has no accepted impressions, its shares promised 50; "
        "33.33 % of the impressions were rejected, 10 % are allowed: 50 of 'new_b' "
        "(unknown_variant)"
    )
    assert gap_of(Scene(silence()), max_data_gap_days=1).detail.startswith("on 2025-03-10 b has")
