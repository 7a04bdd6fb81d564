"""Writes without a write key, by whatever path, encoding, prefix and method."""

import hashlib
import json
from datetime import timedelta
from itertools import product
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import iter_route_contexts
from hypothesis import given, settings
from hypothesis import strategies as st

from mab_api.routes.allocations import hot_routes
from mab_store.experiments.registration import register
from mab_store.experiments.schemas import ExperimentSpec, experiment_id_of
from mab_store.settings import Settings
from tests.abuse.asgi import made_app, send
from tests.integration.api.homes import NOW
from tests.integration.api.servers import DEADLINE_SECONDS, serving

READ, WRITE = "read-key", "write-key"
NAME = "experiment"
ID = experiment_id_of(NAME)
SPEC = {"name": NAME, "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
NEW = {"name": "new", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
COUNTS = {"date": "2026-03-09", "metrics": [{"variant_name": "a", "impressions": 9, "clicks": 1}]}
CHANGE = {"changed_by": "nobody", "status": "paused"}
WRITES = [
    ("POST", "/experiments", NEW),
    ("POST", f"/experiments/{ID}/metrics", COUNTS),
    ("PATCH", f"/experiments/{ID}", CHANGE),
]
KEYS = {
    "read-only": {},
    "read-only, read keys": {"api_read_keys": READ},
    "write keys": {"api_write_keys": WRITE},
    "both keys": {"api_read_keys": READ, "api_write_keys": WRITE},
}
ROOT_PATHS = ["", "/mab", "/mab/", "/", "/experiments", "/healthz", "/static-offline-docs", "mab"]
ENDINGS = [
    *("", "%0A", "%0a", "%0D%0A", "%0A%0A", "%00", "%09", "%20", "%0B", "%0C", "%1F", "%7F"),
    *("%C2%85", "%E2%80%A8", "%E2%80%8B", "%FF", "/", "//", "/.", "/..", "/./", "%2F", "%2f"),
    *("%5C", "%252F", "%250A", ";", ";x=1", "?", "?x=1", "#", "%3F", "%23", "%", "%zz", "."),
]
METHODS = ["POST", "PATCH", "PUT", "DELETE", "TRACE", "CONNECT", "QUERY", "PROPFIND", "BREW"]
ODD_METHODS = ["post", "Post", "patch", "PoSt", "POST ", " POST", "get", "Head", "options", "", "*"]


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def bearer(key: str | None) -> list[tuple[str, str]]:
    return [] if key is None else [("authorization", f"Bearer {key}")]


class Door:
    """An app with some keys, and the folder that it must not write to."""

    def __init__(self, root: Path, keys: dict[str, str]) -> None:
        self.keys = keys
        digests = {name: (digest(key),) for name, key in keys.items()}
        chosen = Settings(_env_file=None, mab_home=root, **digests)
        self.app = made_app(chosen)
        self.inbox = self.app.state.serving.submissions._inbox
        register(self.inbox, ExperimentSpec(**SPEC), now=NOW - timedelta(days=90))
        self.root = root

    def files(self) -> list[str]:
        return sorted(str(path) for path in self.root.rglob("*"))


@pytest.fixture(scope="module")
def doors(tmp_path_factory) -> dict[str, Door]:
    """An app for each way of setting the keys."""
    return {name: Door(tmp_path_factory.mktemp("home"), keys) for name, keys in KEYS.items()}


def refused(door: Door, key: str | None) -> tuple[int, str]:
    """Return what a write with this key must be answered."""
    if "api_write_keys" not in door.keys:
        return 403, "read-only-deployment"
    return (401, "key-required") if key is None else (403, "key-refused")


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("key", [None, READ, "wrong"])
@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_no_ending_and_no_prefix_lets_a_write_in(doors, kind, key, method, path, body):
    door = doors[kind]
    before = door.files()
    pairs = {(root_path, "%0A") for root_path in ROOT_PATHS}
    for root_path, ending in sorted(pairs | set(product(("", "/mab"), ENDINGS))):
        reply = send(
            door.app,
            method,
            path + ending,
            headers=bearer(key),
            body=json.dumps(body).encode(),
            root_path=root_path,
        )
        assert (reply.status, reply.problem) == refused(door, key), (root_path, ending)
        assert reply.reads == 0, "a body is read only after the key"
    assert door.files() == before


SEGMENTS = [
    *("experiments", "EXPERIMENTS", "Experiments", "metrics", "allocation", ID, ID.upper()),
    *("..", ".", "", "%2e%2e", "\u0130", "healthz", "readyz", "docs", "openapi.json"),
]
segments = st.sampled_from(SEGMENTS) | st.text(max_size=8)
encoders = st.sampled_from(
    [
        str,
        quote,
        lambda text: quote(text, safe=""),
        lambda text: "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace")),
        lambda text: quote(quote(text, safe=""), safe=""),
    ]
)


@st.composite
def targets(draw) -> str:
    """Draw a request's target: something like a path of ours, or nothing like it."""
    path = draw(
        st.sampled_from([path for _, path, _ in WRITES])
        | st.lists(segments, max_size=5).map(lambda parts: "/" + "/".join(parts))
    )
    encode = draw(encoders)
    target = "".join(character if character == "/" else encode(character) for character in path)
    prefix = draw(st.sampled_from(["", "", "/", "//", "/.", "/..", "/mab", "http://h"]))
    return prefix + target + draw(st.sampled_from(ENDINGS))


