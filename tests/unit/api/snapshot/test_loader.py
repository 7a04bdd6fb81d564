import hashlib
from datetime import timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mab_api.auth import Keyring
from mab_api.problems import ProblemError, from_validation
from mab_api.snapshot.allocation_list import EPOCH, NEVER, build_listing
from mab_api.snapshot.encoded import encode, holds
from mab_api.snapshot.loader import slices
from mab_api.snapshot.page_cache import PageCache
from mab_store.experiments.assignment import bucket_of, variant_of


@given(st.lists(st.integers(1, 5), max_size=40), st.integers(1, 10))
def test_slices_keep_experiments_whole_and_lose_no_row(sizes, most):
    ids = [f"exp_{number}" for number, size in enumerate(sizes) for _ in range(size)]
    rows = pa.table({"experiment_id": pa.array(ids, pa.string()), "row": range(len(ids))})
    parts = list(slices(rows, most))
    assert [row for part in parts for row in part["row"].to_pylist()] == list(range(len(ids)))
    seen = [set(part["experiment_id"].to_pylist()) for part in parts]
    assert all(len(part) <= most for part in seen)
    assert sum(map(len, seen)) == len(set(ids))


class Entry:
    is_listed = True
    published_at = EPOCH

    def __init__(self, number: int, stale_after=NEVER) -> None:
        self.number = number
        self.stale_after = stale_after

    def body_at(self, now) -> bytes:
        return b'{"n":%d,"stale":%d}' % (self.number, now > self.stale_after)


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 100])
def test_a_listing_of_any_length_is_json_and_as_long_as_it_says(count):
    listing = build_listing(map(Entry, range(count)), now=EPOCH)
    body = b"".join(listing.pieces())
    expected = b",".join(Entry(number).body_at(EPOCH) for number in range(count))
    assert body == b'{"experiments":[' + expected + b'],"next_cursor":null}'
    assert listing.length == len(body)


def test_a_listing_is_right_until_its_next_entry_turns_stale():
    early, late = (EPOCH + timedelta(hours=hours) for hours in (1, 2))
    entries = [Entry(0, late), Entry(1, early), Entry(2)]
    assert build_listing(entries, now=EPOCH).valid_until == early
    then = early + timedelta(seconds=1)
    listing = build_listing(entries, now=then)
    assert listing.valid_until == late
    assert listing.last_modified == early


def test_a_page_cache_drops_the_least_used_pages_when_it_is_full():
    page = encode({"text": "x" * 80})
    cache = PageCache(max_bytes=3 * len(page.body))
    for key in range(3):
        cache.put(key, page)
    assert cache.get(0) is page
    cache.put(3, page)
    assert [cache.get(key) is page for key in range(4)] == [True, False, True, True]
    cache.put(4, encode({"text": "x" * 1000}))
    assert cache.get(4) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [(b'"a"', True), (b'"b", "a"', True), (b'W/"a"', True), (b"*", True), (b'"b"', False)],
)
def test_if_none_match_compares_weakly_and_knows_lists(value, expected):
    assert holds([(b"if-none-match", value)], b'"a"') is expected
    assert not holds([(b"if-match", value)], b'"a"')


@given(st.binary(max_size=60))
def test_no_header_opens_a_keyring_but_the_key(header):
    keyring = Keyring([hashlib.sha256(b"the key").hexdigest()])
    keyring.check(b"Bearer the key")
    if header != b"the key":
        for value in (header, b"Bearer " + header if header.strip() != b"the key" else b""):
            with pytest.raises(ProblemError):
                keyring.check(value)


def test_a_validation_problem_points_into_the_body_and_counts_the_rest():
    faults = [{"loc": ("a/b", 0, "~c"), "msg": "is wrong"}] * 5
    problem = from_validation(faults)
    assert problem.errors[0] == {"pointer": "/a~1b/0/~0c", "detail": "is wrong"}
    assert problem.detail.endswith("; and 2 more")


def test_buckets_are_even_and_differ_between_experiments():
    sessions = [f"session-{number}" for number in range(20_000)]
    first = [bucket_of("exp_000000000001", session) for session in sessions]
    second = [bucket_of("exp_000000000002", session) for session in sessions]
    assert {*first} == set(range(100))
    chi_square = sum((first.count(bucket) - 200) ** 2 / 200 for bucket in range(100))
    assert chi_square < 180  # 99 degrees of freedom: once in a million
    same = sum(a == b for a, b in zip(first, second, strict=True))
    assert 120 < same < 280


def test_a_bucket_that_belongs_to_nobody_is_an_error():
    allocations = [
        {"variant_name": "a", "buckets": [[0, 49]]},
        {"variant_name": "b", "buckets": []},
    ]
    assert variant_of(49, allocations) == "a"
    with pytest.raises(LookupError, match="50"):
        variant_of(50, allocations)
