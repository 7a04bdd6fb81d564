import gzip
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from mab_store.experiments.assignment import bucket_of, variant_of
from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.homes import NOW, TODAY, YESTERDAY

FIRST = experiment_id_of("experiment_000")


ALLOCATION = f"/experiments/{FIRST}/allocation"


PAGES = 1000


CLI = "from mab_pipeline.cli.main import main; main()"


def test_an_allocation_begins_with_the_keys_of_the_source_document_in_their_order(api):
    body = api.get(ALLOCATION).json()
    assert list(body)[:6] == [
        "experiment_id",
        "experiment_name",
        "computed_at",
        "algorithm",
        "window_days",
        "allocations",
    ]
    for variant in body["allocations"]:
        assert list(variant)[:4] == [
            "variant_name",
            "is_control",
            "allocation_percentage",
            "metrics",
        ]
        assert list(variant["metrics"]) == ["impressions", "clicks", "ctr"]
    assert sum(round(v["allocation_percentage"] * 100) for v in body["allocations"]) == 10_000


def test_what_is_served_equals_what_the_command_line_prints(api):
    api.home.clock.now = datetime.now(UTC).replace(tzinfo=None)  # the command has its own clock
    api.refresh()
    printed = subprocess.run(
        [sys.executable, "-c", CLI, "allocations", "--format", "json"],
        env=os.environ | {"MAB_HOME": str(api.home.settings.mab_home)},
        capture_output=True,
        check=True,
    )
    bodies = json.loads(printed.stdout)
    assert len(bodies) == 3
    for body in bodies:
        assert api.get(f"/experiments/{body['experiment_id']}/allocation").json() == body
    assert api.get("/allocations").json()["experiments"] == bodies


@pytest.mark.parametrize("path", [ALLOCATION, "/allocations", "/experiments", "/healthz", "/docs"])
def test_head_answers_like_get_without_the_body(api, path):
    got, head = api.get(path), api.client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == got.headers["content-length"]