@given(
    kind=st.sampled_from(sorted(KEYS)),
    method=st.sampled_from(METHODS + ODD_METHODS)
    | st.text(max_size=8).filter(lambda text: text not in {"GET", "HEAD", "OPTIONS"}),
    target=targets(),
    root_path=st.sampled_from(ROOT_PATHS),
    key=st.sampled_from([None, READ, "wrong", ""]),
)
@settings(max_examples=400, deadline=None)
def test_whatever_is_asked_for_only_get_head_and_options_go_without_a_write_key(
    doors, kind, method, target, root_path, key
):
    door = doors[kind]
    reply = send(
        door.app,
        method,
        target.encode("utf-8", "replace").decode(),
        headers=bearer(key),
        body=json.dumps(NEW).encode(),
        root_path=root_path,
    )
    assert (reply.status, reply.problem) == refused(door, key or None)
    assert reply.reads == 0


@given(
    kind=st.sampled_from(["read-only, read keys", "both keys"]),
    method=st.sampled_from(["GET", "HEAD", "OPTIONS"]),
    target=targets() | st.sampled_from([f"/healthz{ending}" for ending in ENDINGS]),
    root_path=st.sampled_from(ROOT_PATHS),
)
@settings(max_examples=400, deadline=None)
def test_with_read_keys_nothing_but_health_is_answered_without_one(
    doors, kind, method, target, root_path
):
    reply = send(
        doors[kind].app,
        method,
        target.encode("utf-8", "replace").decode(),
        root_path=root_path,
    )
    if reply.status == 200:
        assert reply.body in {b'{"status":"ok"}', b""}
        assert "/healthz" in root_path + target
    else:
        assert reply.status in {401, 404, 405}
        assert reply.status == 401 or "healthz" in root_path + target


@pytest.mark.parametrize("root_path", ["", "/mab"])
def test_health_needs_no_key_behind_a_prefix_either(doors, root_path):
    for method in ("GET", "HEAD"):
        reply = send(doors["both keys"].app, method, "/healthz", root_path=root_path)
        assert reply.status == 200


@pytest.mark.parametrize("root_path", ["", "/mab"])
@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_a_write_key_writes_behind_a_prefix_too(tmp_path, root_path, method, path, body):
    door = Door(tmp_path, KEYS["both keys"])
    content = json.dumps(body).encode()
    reply = send(door.app, method, path, headers=bearer(WRITE), body=content, root_path=root_path)
    assert reply.status in {201, 202}
    if "location" in reply.headers:
        assert reply.headers["location"] == f"{root_path}/experiments/{experiment_id_of('new')}"


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH"])
@pytest.mark.parametrize("ending", ["%0A", "%0D%0A", "%00", "%C2%85", "%E2%80%A8"])
@pytest.mark.parametrize("path", ["/experiments", f"/experiments/{ID}", "/healthz", "/docs"])
def test_an_address_with_a_control_character_is_not_the_one_without(doors, method, ending, path):
    reply = send(doors["both keys"].app, method, path + ending, headers=bearer(WRITE))
    assert (reply.status, reply.problem) == (404, "route-not-found")


def test_every_route_that_takes_a_write_asks_whether_the_gateway_let_it_through(doors):
    app = doors["read-only"].app
    routes = [*hot_routes(app.state.serving), *app.routes]
    writing = [
        context
        for context in iter_route_contexts(routes)
        if set(context.methods or ()) - {"GET", "HEAD", "OPTIONS"}
    ]
    assert len(writing) == len(WRITES)
    for context in writing:
        calls = [dependency.call.__name__ for dependency in context.dependant.dependencies]
        assert "check_may_write" in calls, context.path


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("path", ["/experiments", "/static-offline-docs/x", "/", "/healthz"])
def test_a_websocket_is_closed_before_anything_looks_at_it(doors, kind, path):
    reply = send(doors[kind].app, "GET", path, kind="websocket")
    assert reply.types == ["websocket.close"]


def test_a_server_with_a_root_path_takes_no_write_without_a_key(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    program = (
        "import sys, uvicorn; from mab_store.settings import load_settings; "
        "sys.argv[1:] = ['mab_api.asgi:app', '--port', str(load_settings().api_port)]; "
        "uvicorn.main()"
    )
    environment = {"UVICORN_ROOT_PATH": "/mab", "API_WRITE_KEYS": digest(WRITE)}
    with serving(home, command=("-c", program), **environment) as server:
        for path in ("/experiments", "/experiments%0A", "/mab/experiments"):
            for key, status in ((None, 401), ("wrong", 403)):
                answer = httpx.post(
                    server.url + path, json=NEW, headers=dict(bearer(key)), timeout=DEADLINE_SECONDS
                )
                assert answer.status_code == status
        assert not (home / "inbox").exists()
        answer = httpx.post(
            f"{server.url}/experiments",
            json=NEW,
            headers=dict(bearer(WRITE)),
            timeout=DEADLINE_SECONDS,
        )
        assert answer.headers["location"].startswith("/mab/experiments/exp_")
