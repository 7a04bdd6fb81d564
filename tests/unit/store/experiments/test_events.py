import json
from datetime import date

import pytest

from mab_store.experiments.events import fold_events, true_on
from mab_store.experiments.schemas import MAX_VARIANTS, experiment_id_of
from mab_store.files.inbox_file import Content

ID = experiment_id_of("cta")
REGISTERED = {
    "created_at": "2025-01-01T00:00:00Z",
    "name": "cta",
    "variants": [{"name": "control", "is_control": True}, {"name": "a"}, {"name": "b"}],
}


def folded(*events):
    """Fold a registration and the events after it; the n-th lies in the file n.json."""
    bodies = [{"experiment_id": ID, **event} for event in (REGISTERED, *events)]
    payloads = [json.dumps(body).encode() for body in bodies]
    return fold_events(
        {
            f"experiments/{ID}/{place}.json": Content(len(payload), "", payload)
            for place, payload in enumerate(payloads)
        }
    )


def made(at: str, **what: object):
    return {"created_at": at, **what}


def active_on(registry, day: str) -> tuple[str, list[str]]:
    experiment, variants = true_on(registry, date.fromisoformat(day))
    names = [row["variant_name"] for row in variants if row["status"] == "active"]
    return experiment["status"], names


def test_each_day_knows_what_was_true_on_it():
    registry = folded(
        made("2025-01-10T10:00:00Z", status="paused", add_variants=["c"]),
        made("2025-01-12T23:59:59Z", status="running", retire_variants=["a"]),
    )
    assert registry.errors == {}
    for day, expected in {
        "1999-01-01": ("running", ["control", "a", "b"]),
        "2025-01-10": ("running", ["control", "a", "b"]),
        "2025-01-11": ("paused", ["control", "a", "b", "c"]),
        "2025-01-12": ("paused", ["control", "a", "b", "c"]),
        "2025-01-13": ("running", ["control", "b", "c"]),
    }.items():
        assert active_on(registry, day) == expected


def test_files_count_in_the_order_of_their_moments_whatever_their_names():
    first = made("2025-01-10T10:00:00Z", status="paused")
    second = made("2025-01-10T10:00:01Z", status="running")
    for events in ((first, second), (second, first)):
        registry = folded(*events)
        assert active_on(registry, "2025-01-11")[0] == "running"
        assert [event.status for event in registry.changes.values()] == ["paused", "running"]


def test_of_two_that_contradict_each_other_the_first_counts_and_the_other_is_quarantined():
    first, second = (made(f"2025-01-10T1{hour}:00:00Z", retire_variants=["a"]) for hour in range(2))
    registry = folded(second, first)
    assert registry.errors == {
        f"experiments/{ID}/1.json": "retires the variant 'a', which is not active"
    }
    assert list(registry.changes) == [f"experiments/{ID}/2.json"]


def test_a_change_made_in_the_very_moment_of_the_registration_comes_after_it():
    registry = folded(made(REGISTERED["created_at"], status="paused"))
    assert registry.errors == {}
    assert active_on(registry, "2025-01-02")[0] == "paused"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"retire_variants": ["control"]}, "retires the control 'control'"),
        ({"retire_variants": ["c"]}, "retires the variant 'c', which is not active"),
        ({"add_variants": ["a"]}, "adds the variant 'a', which is already active"),
        ({"add_variants": [f"v{n}" for n in range(MAX_VARIANTS - 2)]}, "101 active variants"),
        ({"name": "new", "changed_by": "ana"}, "an experiment is never renamed"),
        ({"name": "new"}, "variants: Field required"),
        ({"changed_by": "x" * 201, "status": "paused"}, "changed_by: String should have at most"),
        ({"changed_by": 7, "status": "paused"}, "changed_by: Input should be a valid string"),
    ],
)
def test_a_file_that_cannot_be_applied_is_quarantined_and_changes_nothing(change, why):
    registry = folded(made("2025-01-10T10:00:00Z", **change))
    (error,) = registry.errors.values()
    assert why in error
    assert registry.changes == {}
    assert active_on(registry, "2025-01-11") == ("running", ["control", "a", "b"])


def test_finishing_is_final_and_may_be_said_twice():
    registry = folded(
        made("2025-01-10T10:00:00Z", status="finished"),
        made("2025-01-10T11:00:00Z", status="finished"),
        made("2025-01-10T12:00:00Z", status="running"),
        made("2025-01-10T13:00:00Z", status="finished", add_variants=["c"]),
    )
    assert list(registry.errors) == [f"experiments/{ID}/{place}.json" for place in (3, 4)]
    assert all("finishing is final" in error for error in registry.errors.values())
    assert active_on(registry, "2025-02-01") == ("finished", ["control", "a", "b"])


def test_options_of_the_rule_hold_from_the_next_day_until_they_are_replaced_or_removed():
    registry = folded(
        made("2025-01-10T10:00:00Z", decision={"exploration": 0.05, "burn_in": "on"}),
        made("2025-01-11T10:00:00Z", add_variants=["c"]),
        made("2025-01-12T10:00:00Z", decision={}),
    )
    assert registry.errors == {}
    for day, expected in {
        "2025-01-10": None,
        "2025-01-11": '{"burn_in":"on","exploration":0.05}',
        "2025-01-12": '{"burn_in":"on","exploration":0.05}',
        "2025-01-13": None,
    }.items():
        experiment, _ = true_on(registry, date.fromisoformat(day))
        assert experiment["decision"] == expected


def test_a_finished_experiment_takes_no_options():
    registry = folded(
        made("2025-01-10T10:00:00Z", status="finished"),
        made("2025-01-11T10:00:00Z", status="finished", decision={"burn_in": "on"}),
    )
    (error,) = registry.errors.values()
    assert "finished experiment" in error
