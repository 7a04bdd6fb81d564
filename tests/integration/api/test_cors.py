"""Pages of the named origins may read the API in a browser; nothing else changes."""

import pytest

from mab_store.experiments.schemas import experiment_id_of
from mab_store.settings import load_settings

PATH = f"/experiments/{experiment_id_of('experiment_000')}/allocation"
SHOP = "https://shop.example.com"
READ = "0" * 64


@pytest.fixture
def shop(published, start, tmp_path):
    home = published.clone(tmp_path / "shop", api_cors_origins=(SHOP,), api_read_keys=(READ,))
    return start(home, is_dev=False)


def preflight(api, origin=SHOP, method="GET", headers="authorization,if-none-match"):
    asked = {"Origin": origin, "Access-Control-Request-Method": method}
    return api.client.options(PATH, headers=asked | {"Access-Control-Request-Headers": headers})


def test_a_page_of_the_origin_may_ask_with_a_key_and_an_etag(shop):
    answer = preflight(shop)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert answer.headers["access-control-allow-methods"] == "GET, HEAD"


@pytest.mark.parametrize(
    "asked",
    [
        {"origin": "https://evil.example.com"},
        {"origin": f"{SHOP}.evil.com"},
        {"origin": "http://shop.example.com"},
        {"origin": f"{SHOP}:8443"},
        {"origin": "null"},
        {"method": "POST"},
        {"method": "PATCH"},
        {"headers": "content-type,x-own"},
    ],
)
def test_what_is_not_named_is_refused(shop, asked):
    assert preflight(shop, **asked).status_code == 400


def test_a_refusal_can_be_read_by_the_page_and_by_no_other(shop):
    answer = shop.get(PATH, headers={"Origin": SHOP})
    assert answer.status_code == 401
    assert answer.headers["access-control-allow-origin"] == SHOP
    assert "Origin" in answer.headers["vary"]
    other = shop.get(PATH, headers={"Origin": "https://evil.example.com"})
    assert "access-control-allow-origin" not in other.headers


def test_a_write_that_needs_no_preflight_still_needs_its_key(shop):
    headers = {"Origin": SHOP, "Content-Type": "text/plain"}
    assert shop.post("/experiments", content="{}", headers=headers).status_code in {401, 403}


def test_an_answer_says_which_headers_a_page_may_read(published, start, tmp_path):
    api = start(published.clone(tmp_path / "open", api_cors_origins=(SHOP,)), is_dev=False)
    answer = api.get(PATH, headers={"Origin": SHOP})
    assert answer.status_code == 200
    assert "ETag" in answer.headers["access-control-expose-headers"]


def test_without_the_setting_no_answer_names_an_origin(api):
    answer = api.get(PATH, headers={"Origin": "http://127.0.0.1:8000"})
    assert answer.status_code == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "value", ["*", "shop.example.com", f"{SHOP}/", f"{SHOP}/path", "https://*.example.com", "null"]
)
def test_what_is_no_exact_origin_is_an_error(value):
    with pytest.raises(Exception, match=r"API_CORS_ORIGINS.*exact origins"):
        load_settings(api_cors_origins=value, _env_file=None)


def test_the_setting_is_a_list_with_commas(monkeypatch):
    monkeypatch.setenv("API_CORS_ORIGINS", f"{SHOP}, http://localhost:3000,")
    assert load_settings(_env_file=None).api_cors_origins == (SHOP, "http://localhost:3000")
