import hashlib

import orjson
import pytest
from fastapi.routing import iter_route_contexts
from prometheus_client.parser import text_string_to_metric_families as parse

from mab_api.routes.allocations import hot_routes
from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.homes import Home

FIRST = experiment_id_of("experiment_000")
READ, WRITE, OTHER = "read-key", "write-key", "wrong-key"
SPEC = {"name": "new", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
CHANGE = {"status": "paused", "changed_by": "ana"}
WRITE_ROUTES = {
    "/experiments": "POST",
    "/experiments/{experiment_id}": "PATCH",
    "/experiments/{experiment_id}/metrics": "POST",
}
READS = [
    "/allocations",
    f"/experiments/{FIRST}/allocation",
    f"/experiments/{FIRST}/history",
    f"/experiments/{FIRST}/allocations",
    f"/experiments/{FIRST}/assignment?session_id=s",
    f"/experiments/{FIRST}/changes",
    f"/experiments/{FIRST}",
    "/experiments",
    "/readyz",
    "/metrics",
    "/docs",
    "/redoc",
    "/",
    "/openapi.json",
    "/static-offline-docs/swagger-ui.css",
    "/nothing-here",
]


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"authorization": f"Bearer {key}"}


@pytest.fixture
def guarded(tmp_path, start):
    """Start the API on a published home with keys."""

    def make(*, read: bool, write: bool):
        keys = {"api_read_keys": (digest("another"), digest(READ))} if read else {}
        keys |= {"api_write_keys": (digest(WRITE),)} if write else {}
        home = Home(tmp_path / "guarded", api_refresh_seconds=3600, **keys)
        home.register()
        home.publish()
        return start(home, is_dev=False)

    return make


def every_route(api):
    serving = api.app.state.serving
    for context in iter_route_contexts([*hot_routes(serving), *api.app.routes]):
        yield context.path, context.methods


def test_no_route_outside_the_declared_ones_takes_anything_but_get_and_head(api):
    found = {path for path, methods in every_route(api) if methods and methods - {"GET", "HEAD"}}
    assert found == WRITE_ROUTES.keys()
    for path, methods in every_route(api):
        assert path not in WRITE_ROUTES or methods <= {"GET", "HEAD", WRITE_ROUTES[path]}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
def test_every_other_method_is_405_with_the_methods_that_are_taken(api, method):
    for path in READS[:-2]:
        address = path.partition("?")[0]
        also = {"/experiments": "POST", f"/experiments/{FIRST}": "PATCH"}.get(address)
        if method == also:
            continue
        answer = api.client.request(method, path)
        assert answer.status_code == 405
        assert answer.json()["type"] == "urn:mab:problem:method-not-allowed"
        assert answer.headers["allow"] == (f"GET, HEAD, {also}" if also else "GET, HEAD")


def test_without_write_keys_the_deployment_is_read_only(guarded):
    api = guarded(read=False, write=False)
    before = sorted(api.home.settings.mab_home.rglob("*"))
    for template, method in WRITE_ROUTES.items():
        path = template.format(experiment_id=FIRST)
        for key in (None, WRITE):
            answer = api.client.request(method, path, json=SPEC, headers=bearer(key))
            assert answer.status_code == 403
            assert answer.json()["type"] == "urn:mab:problem:read-only-deployment"
    assert sorted(api.home.settings.mab_home.rglob("*")) == before
    assert all(api.get(path).status_code in {200, 404} for path in READS)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ({}, 401),
        (bearer(OTHER), 403),
        (bearer(READ), 403),
        (bearer(digest(WRITE)), 403),
        ({"authorization": f"Basic {WRITE}"}, 401),
        ({"authorization": "Bearer "}, 401),
        ({"authorization": WRITE}, 401),
        (bearer(WRITE), 201),
        ({"authorization": f"bearer  {WRITE}"}, 201),
    ],
)
def test_a_write_wants_a_write_key(guarded, header, status):
    api = guarded(read=True, write=True)
    answer = api.post("/experiments", json=SPEC, headers=header)
    assert answer.status_code == status
    assert ("www-authenticate" in answer.headers) == (status == 401)
    changed = api.client.patch(f"/experiments/{FIRST}", json=CHANGE, headers=header)
    assert changed.status_code == (202 if status == 201 else status)


@pytest.mark.parametrize("path", READS)
def test_with_read_keys_every_read_wants_a_key_but_health(guarded, path):
    api = guarded(read=True, write=True)
    assert api.get(path).status_code == 401
    assert api.get(path, headers=bearer(OTHER)).status_code == 403
    for key in (READ, WRITE, "another"):
        assert api.get(path, headers=bearer(key)).status_code in {200, 404}
    assert api.get("/healthz").status_code == 200


