import sys
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mab_api.snapshot.experiment_index import ExperimentIndex, pack


def record(name: str, **changes: object) -> dict[str, object]:
    return {"experiment_id": f"exp_{name}", "name": name, "status": "running"} | changes


def published(*names: str) -> dict:
    return {f"exp_{name}": pack(record(name)) for name in sorted(names)}


def index_of(count: int, *, pending: bool = False) -> ExperimentIndex:
    index = ExperimentIndex()
    names = [f"{number:06}" for number in range(count)]
    if pending:
        for name in names:
            index.add(record(name))
    else:
        index.publish(published(*names))
    return index


def names_of(index: ExperimentIndex, limit: int = 1000) -> list[str]:
    return [found.name.decode() for found in index.page(None, limit)]


def calls_of(function, *arguments) -> int:
    """Count the calls of Python and C functions that a call leads to."""
    seen = 0

    def count(_frame, event, _argument):
        nonlocal seen
        seen += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        function(*arguments)
    finally:
        sys.setprofile(None)
    return seen


@pytest.mark.parametrize("pending", [False, True])
def test_adding_finding_and_paging_cost_the_same_however_many_there_are(pending):
    def costs(count: int) -> list[int]:
        index = index_of(count, pending=pending)
        return [
            calls_of(index.add, record("0000005")),
            calls_of(index.add, record("0000005")),
            calls_of(index.add, record("000003")),
            calls_of(index.get, "exp_000003"),
            calls_of(index.page, b"000004", 5),
        ]

    for few, many in zip(costs(20), costs(20_000), strict=True):
        assert many <= few + 15, "15 is more than log2(20,000)"


def test_adding_copies_nothing():
    index = index_of(20_000)
    tracemalloc.start()
    try:
        index.add(record("new"))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20_000


def test_many_registrations_cost_so_many_times_one():
    few, many = (calls_of(index_of, count) for count in (1_000, 4_000))
    few_pending, many_pending = (
        calls_of(lambda count=count: index_of(count, pending=True)) for count in (1_000, 4_000)
    )
    assert many < 4.2 * few
    assert many_pending < 4.2 * few_pending


def test_what_is_published_is_pending_no_more():
    index = ExperimentIndex()
    for name in ("b", "d", "a", "c"):
        index.add(record(name))
    index.publish(published("a", "c", "e"))
    assert sorted(index.pending_ids()) == ["exp_b", "exp_d"]
    assert names_of(index) == ["a", "b", "c", "d", "e"]
    assert len(index) == 5
    index.publish({})
    assert names_of(index) == ["b", "d"]


def test_a_pending_record_is_replaced_and_a_published_one_stays():
    index = ExperimentIndex()
    index.publish(published("a"))
    index.add(record("a", status="finished"))
    index.add(record("b"))
    index.add(record("b", status="finished"))
    assert [found.status for found in index.page(None, 9)] == ["running", "finished"]
    assert index.get("exp_b")["status"] == "finished"
    assert len(index) == 2
    assert "exp_a" in index
    assert "exp_b" in index
    assert "exp_c" not in index
    assert index.get("exp_c") is None


names = st.sets(
    st.text(min_size=1, max_size=3).filter(lambda text: text.isprintable()), max_size=12
)


@given(shown=names, waiting=names, both=names, limit=st.integers(1, 6))
def test_pages_are_all_records_once_by_name(shown, waiting, both, limit):
    index = ExperimentIndex()
    for name in [*waiting, *both]:
        index.add(record(name))
    index.publish(dict(sorted(published(*shown, *both).items(), key=lambda item: item[1].name)))
    seen, after = [], None
    for _ in range(len(shown | waiting | both)):  # a page that repeats must not hang the suite
        page = index.page(after, limit)[:limit]
        if not page:
            break
        seen += [found.name for found in page]
        after = seen[-1]
    assert seen == sorted({name.encode() for name in shown | waiting | both})
