"""Rejected impressions: which rows count, how many, until when, and both sides of every edge.

The day is the 10th of March, MAX_DATA_GAP_DAYS=3: the 8th, 9th and 10th are judged.
"""

import pytest

from tests.unit.pipeline.allocation.gap_scene import (
    BEGINNING,
    END,
    TOMORROW,
    Scene,
    march,
    traffic,
)


def test_ordinary_traffic_has_no_gap(gap_of):
    assert gap_of(Scene(traffic(8, 9, 10))) is None


# Rejected impressions: one name that is unknown, beside accepted ones.


@pytest.mark.parametrize(
    ("accepted", "rejected", "allowed", "has_gap"),
    [
        (900, 100, 0.10, False),
        (899, 101, 0.10, True),
        (71, 29, 0.29, False),  # 0.29 of 100 is 28.999999999999996 in binary
        (70, 30, 0.29, True),
        (10**6, 1, 0.0, True),
        (1, 10**6, 1.0, False),  # 1 turns it off
    ],
)
def test_more_than_the_share_must_be_rejected(gap_of, accepted, rejected, allowed, has_gap):
    scene = Scene([(10, "control", accepted, 0), (10, "odd", rejected, 0)])
    gap = gap_of(scene, max_rejected_share_held=allowed, variant_gap_impressions=0)
    assert (gap is not None) is has_gap


@pytest.mark.parametrize(("day", "counts"), [(7, False), (8, True), (10, True), (11, False)])
def test_rejections_count_from_the_first_judged_day_to_the_last(gap_of, day, counts):
    gap = gap_of(Scene([*traffic(8, 9, 10), (day, "odd", 5000, 0)]))
    assert (gap is not None) is counts


@pytest.mark.parametrize(("days", "counts"), [(1, False), (2, False), (3, True), (30, True)])
def test_how_far_back_is_judged_is_a_setting(gap_of, days, counts):
    gap = gap_of(Scene([*traffic(10), (8, "odd", 5000, 0)]), max_data_gap_days=days)
    assert (gap is not None) is counts


def test_a_gap_says_what_was_rejected_the_largest_first(gap_of):
    rows = [(10, f"odd{number}", 100 + number, 0) for number in range(5)]
    gap = gap_of(Scene([*traffic(10), *rows, (9, "b", 3, 5)]))
    assert gap.detail == (
        "in the 3 days up to 2025-03-10 33.91 % of the impressions were rejected, "
        "10 % are allowed: 104 of 'odd4' (unknown_variant), 103 of 'odd3' (unknown_variant), "
        "102 of 'odd2' (unknown_variant), …"
    )
    assert gap.findings == {"rejected: 'b'", *(f"rejected: 'odd{number}'" for number in range(5))}


def test_a_name_as_received_cannot_write_to_a_terminal(gap_of):
    gap = gap_of(Scene([*traffic(10), (10, "\x1b[31mred\u202e" + "x" * 5000, 900, 0)]))
    assert "\\x1b[31mred\\u202e" in gap.detail
    assert gap.detail.isprintable()
    assert len(gap.detail) < 300


# What a rejected row weighs.

HUGE = 2**53


WEIGHTS = {
    "more clicks than impressions": (250, 300, 250),
    "clicks that are no integer": (250, "n/a", 250),
    "clicks that are negative": (250, -1, 250),
    "clicks that are too large": (250, HUGE, 250),
    "no impressions": (0, 5, 0),
    # Impressions that cannot be read: b's share is 20 %, so 1000 of control are 80 %.
    "impressions that are no integer": ("1e3", 1, 250),
    "impressions that are negative": (-5, 0, 250),
    "impressions that are too large": (HUGE, 0, 250),
    "impressions that are longer": ("9" * 40, 0, 250),
    "nothing": ("", "", 250),
}


@pytest.mark.parametrize("row", WEIGHTS.values(), ids=WEIGHTS)
def test_a_row_of_bad_counts_weighs_its_impressions_or_its_share(gap_of, row):
    impressions, clicks, weight = row
    scene = Scene(
        [(10, "control", 1000, 0), (10, "b", impressions, clicks)],
        shares={9: {"control": 8000, "b": 2000}},
    )
    gap = gap_of(scene, variant_gap_impressions=0, max_rejected_share_held=0.199)
    assert (f"{weight} of 'b'" in gap.detail) if weight else gap is None
    assert gap_of(scene, variant_gap_impressions=0, max_rejected_share_held=0.2) is None


@pytest.mark.parametrize(
    ("shares", "weight"),
    [
        ({9: {"control": 10_000, "b": 0}}, None),  # starved: its empty row freezes nothing
        ({9: {"control": 0, "b": 10_000}}, 900),  # nothing to go by: as an accepted row
        ({}, 900),
        ({9: {"control": 10_000}}, 900),
    ],
)
def test_an_unreadable_row_without_a_share_to_go_by_weighs_as_an_accepted_one(
    gap_of, shares, weight
):
    rows = [(9, "control", 800, 0), (10, "control", 1000, 0), (10, "b", "", "")]
    gap = gap_of(Scene(rows, shares=shares), variant_gap_impressions=0)
    assert (f"{weight} of 'b'" in gap.detail) if weight else gap is None


