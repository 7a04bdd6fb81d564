"""`mab api --dev` takes writes without a key, so it answers to this machine's own names only."""

import json

import pytest

from mab_store.settings import Settings
from tests.abuse.asgi import made_app, send

NEW = {"name": "new", "variants": [{"name": "a", "is_control": True}, {"name": "b"}]}
OURS = [
    *("localhost", "localhost:8000", "LocalHost:8000", "127.0.0.1", "127.0.0.1:1"),
    *("127.0.0.1:65535", "127.1.2.3:80", "[::1]", "[::1]:8000"),
]
FOREIGN = [
    *("", "evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"),
    *(
        "evil.example#localhost",
        "evil.example/localhost",
        "localhost@evil.example",
        "x:y@localhost",
    ),
    *(
        "localhost:",
        "localhost:8000:8000",
        "localhost:x",
        "localhost:123456",
        "localhost.",
        " localhost",
    ),
    *("localhost\n", "127.0.0.1,evil.example", "0.0.0.0", "10.0.0.1", "192.168.0.1", "128.0.0.1"),
    *("[::]", "[::2]", "::1", "[::ffff:127.0.0.1]", "127.0.0.1e", "2130706433", "0x7f.1", "127.1"),
    *("127.0.0.1\u00e9", "l\u00f6calhost", "http://localhost"),
]
REQUESTS = [
    ("GET", "/healthz"),
    ("GET", "/experiments"),
    ("POST", "/experiments"),
    ("OPTIONS", "/x"),
]
BAD_ORIGINS = [
    *(f"http://{host}" for host in FOREIGN),
    *("null", "localhost", "127.0.0.1:8000", "file://localhost", "https://evil.example"),
    *("chrome-extension://localhost", "http://localhost/", "http://localhost http://evil.example"),
]


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """An app in dev mode."""
    home = tmp_path_factory.mktemp("home")
    return made_app(Settings(_env_file=None, mab_home=home), is_dev=True)


def sent(app, method, path, **headers):
    """Send a request with no other headers than these."""
    return send(
        app,
        method,
        path,
        headers=[(name, value) for name, value in headers.items() if value is not None],
        body=json.dumps(NEW).encode(),
        plain=True,
    )


@pytest.mark.parametrize("host", OURS)
@pytest.mark.parametrize("origin", [None, "http://localhost:3000", "https://127.0.0.1:8501"])
def test_this_machines_own_names_are_let_in(app, host, origin):
    assert sent(app, "GET", "/healthz", host=host, origin=origin).status == 200
    headers = {"content-type": "application/json", "origin": origin}
    assert sent(app, "POST", "/experiments", host=host, **headers).status in {200, 201}


@pytest.mark.parametrize(("method", "path"), REQUESTS)
@pytest.mark.parametrize("host", [None, *FOREIGN])
def test_another_name_in_host_is_refused_before_the_body_is_read(app, method, path, host):
    reply = sent(app, method, path, host=host)
    assert (reply.status, reply.problem, reply.reads) == (403, "foreign-request", 0)


@pytest.mark.parametrize("origin", BAD_ORIGINS)
def test_another_origin_is_refused_before_the_body_is_read(app, origin):
    for method, path in (("GET", "/experiments"), ("POST", "/experiments")):
        reply = sent(app, method, path, host="localhost", origin=origin)
        assert (reply.status, reply.problem, reply.reads) == (403, "foreign-request", 0)


@pytest.mark.parametrize("name", ["host", "origin"])
def test_a_second_header_does_not_hide_the_first(app, name):
    scheme = "http://" if name == "origin" else ""
    for values in (("localhost", "evil.example"), ("evil.example", "localhost")):
        headers = [("host", "localhost"), *((name, scheme + value) for value in values)]
        reply = send(app, "POST", "/experiments", headers=headers, plain=True)
        assert (reply.status, reply.problem) == (403, "foreign-request")


def test_without_dev_every_host_is_served(tmp_path):
    app = made_app(Settings(_env_file=None, mab_home=tmp_path))
    assert (
        sent(app, "GET", "/healthz", host="api.example", origin="https://x.example").status == 200
    )
