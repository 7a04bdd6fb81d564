import contextlib
import hashlib
from datetime import date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mab_store.experiments.schemas import (
    MAX_VARIANTS,
    ChangeSpec,
    ExperimentChanged,
    ExperimentRegistered,
    ExperimentSpec,
    experiment_id_of,
)

NAME = "Checkout button"
VARIANTS = [{"name": "control", "is_control": True}, {"name": "green"}]


def spec(**changes: object) -> dict[str, Any]:
    return {"name": NAME, "variants": VARIANTS} | changes


def registered(**changes: object) -> dict[str, Any]:
    stamps = {"experiment_id": experiment_id_of(NAME), "created_at": "2025-03-01T12:00:00Z"}
    return spec() | stamps | changes


def changed(**changes: object) -> dict[str, Any]:
    stamps = {"experiment_id": experiment_id_of(NAME), "created_at": "2025-03-02T12:00:00Z"}
    return stamps | changes


def test_an_id_is_the_hash_of_the_name():
    digest = hashlib.sha256(NAME.encode()).hexdigest()
    assert experiment_id_of(NAME) == f"exp_{digest[:12]}"


@given(name=st.text(st.characters(codec="utf-8"), min_size=1))
def test_every_name_has_an_id_of_the_same_form(name):
    identifier = experiment_id_of(name)
    assert identifier == experiment_id_of(name)
    assert len(identifier) == 16
    assert set(identifier.removeprefix("exp_")) <= set("0123456789abcdef")


def test_the_least_registration_is_accepted():
    body = ExperimentSpec.model_validate(spec())
    assert body.description is None
    assert body.start_date is None
    assert [variant.is_control for variant in body.variants] == [True, False]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": ""}, "at least 1 character"),
        ({"name": " a"}, "white space"),
        ({"name": "a\n"}, "white space"),
        ({"name": "a\0b"}, "control characters"),
        ({"name": "a\u0085b"}, "control characters"),
        ({"name": "a\ud800b"}, "unicode"),
        ({"name": "a" * 201}, "at most 200"),
        ({"name": 5}, "valid string"),
        ({"name": None}, "valid string"),
        ({"description": "a" * 2001}, "at most 2000"),
        ({"start_date": "tomorrow"}, "valid date"),
        ({"start_date": "2025-02-30"}, "valid date"),
        ({"variants": []}, "at least 2"),
        ({"variants": VARIANTS[:1]}, "at least 2"),
        ({"variants": [*VARIANTS, VARIANTS[1]]}, "must be distinct"),
        ({"variants": [{"name": "a"}, {"name": "b"}]}, "exactly one variant.*not 0"),
        (
            {"variants": [{"name": "a", "is_control": True}, {"name": "b", "is_control": True}]},
            "exactly one variant.*not 2",
        ),
        ({"variants": [*VARIANTS, {"name": ""}]}, "at least 1 character"),
        ({"variants": [*VARIANTS, {"name": "x", "weight": 3}]}, "not permitted"),
        ({"variants": "control,green"}, "valid list"),
        ({"colour": "green"}, "not permitted"),
    ],
)
def test_a_bad_registration_is_refused(changes, complaint):
    with pytest.raises(ValidationError, match=complaint):
        ExperimentSpec.model_validate(spec(**changes))


def test_as_many_variants_as_allowed_and_not_one_more():
    names = [{"name": f"v{number}"} for number in range(MAX_VARIANTS + 1)]
    names[0]["is_control"] = True
    ExperimentSpec.model_validate(spec(variants=names[:-1]))
    with pytest.raises(ValidationError, match="at most 100"):
        ExperimentSpec.model_validate(spec(variants=names))


@given(
    name=st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=200
    ).filter(lambda name: name == name.strip())
)
def test_every_printable_name_can_be_registered_and_read_back(name):
    body = registered(name=name, experiment_id=experiment_id_of(name))
    event = ExperimentRegistered.model_validate(body)
    assert ExperimentRegistered.model_validate_json(event.model_dump_json()) == event


def test_the_id_must_be_that_of_the_name():
    with pytest.raises(ValidationError, match=f"must be {experiment_id_of(NAME)}"):
        ExperimentRegistered.model_validate(registered(experiment_id="exp_000000000000"))