def test_write_keys_alone_leave_reading_open(guarded):
    api = guarded(read=False, write=True)
    assert api.get(READS[0]).status_code == 200
    assert api.post("/experiments", json=SPEC).status_code == 401


def test_dev_mode_takes_writes_without_a_key(api):
    assert api.post("/experiments", json=SPEC).status_code == 201


def test_no_key_body_session_or_query_is_ever_in_the_log(guarded):
    api = guarded(read=True, write=True)
    secret = "s3cret-in-the-body"
    api.post("/experiments", json=SPEC | {"description": secret}, headers=bearer(WRITE))
    api.post("/experiments", json=SPEC | {"description": 7, "x": secret}, headers=bearer(WRITE))
    api.post("/experiments", content=secret, headers=bearer(OTHER))
    change = CHANGE | {"reason": secret}
    api.client.patch(f"/experiments/{FIRST}", json=change, headers=bearer(WRITE))
    api.get(f"/experiments/{FIRST}/assignment?session_id={secret}", headers=bearer(READ))
    api.get(f"/experiments/{FIRST}/history?cursor={secret}", headers=bearer(READ))
    log = api.log.getvalue().decode()
    assert log.count('"event":"request"') == 6
    for hidden in (secret, READ, WRITE, OTHER, digest(READ), digest(WRITE), "Bearer"):
        assert hidden not in log


def test_each_answer_and_its_log_line_have_the_same_request_id(api):
    mine = api.get("/allocations", headers={"x-request-id": "trace-42"})
    assert mine.headers["x-request-id"] == "trace-42"
    other = api.get("/nothing", headers={"x-request-id": "no spaces\tallowed"})
    assert other.json()["request_id"] == other.headers["x-request-id"] != "no spaces\tallowed"
    lines = [orjson.loads(line) for line in api.log.getvalue().splitlines()]
    ids = [line["request_id"] for line in lines if line["event"] == "request"]
    assert ids == ["trace-42", other.headers["x-request-id"]]


@pytest.mark.parametrize("path", ["/allocations", "/experiments", f"/experiments/{FIRST}/history"])
def test_a_crash_is_a_500_problem_and_its_message_stays_out_of_the_log(api, monkeypatch, path):
    def crash(*_arguments, **_names):
        raise RuntimeError("s3cret")

    monkeypatch.setattr("mab_api.dependencies.Serving.snapshot", crash)
    monkeypatch.setattr("mab_api.snapshot.experiment_index.ExperimentIndex.page", crash)
    answer = api.get(path)
    assert answer.status_code == 500
    body = answer.json()
    assert body["type"] == "urn:mab:problem:internal-error"
    assert answer.headers["x-request-id"] == body["request_id"]
    log = api.log.getvalue().decode()
    assert "s3cret" not in log + answer.text
    assert '"error":"RuntimeError"' in log
    assert body["request_id"] in log


def test_metrics_count_by_route_template_and_not_by_path(api):
    for _ in range(3):
        api.get(f"/experiments/{FIRST}/allocation")
    api.get("/experiments/x/allocation")
    text = api.get("/metrics").text
    route = "/experiments/{experiment_id}/allocation"
    assert f'mab_http_requests_total{{method="GET",route="{route}",status="200"}} 3.0' in text
    assert f'mab_http_requests_total{{method="GET",route="{route}",status="404"}} 1.0' in text
    assert FIRST not in text
    assert "mab_publication_age_seconds 0.0" in text
    assert "mab_experiments 3.0" in text


def test_request_times_are_a_histogram_whose_buckets_add_up(api):
    times = api.app.state.serving.metrics.requests
    times.add("/slow", "GET", 200, 0.0005)
    times.add("/slow", "GET", 404, 0.003)
    times.add("/slow", "GET", 200, 60.0)
    families = {family.name: family for family in parse(api.get("/metrics").text)}
    samples = [
        s for s in families["mab_http_request_seconds"].samples if s.labels["route"] == "/slow"
    ]
    buckets = {s.labels["le"]: s.value for s in samples if s.name.endswith("_bucket")}
    assert (buckets["0.0005"], buckets["0.0025"], buckets["0.005"]) == (1, 1, 2)
    assert (buckets["2.5"], buckets["+Inf"]) == (2, 3)
    sums = {s.name.rpartition("_")[2]: s.value for s in samples}
    assert (sums["count"], sums["sum"]) == (3, 60.0035)
