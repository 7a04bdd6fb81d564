import json
import re
from pathlib import Path

import pytest

from mab_api import evidence_schemas as evidence
from mab_api import schemas as models
from mab_api.analysis_schemas import Analysis
from mab_api.problems import Kind
from mab_store.experiments.schemas import experiment_id_of

COMMITTED = Path(__file__).parents[3] / "docs" / "openapi.json"
FIRST = experiment_id_of("experiment_000")


def test_the_committed_document_is_current(api):
    """`python -m tools.write_openapi` writes it."""
    assert json.loads(COMMITTED.read_text("utf-8")) == api.get("/openapi.json").json()


def operations(api):
    for path, methods in api.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def test_every_route_has_a_summary_an_example_and_its_problems(api):
    for path, method, operation in operations(api):
        assert operation["summary"], path
        good = [status for status in operation["responses"] if status.startswith("2")]
        for status in good:
            (content,) = operation["responses"][status]["content"].values()
            assert content["example"], (method, path)
        for status, response in operation["responses"].items():
            if status >= "400":
                assert list(response["content"]) == ["application/problem+json"], (path, status)
                assert all(kind in response["description"] for kind in response["content"][
                    "application/problem+json"]["examples"])  # fmt: skip
        assert "500" in operation["responses"]
        if method in {"post", "patch"}:
            (body,) = operation["requestBody"]["content"].values()
            assert body["example"]


def test_every_route_that_gives_an_etag_documents_it_and_its_304(api):
    paths = api.get("/openapi.json").json()["paths"]
    found = 0
    for path in paths:
        answer = api.get(path.format(experiment_id=FIRST), params={"session_id": "s"})
        responses = paths[path].get("get", {"responses": {}})["responses"]
        assert ("304" in responses) == ("etag" in answer.headers), path
        documented = responses.get("200", {}).get("headers", {})
        for name in ("ETag", "Last-Modified"):
            assert (name in documented) == (name in answer.headers), (path, name)
        found += "304" in responses
    assert found == 9


def test_every_kind_of_problem_is_documented_somewhere(api):
    text = api.get("/openapi.json").text
    for kind in set(Kind) - {Kind.ROUTE_NOT_FOUND, Kind.METHOD_NOT_ALLOWED, Kind.CLIENT_GONE}:
        assert f"urn:mab:problem:{kind.slug}" in text


@pytest.mark.parametrize(
    ("path", "model"),
    [
        (f"/experiments/{FIRST}/allocation", models.Allocation),
        ("/allocations", models.AllocationList),
        ("/experiments", models.ExperimentList),
        (f"/experiments/{FIRST}", models.Experiment),
        (f"/experiments/{FIRST}/assignment?session_id=s", models.Assignment),
        (f"/experiments/{FIRST}/changes", models.ChangeList),
        (f"/experiments/{FIRST}/history", models.History),
        (f"/experiments/{FIRST}/analysis", Analysis),
        (f"/experiments/{FIRST}/daily", evidence.Daily),
        (f"/experiments/{FIRST}/quality", evidence.Quality),
        (f"/experiments/{FIRST}/rows", evidence.Rows),
        (f"/experiments/{FIRST}/explanation", evidence.Explanation),
        (f"/experiments/{FIRST}/allocations", models.PublicationHistory),
        ("/healthz", models.Health),
        ("/readyz", models.Readiness),
        ("/experiments/x", models.Problem),
        ("/experiments?limit=0", models.Problem),
    ],
)
def test_every_answer_has_exactly_the_keys_of_its_model_in_its_order(api, path, model):
    content = api.get(path).content
    body = json.loads(content)
    parsed = model.model_validate_json(content)
    shown = list(parsed.model_dump(exclude_unset=True))
    assert list(body) == shown
    if model is not models.Problem:
        assert shown == list(model.model_fields)


@pytest.mark.parametrize("page", ["/docs", "/redoc"])
def test_the_docs_pages_ask_the_internet_for_nothing(api, page):
    html = api.get(page).text
    assets = re.findall(r"""(?:src|href)=["']([^"']+)["']""", html)
    assert assets
    for asset in assets:
        assert asset.startswith("/")
        assert api.get(asset).status_code == 200, asset
    for url in re.findall(r"https?://[^\s\"'<]+", html):
        raise AssertionError(url)
    assert "/openapi.json" in html


@pytest.mark.parametrize(
    ("page", "is_page"), [("/docs", True), ("/redoc", True), ("/healthz", False)]
)
def test_a_page_forbids_every_other_host(api, page, is_page):
    policy = api.get(page).headers.get("content-security-policy", "")
    assert ("default-src 'self'" in policy) is is_page
    assert "http" not in policy


def test_the_bundle_of_redoc_has_lost_its_makers_logo(api):
    bundle = api.get("/redoc.js")
    assert bundle.headers["content-type"].startswith("text/javascript")
    assert len(bundle.content) > 500_000
    assert b"cdn.redoc.ly" not in bundle.content


def test_the_address_alone_leads_to_the_documentation(api):
    answer = api.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "/docs")


def test_the_document_refers_to_nothing_that_is_not_in_it(api):
    document = api.get("/openapi.json").json()
    for reference in re.findall(r'"\$ref":"#/([^"]+)"', api.get("/openapi.json").text):
        part = document
        for key in reference.split("/"):
            part = part[key]
