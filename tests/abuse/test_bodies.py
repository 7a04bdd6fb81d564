"""Bodies that cost more than they say, or say what nobody can mean."""

import gzip
import json

import pytest

from mab_store.experiments.schemas import experiment_id_of
from mab_store.settings import Settings
from tests.abuse.asgi import made_app, send

NEW = {"name": "new", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
ID = experiment_id_of("new")
METRICS = f"/experiments/{ID}/metrics"


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """An app in dev mode that knows one experiment of two variants, and one of 100."""
    made = made_app(Settings(_env_file=None, mab_home=tmp_path_factory.mktemp("home")), is_dev=True)
    many = [{"name": f"{n:03}" + "x" * 190, "is_control": n == 0} for n in range(100)]
    for spec in (NEW, {"name": "many", "variants": many}):
        assert send(made, "POST", "/experiments", body=json.dumps(spec).encode()).status == 201
    return made


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "identity, gzip", "x", "zstd"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/experiments"), ("POST", METRICS), ("PATCH", f"/experiments/{ID}")],
)
def test_a_compressed_body_is_415_and_not_read(app, coding, method, path):
    bomb = gzip.compress(b" " * (1 << 24))
    reply = send(app, method, path, headers=[("content-encoding", coding)], body=bomb)
    assert (reply.status, reply.problem, reply.reads) == (415, "unsupported-media-type", 0)
    assert reply.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("coding", ["", "identity", " Identity "])
def test_a_body_that_says_that_it_is_plain_is_taken(app, coding):
    body = json.dumps(NEW).encode()
    reply = send(app, "POST", "/experiments", headers=[("content-encoding", coding)], body=body)
    assert reply.status == 200


def counts(names) -> bytes:
    rows = [{"variant_name": name, "impressions": 1, "clicks": 0} for name in names]
    return json.dumps({"date": "2026-03-09", "metrics": rows}).encode()


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (METRICS, counts(f"nobody {number}" for number in range(1000))),
        (f"/experiments/{experiment_id_of('many')}/metrics", counts(str(n) for n in range(1000))),
        (METRICS, json.dumps({str(number): 1 for number in range(50_000)}).encode()),
        ("/experiments", json.dumps({"x" * 500_000: 1, "y" * 500_000: 1}).encode()),
        ("/experiments", json.dumps(NEW | {"variants": [{"a" * 9_000: 1}] * 100}).encode()),
    ],
)
def test_a_422_names_20_places_at_most_and_stays_small(app, path, body):
    reply = send(app, "POST", path, body=body)
    assert (reply.status, reply.problem) == (422, "invalid-request")
    assert len(json.loads(reply.body)["errors"]) <= 20
    assert len(reply.body) < 40_000


@pytest.mark.parametrize("count", [1, 19, 20, 21, 400])
def test_all_are_counted_and_the_first_20_are_named(app, count):
    reply = send(app, "POST", METRICS, body=counts(f"nobody {n}" for n in range(count)))
    problem = json.loads(reply.body)
    assert [error["pointer"] for error in problem["errors"]] == [
        f"/metrics/{place}/variant_name" for place in range(min(count, 20))
    ]
    assert (f"; and {count - 3} more" in problem["detail"]) == (count > 3)


@pytest.mark.parametrize(
    ("day", "status"),
    [
        ("0001-01-01", 422),
        ("1999-12-31", 422),
        ("2000-01-01", 201),
        ("2099-12-31", 201),
        ("2100-01-01", 422),
        ("9999-12-31", 422),
        ("1736899200", 422),
        ("2025-1-1", 422),
        ("2025-01-15T00:00:00", 422),
        ("\uff12\uff10\uff12\uff15-01-15", 422),
        (1736899200, 422),
        (None, 201),
    ],
)
def test_a_first_day_lies_in_this_century(app, day, status):
    body = NEW | {"name": f"begins {day!r}", "start_date": day}
    reply = send(app, "POST", "/experiments", body=json.dumps(body).encode())
    assert reply.status == status
    if status == 422:
        assert [error["pointer"] for error in json.loads(reply.body)["errors"]] == ["/start_date"]
