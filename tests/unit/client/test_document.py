"""A list is taken whole or not at all; one bad experiment does not stop the others."""

import json

import pytest

from mab_client.document import Document, DocumentError
from tests.unit.client.conftest import RANGES, experiment, listed


def test_each_bucket_has_the_variant_whose_range_holds_it():
    document = Document.of(listed(experiment("one")))
    assert document.experiments == 1
    places = [place.variant for place in document.by_key["exp_one"].places]
    assert places == ["control"] * 25 + ["variant_a"] * 65 + ["variant_b"] * 10
    assert document.by_key["one"] is document.by_key["exp_one"]
    assert document.by_key["one"].variants.keys() == RANGES.keys()
    assert document.by_key["one"].places[0].allocation_id == "alc_one"


def test_an_id_comes_before_a_name_that_is_spelled_like_it():
    sly = experiment("sly") | {"experiment_name": "exp_one"}
    document = Document.of(listed(experiment("one"), sly))
    assert document.by_key["exp_one"].name == "one"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        b"\xff\xfe",
        "[]",
        "null",
        '{"experiments": {}}',
        '{"experiments": null}',
        '{"other": []}',
        '{"experiments": [], "next_cursor": "more"}',
        "[" * 100_000,
    ],
)
def test_what_is_no_whole_list_is_refused(body):
    with pytest.raises(DocumentError):
        Document.of(body)


def _with(**changes: object) -> dict[str, object]:
    return experiment("bad") | changes


def _ranges(*pairs: object) -> dict[str, object]:
    entries = [
        {"variant_name": "control", "is_control": True, "buckets": list(pairs)},
        {"variant_name": "b", "is_control": False, "buckets": []},
    ]
    return _with(allocations=entries)


TWO_CONTROLS = [entry | {"is_control": True} for entry in experiment("bad")["allocations"]]
NO_CONTROL = [entry | {"is_control": 1} for entry in experiment("bad")["allocations"]]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (_ranges([0, 98]), "1 buckets belong to no variant"),
        (_ranges([0, 100]), "no range of buckets"),
        (_ranges([-1, 99]), "no range of buckets"),
        (_ranges([99, 0]), "no range of buckets"),
        (_ranges([0, 99.0]), "no range of buckets"),
        (_ranges([False, 99]), "no range of buckets"),
        (_ranges([0, 99], [99, 99]), "bucket 99 belongs to two variants"),
        (_ranges([0]), "ValueError"),
        (_ranges(None), "TypeError"),
        (_with(allocations=TWO_CONTROLS), "ValueError"),
        (_with(allocations=NO_CONTROL), "ValueError"),
        (_with(allocations=[*experiment("bad")["allocations"]] * 2), "listed twice"),
        (_with(allocations=[]), "100 buckets belong to no variant"),
        (_with(allocation_id=None), "allocation_id is no text"),
        (_with(experiment_name=""), "experiment_name is no text"),
    ],
)
def test_a_bad_experiment_is_refused_by_its_id_and_the_others_are_there(bad, reason):
    document = Document.of(listed(experiment("one"), bad, experiment("two")))
    assert document.experiments == 2
    assert "exp_bad" not in document.by_key
    assert reason in document.refused["exp_bad"]


def test_a_bad_experiment_keeps_what_it_had():
    before = Document.of(listed(experiment("bad")))
    after = Document.of(listed(_ranges([0, 98]), experiment("one")), before)
    assert after.by_key["bad"] is before.by_key["bad"]
    assert after.experiments == 2
    assert after.refused.keys() == {"exp_bad"}


def test_entries_that_are_no_experiments_are_counted_by_place():
    document = Document.of(json.dumps({"experiments": [3, None, {"experiment_id": []}]}))
    assert document.refused.keys() == {"number 0", "number 1", "number 2"}