def test_the_list_holds_the_same_bodies_and_is_compressed_where_that_is_accepted(api):
    plain = api.get("/allocations", headers={"accept-encoding": "identity"})
    packed = api.get("/allocations", headers={"accept-encoding": "br, gzip;q=0.5"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content
    assert len(plain.content) == int(plain.headers["content-length"])
    assert plain.headers["etag"] != packed.headers["etag"]
    assert plain.headers["vary"] == "accept-encoding"
    bodies = plain.json()["experiments"]
    assert bodies == [
        api.get(f"/experiments/{b['experiment_id']}/allocation").json() for b in bodies
    ]
    assert [b["experiment_name"] for b in bodies] == [f"experiment_{n:03}" for n in range(3)]


@pytest.mark.parametrize("value", ["gzip;q=0", "gzip;q=0.0", "br", "identity"])
def test_who_does_not_accept_gzip_does_not_get_it(api, value):
    assert (
        "content-encoding"
        not in api.get("/allocations", headers={"accept-encoding": value}).headers
    )


def test_the_compressed_list_is_the_plain_one(api):
    listing = api.app.state.serving.refresher.snapshot.listing
    assert gzip.decompress(listing.gzipped) == b"".join(listing.pieces())


def test_a_body_turns_stale_at_its_moment_without_any_refresh(api):
    due = NOW.replace(day=11, hour=4, minute=0)  # 2 h schedule and 2 h grace later
    fresh, fresh_list = api.get(ALLOCATION), api.get("/allocations")
    api.home.clock.now = due
    assert api.get(ALLOCATION).headers["etag"] == fresh.headers["etag"]
    api.home.clock.now = due + timedelta(microseconds=1)
    stale, stale_list = api.get(ALLOCATION), api.get("/allocations")
    assert stale.json() == fresh.json() | {"is_stale": True}
    assert fresh.json()["is_stale"] is False
    assert all(body["is_stale"] for body in stale_list.json()["experiments"])
    assert stale.headers["etag"] != fresh.headers["etag"]
    assert stale_list.headers["etag"] != fresh_list.headers["etag"]
    assert stale.headers["last-modified"] == "Wed, 11 Mar 2026 04:00:00 GMT"


def test_a_held_back_experiment_is_served_as_it_was_and_marked(api):
    api.home.clock.now += timedelta(days=1)
    api.home.publish(TODAY, only=list(api.home.variants)[1:])
    api.home.hold_back(FIRST, TODAY)
    assert api.refresh()
    body = api.get(ALLOCATION).json()
    assert body["as_of_date"] == str(YESTERDAY)
    assert body["held_back"] == {"reason": "data_gap", "detail": "no accepted counts"}


def test_before_the_first_publication_allocations_are_503_with_retry_after(home, start):
    api = start(home)
    for path in (ALLOCATION, "/allocations", "/readyz", f"/experiments/{FIRST}/history"):
        answer = api.get(path)
        assert answer.status_code == 503
        assert answer.json()["type"] == "urn:mab:problem:not-published"
        assert answer.headers["retry-after"] == "3600"
    assert api.get("/healthz").status_code == 200
    home.publish()
    assert api.refresh()
    assert api.get("/readyz").json()["experiments"] == 3
    assert api.get(ALLOCATION).status_code == 200


def test_an_experiment_that_is_registered_but_not_materialised_says_so(api):
    body = {"name": "new", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
    location = api.post("/experiments", json=body).headers["location"]
    answer = api.get(f"{location}/allocation")
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:mab:problem:allocation-not-materialised"


@pytest.mark.parametrize("status", ["paused", "finished"])
@pytest.mark.parametrize("is_loaded", [False, True])
def test_an_experiment_that_was_never_published_says_why(api, status, is_loaded):
    body = {"name": "new", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
    location = api.post("/experiments", json=body).headers["location"]
    api.client.patch(location, json={"status": status, "changed_by": "ana"})
    api.home.clock.now += timedelta(days=1)
    if is_loaded:
        api.home.load_registry()
        api.home.publish(TODAY, only=[])
    assert api.refresh()
    answer = api.get(f"{location}/allocation")
    assert answer.json()["type"] == "urn:mab:problem:allocation-not-materialised"
    assert f"The experiment is {status}" in answer.json()["detail"]
    assert api.get(location).json()["status"] == status
    again = api.post("/experiments", json=body)
    assert (again.status_code, again.json()["status"]) == (200, status)


def test_an_experiment_that_another_process_registered_is_found_in_the_inbox(api):
    api.home.register(4)
    new = experiment_id_of("experiment_003")
    answer = api.get(f"/experiments/{new}/allocation")
    assert answer.json()["type"] == "urn:mab:problem:allocation-not-materialised"
    assert api.get(f"/experiments/{new}").json()["status"] == "running"


@pytest.mark.parametrize(
    "wrong", ["exp_000000000000", "nope", "exp_ABCDEF012345", "%2e%2e", "exp_%2e%2e"]
)
def test_an_unknown_experiment_is_404_wherever_it_is_asked_for(api, wrong):
    for rest in ("", "/allocation", "/history", "/allocations", "/assignment?session_id=s"):
        answer = api.get(f"/experiments/{wrong}{rest}")
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_registry_is_paged_by_name_to_its_end(api):
    seen, cursor = [], None
    for _ in range(PAGES):  # a cursor that leads in circles must not hang the suite
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = api.get("/experiments", params=query).json()
        seen += [record["name"] for record in page["experiments"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    else:
        pytest.fail(f"the cursors had not led to the end after {PAGES} pages")
    assert seen == [f"experiment_{number:03}" for number in range(3)]


def test_a_pending_experiment_stands_in_the_registry_in_its_place(api):
    body = {
        "name": "experiment_000b",
        "variants": [{"name": "a", "is_control": True}, {"name": "b"}],
    }
    api.post("/experiments", json=body)
    names = [record["name"] for record in api.get("/experiments").json()["experiments"]]
    assert names == ["experiment_000", "experiment_000b", "experiment_001", "experiment_002"]


def test_an_experiment_shows_its_variants_in_the_owners_order(api):
    record = api.get(f"/experiments/{FIRST}").json()
    assert record["name"] == "experiment_000"
    assert [(v["name"], v["is_control"]) for v in record["variants"]] == [
        ("control", True),
        ("variant_a", False),
        ("variant_b", False),
    ]


def test_an_assignment_is_what_the_buckets_of_the_allocation_say(api):
    allocations = api.get(ALLOCATION).json()["allocations"]
    for session in ("a", "b", "ünï", "x" * 512):
        body = api.get(f"/experiments/{FIRST}/assignment", params={"session_id": session}).json()
        assert body["bucket"] == bucket_of(FIRST, session)
        assert body["variant_name"] == variant_of(body["bucket"], allocations)


def test_finished_experiments_answer_but_are_not_in_the_list(api):
    home = api.home
    change = {
        "experiment_id": FIRST,
        "created_at": f"{NOW - timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}",
        "status": "finished",
    }
    home.platform.inbox.write(f"experiments/{FIRST}/end.json", json.dumps(change).encode())
    home.load_registry()
    home.publish(TODAY, only=[])
    assert api.refresh()
    assert api.get(ALLOCATION).json()["status"] == "finished"
    listed = api.get("/allocations").json()["experiments"]
    assert [body["experiment_name"] for body in listed] == ["experiment_001", "experiment_002"]


def test_a_status_that_changes_at_midnight_is_seen_without_a_publication(api):
    home = api.home
    change = {"experiment_id": FIRST, "created_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}", "status": "paused"}
    home.platform.inbox.write(f"experiments/{FIRST}/pause.json", json.dumps(change).encode())
    home.load_registry()
    home.publish(TODAY, only=[])
    assert api.refresh()
    assert api.get(ALLOCATION).json()["status"] == "running"
    home.clock.now = NOW + timedelta(days=1)
    assert api.refresh()
    assert api.get(ALLOCATION).json()["status"] == "paused"