@pytest.mark.parametrize("identifier", ["", "exp_", "exp_00000000000G", "EXP_000000000000", 7])
def test_an_id_of_another_form_is_refused(identifier):
    with pytest.raises(ValidationError, match="experiment_id"):
        ExperimentChanged.model_validate(changed(experiment_id=identifier, status="paused"))


def test_times_are_held_as_naive_utc():
    event = ExperimentRegistered.model_validate(registered(created_at="2025-03-01T01:30:00+02:00"))
    assert event.created_at_utc == datetime(2025, 2, 28, 23, 30)  # noqa: DTZ001  # naive by contract


@pytest.mark.parametrize(
    "stamp",
    [
        "2025-03-01T01:30:00",  # no zone
        "2025-03-01T25:00:00Z",
        "soon",
        None,
        float("nan"),
        1e300,
        "0001-01-01T00:00:00+14:00",  # before year 1 in UTC
        "9999-12-31T23:59:59-14:00",  # past year 9999 in UTC
        "9999-12-31T00:00:00Z",  # has no day after
    ],
)
def test_a_time_that_cannot_be_placed_is_refused(stamp):
    with pytest.raises(ValidationError, match="created_at"):
        ExperimentRegistered.model_validate(registered(created_at=stamp))


def test_two_registrations_are_the_same_when_all_but_their_time_is():
    first = ExperimentRegistered.model_validate(registered())
    again = ExperimentRegistered.model_validate(registered(created_at="2026-01-01T00:00:00Z"))
    other = ExperimentRegistered.model_validate(registered(start_date=date(2025, 3, 2)))
    assert first.spec == again.spec
    assert first.spec != other.spec


@pytest.mark.parametrize(
    "change",
    [
        {"status": "paused"},
        {"status": "finished", "changed_by": "ana", "reason": "enough"},
        {"add_variants": ["blue"]},
        {"retire_variants": ["green"], "add_variants": ["blue"], "status": "running"},
    ],
)
def test_a_change_of_anything_is_accepted(change):
    assert ExperimentChanged.model_validate(changed(**change))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, "must set status"),
        ({"reason": "boredom"}, "must set status"),
        ({"decision": None}, "must set status"),
        ({"decision": {"exploration": "0.1"}}, "valid number"),
        ({"decision": {"exploration": True}}, "valid number"),
        ({"decision": {"exploration": float("nan")}}, "finite number"),
        ({"decision": {"decision_preset": "bold"}}, "'brief', 'safe' or 'robust'"),
        ({"decision": {"min_impressions": 5}}, "not permitted"),
        ({"status": "resting"}, "running"),
        ({"add_variants": ["a"], "retire_variants": ["a"]}, "variant twice"),
        ({"add_variants": ["a", "a"]}, "variant twice"),
        ({"name": "Another", "status": "paused"}, "never renamed"),
        ({"add_variants": [" a"]}, "white space"),
        ({"add_variants": "a"}, "valid list"),
        ({"status": "paused", "surprise": 1}, "not permitted"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(change, complaint):
    with pytest.raises(ValidationError, match=complaint):
        ExperimentChanged.model_validate(changed(**change))


def test_a_change_that_we_write_says_who_made_it():
    spec = ChangeSpec.model_validate({"status": "paused", "changed_by": "ana"})
    assert ExperimentChanged.model_validate(changed(**spec.model_dump())).asks_the_same_as(spec)
    for nobody in ({}, {"changed_by": ""}, {"changed_by": " "}, {"changed_by": None}):
        with pytest.raises(ValidationError, match="changed_by"):
            ChangeSpec.model_validate({"status": "paused"} | nobody)


def test_a_change_is_true_from_the_day_after_it_was_made_in_utc():
    late = changed(status="paused", created_at="2025-03-02T23:30:00-01:00")
    assert ExperimentChanged.model_validate(late).effective_date == date(2025, 3, 4)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [*ExperimentRegistered.model_fields, *ExperimentChanged.model_fields, "other"]


@pytest.mark.parametrize("kind", [ExperimentRegistered, ExperimentChanged])
@given(document=JSON | st.dictionaries(st.sampled_from(FIELDS), JSON))
def test_any_json_is_either_accepted_or_refused_as_invalid(kind, document):
    with contextlib.suppress(ValidationError):
        TypeAdapter(kind).validate_python(document)
