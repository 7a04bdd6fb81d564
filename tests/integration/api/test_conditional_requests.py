"""ETag, Last-Modified and 304: a client downloads a version once."""

import json
from datetime import timedelta

import pytest

from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.homes import NOW, TODAY, YESTERDAY

FIRST = experiment_id_of("experiment_000")
ALLOCATION = f"/experiments/{FIRST}/allocation"


def test_it_carries_its_etag_age_and_how_long_it_may_be_kept(api):
    answer = api.get(ALLOCATION)
    assert answer.headers["cache-control"] == "max-age=60, stale-if-error=86400"
    assert answer.headers["last-modified"] == "Tue, 10 Mar 2026 09:30:00 GMT"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["etag"].startswith('"')


@pytest.mark.parametrize(
    "path",
    [
        ALLOCATION,
        "/allocations",
        f"/experiments/{FIRST}/history",
        f"/experiments/{FIRST}/allocations",
    ],
)
@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', "*"])
def test_a_client_that_holds_the_version_gets_304_without_a_body(api, path, form):
    etag = api.get(path).headers["etag"]
    answer = api.get(path, headers={"if-none-match": form.format(etag)})
    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["etag"] == etag
    assert "content-type" not in answer.headers


@pytest.mark.parametrize("path", [ALLOCATION, "/allocations"])
@pytest.mark.parametrize(
    ("since", "status"),
    [
        ("Tue, 10 Mar 2026 09:30:00 GMT", 304),
        ("Tue, 10 Mar 2026 09:30:01 GMT", 304),
        ("Wed, 11 Mar 2026 09:30:00 GMT", 304),
        ("Tuesday, 10-Mar-26 09:30:00 GMT", 304),
        ("Tue, 10 Mar 2026 10:30:00 +0100", 304),
        ("Tue, 10 Mar 2026 09:29:59 GMT", 200),
        ("Mon, 09 Mar 2026 09:30:00 GMT", 200),
        ("Tue, 10 Mar 2026 09:30:00", 200),
        ("Tue, 99 Mar 2026 09:30:00 GMT", 200),
        ("Tue, 10 Mar 999999 09:30:00 GMT", 200),
        ("yesterday", 200),
        ("", 200),
        ("0", 200),
    ],
)
def test_if_modified_since_is_honoured_and_a_bad_date_is_none(api, path, since, status):
    for method in ("GET", "HEAD"):
        answer = api.client.request(method, path, headers={"if-modified-since": since})
        assert answer.status_code == status
        assert answer.headers["last-modified"] == "Tue, 10 Mar 2026 09:30:00 GMT"
        if status == 304:
            assert answer.content == b""
    assert api.client.get(path, headers={"if-modified-since": b"\xff"}).status_code == 200


@pytest.mark.parametrize("path", [ALLOCATION, "/allocations"])
def test_a_name_that_does_not_match_wins_over_a_date_that_does(api, path):
    date = {"if-modified-since": "Wed, 11 Mar 2026 09:30:00 GMT"}
    assert api.get(path, headers=date | {"if-none-match": '"other"'}).status_code == 200
    etag = api.get(path).headers["etag"]
    old = {"if-modified-since": "Mon, 09 Mar 2026 09:30:00 GMT"}
    assert api.get(path, headers=old | {"if-none-match": etag}).status_code == 304


@pytest.mark.parametrize("path", [ALLOCATION, "/allocations"])
def test_a_body_that_changes_without_a_publication_has_a_later_date(api, path):
    home = api.home
    change = {"experiment_id": FIRST, "created_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}", "status": "paused"}
    home.platform.inbox.write(f"experiments/{FIRST}/pause.json", json.dumps(change).encode())
    home.load_registry()
    home.publish(TODAY, only=[])
    assert api.refresh()
    held = {"if-modified-since": api.get(path).headers["last-modified"]}
    assert api.get(path, headers=held).status_code == 304
    home.clock.now = NOW + timedelta(hours=15)
    assert api.refresh()
    answer = api.get(path, headers=held)
    assert answer.status_code == 200
    assert '"status":"paused"' in answer.text
    assert answer.headers["last-modified"] == "Wed, 11 Mar 2026 00:30:00 GMT"


@pytest.mark.parametrize("path", [ALLOCATION, "/allocations"])
def test_two_bodies_of_the_same_second_have_two_dates(api, path):
    first = api.get(path)
    api.home.clock.now += timedelta(milliseconds=100)
    api.home.publish(YESTERDAY)
    assert api.refresh()
    held = {"if-modified-since": first.headers["last-modified"]}
    second = api.get(path, headers=held)
    assert second.status_code == 200
    assert second.headers["etag"] != first.headers["etag"]
    assert second.headers["last-modified"] == "Tue, 10 Mar 2026 09:30:01 GMT"


@pytest.mark.parametrize("path", [ALLOCATION, "/allocations"])
def test_a_body_that_stays_keeps_its_date_over_a_refresh(api, path):
    first = api.get(path)
    api.home.clock.now += timedelta(hours=2)
    api.home.publish(TODAY, only=[])
    assert api.refresh()
    assert api.get(path).headers["last-modified"] == first.headers["last-modified"]
    held = {"if-modified-since": first.headers["last-modified"]}
    assert api.get(path, headers=held).status_code == 304


def test_a_client_that_holds_an_older_version_gets_the_new_one(api):
    old = api.get(ALLOCATION)
    api.home.clock.now += timedelta(days=1)
    api.home.publish(TODAY)
    assert api.refresh()
    new = api.get(ALLOCATION, headers={"if-none-match": old.headers["etag"]})
    assert new.status_code == 200
    assert new.json()["as_of_date"] == str(TODAY)
    assert new.headers["etag"] != old.headers["etag"]
