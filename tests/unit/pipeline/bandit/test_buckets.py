"""Dealing buckets: all of them, once, in proportion, with the fewest changing hands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mab_pipeline.bandit import assign_buckets

NAMES = ["control", "a", "b", "c", "d", "e"]


def owners(ranges):
    found = {}
    for name, spans in ranges.items():
        for low, high in spans:
            for bucket in range(low, high + 1):
                assert bucket not in found
                found[bucket] = name
    assert sorted(found) == list(range(100))
    return [found[bucket] for bucket in range(100)]


@st.composite
def hundredths(draw):
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
    cuts = draw(st.lists(st.integers(0, 10_000), min_size=len(names) - 1, max_size=len(names) - 1))
    edges = [0, *sorted(cuts), 10_000]
    return {name: edges[i + 1] - edges[i] for i, name in enumerate(names)}


@st.composite
def scattered(draw):
    """A previous assignment in any number of pieces, neighbours of one owner left apart."""
    pieces = draw(st.lists(st.integers(1, 40), min_size=1, max_size=12))
    previous, first = {}, 0
    for length in [*pieces, 100]:
        last = min(first + length, 100) - 1
        if first <= last:
            previous.setdefault(draw(st.sampled_from(NAMES)), []).append((first, last))
        first = last + 1
    return previous


def counts(ranges):
    return {name: sum(high - low + 1 for low, high in spans) for name, spans in ranges.items()}


def test_without_a_past_ranges_follow_in_order():
    shares = {"a": 5_000, "b": 3_000, "c": 2_000}
    assert assign_buckets(shares, None) == {"a": [(0, 49)], "b": [(50, 79)], "c": [(80, 99)]}


def test_a_border_is_moved_where_neighbours_trade():
    previous = {"a": [(0, 49)], "b": [(50, 79)], "c": [(80, 99)]}
    shares = {"a": 4_500, "b": 3_500, "c": 2_000}
    assert assign_buckets(shares, previous) == {"a": [(0, 44)], "b": [(45, 79)], "c": [(80, 99)]}


def test_a_share_too_small_for_a_bucket_gets_none():
    assert assign_buckets({"a": 9_960, "b": 40}, None) == {"a": [(0, 99)], "b": []}


def test_equal_remainders_go_to_the_earlier_variant():
    assert counts(assign_buckets({"b": 3_350, "a": 3_350, "c": 3_300}, None)) == {
        "b": 34,
        "a": 33,
        "c": 33,
    }


def test_variants_come_and_go():
    previous = {"gone": [(0, 9)], "a": [(10, 99)]}
    assert assign_buckets({"a": 9_000, "new": 1_000}, previous) == {
        "a": [(10, 99)],
        "new": [(0, 9)],
    }


def test_ranges_read_from_json_are_lists():
    assert assign_buckets({"a": 10_000}, {"a": [[50, 99], [0, 49]]}) == {"a": [(0, 99)]}


@given(shares=hundredths(), previous=st.none() | scattered())
def test_every_bucket_has_one_owner_and_counts_follow_the_shares(shares, previous):
    result = assign_buckets(shares, previous)
    assert list(result) == list(shares)
    owners(result)
    for name, count in counts(result).items():
        assert abs(count - shares[name] / 100) < 1
        assert result[name] == sorted(result[name])
    assert counts(result) == counts(assign_buckets(shares, None))


@given(shares=hundredths(), previous=scattered())
def test_as_few_buckets_as_possible_change_hands(shares, previous):
    result = assign_buckets(shares, previous)
    moved = sum(x != y for x, y in zip(owners(previous), owners(result), strict=True))
    due, had = counts(result), counts(previous)
    assert moved == sum(max(n - due.get(name, 0), 0) for name, n in had.items())


@given(shares=hundredths(), previous=scattered())
def test_the_same_shares_again_move_nothing(shares, previous):
    once = assign_buckets(shares, previous)
    assert assign_buckets(shares, once) == once


@given(first=hundredths(), second=hundredths())
def test_ranges_stay_few(first, second):
    before = assign_buckets(first, None)
    pieces = sum(map(len, assign_buckets(second, before).values()))
    assert pieces <= sum(map(len, before.values())) + len(second)


@pytest.mark.parametrize(
    ("previous", "message"),
    [
        ({"a": [(0, 49)]}, "bucket 50 belongs to no variant"),
        ({"a": [(0, 49)], "b": [(51, 99)]}, "bucket 50 belongs to no variant"),
        ({"a": [(0, 50)], "b": [(50, 99)]}, "bucket 50 belongs to two ranges"),
        ({"a": [(0, 99)], "b": [(5, 7)]}, "bucket 5 belongs to two ranges"),
        ({"a": [(0, 100)]}, r"'a' has \(0, 100\)"),
        ({"a": [(-1, 99)]}, r"'a' has \(-1, 99\)"),
        ({"a": [(0, 49)], "b": [(99, 50)]}, r"'b' has \(99, 50\)"),
        ({"a": [(0, 99, 3)]}, "range"),
        ({"a": [(0.0, 99.5)]}, "range"),
        ({}, "bucket 0 belongs to no variant"),
    ],
)
def test_a_past_that_is_no_assignment_is_refused(previous, message):
    with pytest.raises(ValueError, match=message):
        assign_buckets({"a": 10_000}, previous)


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ({"a": 9_999}, "sum to 10000, not 9999"),
        ({"a": 10_001, "b": -1}, "'b' has -1"),
        ({"a": 9_999.5, "b": 0.5}, "'a' has 9999.5"),
        ({}, "not 0"),
    ],
)
def test_hundredths_that_are_no_whole_are_refused(shares, message):
    with pytest.raises(ValueError, match=message):
        assign_buckets(shares, None)
