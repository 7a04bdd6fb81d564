"""Which experiment is in which shard."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mab_pipeline.allocation.sharding import Shard
from mab_store.errors import UsageError

IDS = [f"exp_{number:012x}" for number in range(2000)]


@given(st.text(), st.integers(1, 1000))
def test_every_experiment_is_in_exactly_one_shard(experiment_id, count):
    held = [n for n in range(1, count + 1) if Shard(n, count).holds(experiment_id)]
    assert len(held) == 1


def test_shards_are_of_about_one_size():
    sizes = [sum(map(Shard(number, 7).holds, IDS)) for number in range(1, 8)]
    assert sum(sizes) == len(IDS)
    assert min(sizes) > len(IDS) / 7 * 0.8


def test_a_shard_of_an_experiment_never_changes():
    """Two machines, or two versions, must cut alike while the shards of one day run."""
    assert [n for n in range(1, 8) if Shard(n, 7).holds("exp_1f9a100a95a8")] == [3]
    assert [n for n in range(1, 3) if Shard(n, 2).holds("exp_1f9a100a95a8")] == [1]


def test_rows_keep_their_order_and_no_row_is_lost():
    rows = pa.table({"experiment_id": [IDS[n % 50] for n in range(200)], "row": range(200)})
    parts = [Shard(number, 3).of(rows)["row"].to_pylist() for number in (1, 2, 3)]
    assert all(part == sorted(part) for part in parts)
    assert sorted(row for part in parts for row in part) == list(range(200))
    assert Shard().of(rows) is rows
    assert len(Shard(1, 3).of(rows.slice(0, 0))) == 0


def test_a_shard_is_written_as_it_is_read():
    assert Shard.parse("2/7") == Shard(2, 7)
    assert str(Shard(2, 7)) == "2/7"


@pytest.mark.parametrize(
    "text",
    ["", "2", "2/", "/7", "0/7", "8/7", "-1/7", "2/7/1", "2 / 7", "٢/٧", "1/1001", "x/y", "1/0"],
)
def test_anything_else_is_refused_and_quoted(text):
    with pytest.raises(UsageError) as caught:
        Shard.parse(text)
    assert text in str(caught.value) or text.replace("/", " of ") in str(caught.value)