def test_rows_that_are_all_unreadable_are_all_that_there_is(gap_of):
    gap = gap_of(Scene([(10, "control", "x", 0), (10, "b", "x", 0)]))
    assert "100 % of the impressions were rejected" in gap.detail


def test_a_row_that_was_sent_again_weighs_once(gap_of):
    rows = [(10, "odd", 80, 0, file) for file in (1, 2, 3)]
    assert gap_of(Scene([*traffic(10), *rows])) is None  # 80 of 1080
    assert (
        "90 of 'odd'"
        in gap_of(  # the last of them: 90 of 840
            Scene([*traffic(10, control=375, b=375), (10, "odd", 80, 0, 1), (10, "odd", 90, 0, 2)])
        ).detail
    )


# What settles a rejected row.


@pytest.mark.parametrize(
    ("bad_file", "good_file", "is_settled"), [(1, 2, True), (1, 1, True), (2, 1, False)]
)
def test_bad_counts_are_settled_by_good_ones_that_come_later(
    gap_of, bad_file, good_file, is_settled
):
    rows = [*traffic(8, 9), (10, "control", 500, 0), (10, "b", 500, 501, bad_file)]
    assert gap_of(Scene(rows))
    gap = gap_of(Scene([*rows, (10, "b", 500, 5, good_file)]))
    assert (gap is None) is is_settled


def test_a_correction_to_nothing_settles_bad_counts_too(gap_of):
    rows = [(10, "control", 500, 0), (10, "b", 500, 501), (10, "b", 0, 0, 2)]
    assert gap_of(Scene(rows), variant_gap_impressions=0) is None


RENAMED = [*traffic(8, 9), (10, "control", 500, 0), (10, "new_b", 500, 0)]


@pytest.mark.parametrize(
    ("later", "is_settled"),
    [
        ([(10, "b", 500, 0, 2)], True),
        ([(10, "control", 500, 0, 2), (10, "b", 500, 0, 2)], True),
        ([(10, "control", 510, 0, 2)], False),  # b is still without
        ([(10, "b", 0, 0, 2)], False),
        ([(10, "b", 500, 0, 0)], False),  # was there before
        ([(10, "b", 500, 0, 2), (10, "new_b", 1, 2, 2)], True),  # 1 of 1001
        ([(10, "b", 500, 0, 2), (10, "new_b", 500, 0, 3)], False),
    ],
)
def test_an_unknown_name_is_settled_by_a_later_file_that_completes_the_day(
    gap_of, later, is_settled
):
    assert gap_of(Scene(RENAMED)).findings == {"rejected: 'new_b'"}
    assert (gap_of(Scene([*RENAMED, *later])) is None) is is_settled


@pytest.mark.parametrize(("promised", "is_settled"), [(19, True), (20, False)])
def test_a_day_is_complete_without_a_variant_that_was_promised_little(gap_of, promised, is_settled):
    shares = {day: {"control": 9000, "b": 1000} for day in range(5, 10)}
    rows = [(10, "control", promised * 10, 0, 2), (10, "odd", 500, 0)]
    gap = gap_of(Scene([*traffic(8, 9), *rows], shares=shares))
    assert (gap is None) is is_settled


TODAY = march(10)


REGISTRIES = {
    "renamed": (
        [
            ("b", "active", BEGINNING, TOMORROW),
            ("b", "retired", TOMORROW, END),
            ("new_b", "active", TOMORROW, END),
        ],
        True,
    ),
    "retired alone": (
        [("b", "active", BEGINNING, TOMORROW), ("b", "retired", TOMORROW, END)],
        True,
    ),
    "retired before the rows": (
        [("b", "active", BEGINNING, TODAY), ("b", "retired", TODAY, END)],
        False,
    ),
    "retired only the day after": (
        [("b", "active", BEGINNING, march(12)), ("b", "retired", march(12), END)],
        False,
    ),
    "another variant added": (
        [("b", "active"), ("c", "active", TOMORROW, END)],
        False,
    ),
    "the new name added, the old one kept": (
        [("b", "active"), ("new_b", "active", TOMORROW, END)],
        True,  # as far as rejections go: b is silent from the first day that it has nothing
    ),
}


@pytest.mark.parametrize(("variants", "is_settled"), REGISTRIES.values(), ids=REGISTRIES)
def test_an_unknown_name_is_settled_by_a_change_that_holds_on_the_day_after(
    gap_of, variants, is_settled
):
    gap = gap_of(Scene(RENAMED, variants=[("control", "active"), *variants]))
    assert (gap is None) is is_settled


@pytest.mark.parametrize(("since", "is_settled"), [(TOMORROW, True), (march(12), False)])
def test_bad_counts_of_a_variant_are_settled_by_its_retirement(gap_of, since, is_settled):
    variants = [
        ("control", "active"),
        ("b", "active", BEGINNING, since),
        ("b", "retired", since, END),
    ]
    gap = gap_of(
        Scene([*traffic(8, 9), (10, "control", 500, 0), (10, "b", 1, 2)], variants=variants)
    )
    assert gap is None
    rows = [*traffic(8, 9), (10, "control", 500, 0), (10, "b", 500, 600)]
    assert (gap_of(Scene(rows, variants=variants)) is None) is is_settled
