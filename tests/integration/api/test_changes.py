"""`PATCH /experiments/{id}` and `GET /experiments/{id}/changes`; what comes of a change in a run
is in `tests/integration/test_live_changes.py`."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.homes import NOW, TODAY, YESTERDAY
from tests.integration.api.test_writing import JSON, json_values, relaxed, written

FIRST = experiment_id_of("experiment_000")
EXPERIMENT = f"/experiments/{FIRST}"
CHANGES = f"{EXPERIMENT}/changes"
PAUSE = {"changed_by": "ana", "status": "paused"}
TOMORROW = TODAY + timedelta(days=1)
PAGES = 1000


NONSENSE = [
    ({"changed_by": None}, "/changed_by", "string"),
    ({"changed_by": ""}, "/changed_by", "at least 1"),
    ({"changed_by": "a\nb"}, "/changed_by", "control characters"),
    ({"changed_by": "x" * 201}, "/changed_by", "at most 200"),
    ({"status": "resting"}, "/status", "'running', 'paused' or 'finished'"),
    ({"status": None}, "/", "must set status, add_variants, retire_variants or decision"),
    ({"decision": "safe"}, "/decision", "object"),
    ({"decision": {"exploration": 2}}, "/decision/exploration", "less than or equal to 1"),
    ({"decision": {"burn_in": True}}, "/decision/burn_in", "'on' or 'off'"),
    ({"decision": {"default_window_days": 28}}, "/decision/default_window_days", "not permitted"),
    ({"add_variants": "c"}, "/add_variants", "valid array"),
    ({"add_variants": [1]}, "/add_variants/0", "string"),
    ({"add_variants": [""]}, "/add_variants/0", "at least 1"),
    ({"add_variants": ["c", "c"]}, "/", "must not name a variant twice"),
    ({"add_variants": ["c"], "retire_variants": ["c"]}, "/", "must not name a variant twice"),
    ({"name": "a better name"}, "/", "an experiment is never renamed"),
    ({"description": "other"}, "/description", "not permitted"),
    ({"start_date": "2025-01-01"}, "/start_date", "not permitted"),
    ({"created_at": "2025-01-01T00:00:00Z"}, "/created_at", "not permitted"),
    ({"variants": []}, "/variants", "not permitted"),
]


def patch(api, **change):
    return api.client.patch(EXPERIMENT, json={"changed_by": "ana", **change})


def test_the_answer_is_the_experiment_as_it_will_be_and_from_when(api):
    now = api.get(EXPERIMENT).json()
    answer = patch(api, status="paused", add_variants=["c"], retire_variants=["variant_b"])
    assert answer.status_code == 202
    variants = [*now["variants"], {"name": "c", "is_control": False, "status": "active"}]
    variants[2] = variants[2] | {"status": "retired"}
    assert answer.json() == now | {
        "status": "paused",
        "variants": variants,
        "effective_date": str(TOMORROW),
    }
    assert api.get(EXPERIMENT).json() == now


def test_a_change_is_a_file_that_says_who_when_and_what(api):
    before = written(api)
    patch(api, status="finished", reason="enough")
    (name,) = set(written(api)) - set(before)
    assert name == f"experiments/{FIRST}/changed-0001.json"
    assert json.loads((api.home.settings.mab_home / "inbox" / name).read_bytes()) == {
        "experiment_id": FIRST,
        "created_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "changed_by": "ana",
        "reason": "enough",
        "status": "finished",
    }


def test_the_same_change_again_is_200_and_writes_nothing(api):
    first = patch(api, status="paused", add_variants=["c"])
    patch(api, retire_variants=["variant_b"])
    before = written(api)
    api.home.clock.now += timedelta(days=3)
    again = patch(api, status="paused", add_variants=["c"])
    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json()["effective_date"] == str(TOMORROW)
    assert written(api) == before


def test_what_was_undone_meanwhile_is_a_change_again(api):
    for status in ("paused", "running", "paused"):
        api.home.clock.now += timedelta(seconds=1)
        assert patch(api, status=status).status_code == 202
    assert [c["status"] for c in api.get(CHANGES).json()["changes"]] == [
        "paused",
        "running",
        "paused",
    ]


def test_somebody_else_who_asks_the_same_is_recorded_too(api):
    patch(api, status="paused")
    answer = api.client.patch(EXPERIMENT, json=PAUSE | {"changed_by": "bob"})
    assert answer.status_code == 202
    assert [c["changed_by"] for c in api.get(CHANGES).json()["changes"]] == ["ana", "bob"]


def test_a_change_that_makes_no_sense_is_422_and_says_where_and_why(api):
    before = written(api)
    for change, pointer, why in NONSENSE:
        answer = api.client.patch(EXPERIMENT, json=PAUSE | change)
        assert answer.status_code == 422, change
        (error,) = answer.json()["errors"]
        assert error["pointer"] == pointer
        assert why in error["detail"]
    assert written(api) == before


def test_who_changes_it_must_be_said(api):
    answer = api.client.patch(EXPERIMENT, json={"status": "paused"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"pointer": "/changed_by", "detail": "Field required"}]


@pytest.mark.parametrize(
    ("earlier", "change", "why"),
    [
        ({}, {"add_variants": ["variant_a"]}, "adds the variant 'variant_a', which is already"),
        ({}, {"retire_variants": ["nobody"]}, "retires the variant 'nobody', which is not active"),
        (
            {"retire_variants": ["variant_a"]},
            {"retire_variants": ["variant_a", "variant_b"]},
            "retires the variant 'variant_a', which is not active",
        ),
        ({}, {"retire_variants": ["control"]}, "retires the control 'control'"),
        ({}, {"add_variants": [f"v{n}" for n in range(98)]}, "leads to 101 active variants"),
        ({"status": "finished"}, {"status": "running"}, "finishing is final"),
        ({"status": "finished"}, {"add_variants": ["c"]}, "finishing is final"),
    ],
)
def test_what_contradicts_the_experiment_is_409_with_the_reason(api, earlier, change, why):
    if earlier:
        assert patch(api, **earlier).status_code == 202
    before = written(api)
    answer = patch(api, **change)
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:mab:problem:change-refused"
    assert why in answer.json()["detail"]
    assert written(api) == before


def test_a_hundred_variants_are_taken_and_all_but_the_control_may_be_retired(api):
    names = [f"v{n}" for n in range(97)]
    assert len(patch(api, add_variants=names).json()["variants"]) == 100
    retired = patch(api, retire_variants=[*names, "variant_a", "variant_b"])
    assert retired.status_code == 202
    active = [v["name"] for v in retired.json()["variants"] if v["status"] == "active"]
    assert active == ["control"]


def test_a_retired_variant_can_come_back_to_its_place(api):
    patch(api, retire_variants=["variant_a"])
    back = patch(api, add_variants=["variant_a"])
    assert [(v["name"], v["status"]) for v in back.json()["variants"]] == [
        ("control", "active"),
        ("variant_a", "active"),
        ("variant_b", "active"),
    ]


def test_an_experiment_that_was_registered_a_moment_ago_can_be_changed(api):
    body = {"name": "new", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
    location = api.post("/experiments", json=body).headers["location"]
    answer = api.client.patch(location, json=PAUSE)
    assert (answer.status_code, answer.json()["status"]) == (202, "paused")
    assert len(api.get(f"{location}/changes").json()["changes"]) == 1


def test_an_unknown_experiment_is_404(api):
    for wrong in ("exp_000000000000", "..%2f..", "x"):
        assert api.client.patch(f"/experiments/{wrong}", json=PAUSE).status_code == 404
        assert api.get(f"/experiments/{wrong}/changes").status_code == 404


def test_of_changes_at_the_same_moment_none_is_lost_and_what_contradicts_is_refused(api):
    def retire(number: int) -> int:
        change = {"changed_by": f"job {number}", "retire_variants": ["variant_a"]}
        return api.client.patch(EXPERIMENT, json=change).status_code

    def pause(number: int) -> int:
        change = PAUSE | {"changed_by": f"job {number}"}
        return api.client.patch(EXPERIMENT, json=change).status_code

    with ThreadPoolExecutor(8) as pool:
        retired, paused = pool.map(retire, range(6)), pool.map(pause, range(6))
        assert sorted(retired) == [202] + [409] * 5
        assert set(paused) == {202}
    changes = api.get(CHANGES).json()["changes"]
    assert len(changes) == 7
    assert [c["source_file"][-9:-5] for c in changes] == [f"{n:04}" for n in range(1, 8)]
    registry = api.app.state.serving.submissions.events(FIRST)
    assert registry.errors == {}


def test_changes_are_paged_oldest_first_those_of_files_included(api):
    days = ["1950-01-01", "2026-03-01", "2999-01-01"]  # one is scheduled
    for day, name in zip(days, ("c", "b", "a"), strict=True):
        event = {"experiment_id": FIRST, "created_at": f"{day}T10:00:00Z", "add_variants": [name]}
        api.home.platform.inbox.write(
            f"experiments/{FIRST}/{name}.json", json.dumps(event).encode()
        )
    (api.home.settings.mab_home / f"inbox/experiments/{FIRST}/broken.json").write_text("{")
    patch(api, status="paused", reason="holidays")
    whole = api.get(CHANGES).json()
    assert whole["next_cursor"] is None
    # Made before the experiment was registered: it does not count.
    assert [c["source_file"].rpartition("/")[2] for c in whole["changes"]] == [
        "b.json",
        "changed-0001.json",
        "a.json",
    ]
    assert whole["changes"][0] == {
        "changed_at": "2026-03-01T10:00:00Z",
        "effective_date": "2026-03-02",
        "changed_by": None,
        "reason": None,
        "status": None,
        "add_variants": ["b"],
        "retire_variants": [],
        "decision": None,
        "source_file": f"experiments/{FIRST}/b.json",
    }
    found, cursor = [], None
    for _ in range(PAGES):  # a cursor that leads in circles must not hang the suite
        query = {"limit": 1} | ({"cursor": cursor} if cursor else {})
        page = api.get(CHANGES, params=query).json()
        found += page["changes"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    else:
        pytest.fail(f"the cursors had not led to the end after {PAGES} pages")
    assert found == whole["changes"]


def test_a_page_that_makes_no_sense_is_422(api):
    for query in ("limit=0", "limit=1001", "limit=x", "cursor=", "cursor=1", "cursor=1-abc"):
        assert api.get(f"{CHANGES}?{query}").status_code == 422


def test_a_cursor_of_the_end_of_time_is_an_empty_page(api):
    patch(api, status="paused")
    page = api.get(f"{CHANGES}?cursor={'9' * 18}-ff").json()
    assert (page["changes"], page["next_cursor"]) == ([], None)


def test_a_change_that_a_scheduled_one_would_contradict_is_refused(api):
    event = {
        "experiment_id": FIRST,
        "created_at": "2030-01-01T00:00:00Z",
        "retire_variants": ["variant_a"],
    }
    name = f"experiments/{FIRST}/scheduled.json"
    api.home.platform.inbox.write(name, json.dumps(event).encode())
    answer = patch(api, retire_variants=["variant_a"])
    assert answer.status_code == 409
    assert f"conflicts with {name}, which then retires" in answer.json()["detail"]


def test_without_the_inbox_changes_are_503_and_allocations_are_served(api):
    inbox = api.home.settings.mab_home / "inbox"
    inbox.rename(inbox.with_name("gone"))
    for answer in (api.get(CHANGES), patch(api, status="paused")):
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:mab:problem:inbox-unavailable"
    assert api.get(f"{EXPERIMENT}/allocation").status_code == 200


def test_a_frozen_allocation_is_marked_and_never_stale(api):
    home = api.home
    patch(api, status="paused")
    home.load_registry()
    home.clock.now += timedelta(days=1)
    home.publish(TODAY, only=[])
    assert api.refresh()
    home.clock.now += timedelta(days=30)
    assert api.refresh()
    paused, running = api.get("/allocations").json()["experiments"][:2]
    assert paused == api.get(f"{EXPERIMENT}/allocation").json()
    marks = ("as_of_date", "status", "is_frozen", "is_stale")
    assert [paused[key] for key in marks] == [str(YESTERDAY), "paused", True, False]
    assert [running[key] for key in marks] == [str(YESTERDAY), "running", False, True]


near_changes = st.fixed_dictionaries(
    {},
    optional={
        "changed_by": json_values | st.just("ana"),
        "reason": json_values,
        "status": json_values | st.sampled_from(["running", "paused"]),
        "add_variants": json_values | st.lists(st.text(max_size=3), max_size=3),
        "retire_variants": json_values | st.lists(st.sampled_from(["variant_a", "x"]), max_size=2),
        "name": json_values,
    },
)


@settings(relaxed, max_examples=50)
@given(body=near_changes | json_values)
def test_no_json_value_makes_it_crash(api, body):
    answer = api.client.patch(EXPERIMENT, content=json.dumps(body), headers=JSON)
    assert answer.status_code in {200, 202, 400, 409, 422}
    assert api.get(CHANGES).status_code == 200
