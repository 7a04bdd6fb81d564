"""What the dashboard makes of answers: a body, or a state that it can show."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from mab_dashboard.api import Api, ApiError

PROBLEM = '{"type": "urn:mab:problem:%s", "detail": "The sentence."}'
ANSWERS = {
    "/ok": (200, '{"a": 1}'),
    "/html": (200, "<html>"),
    "/list": (200, "[]"),
    "/moved": (307, "{}"),
    "/strange": (500, '{"detail": "x"}'),
    **{
        f"/{slug}": (503, PROBLEM % slug)
        for slug in (
            "key-required",
            "key-refused",
            "loading",
            "not-published",
            "history-unavailable",
            "experiment-not-found",
            "allocation-not-materialised",
            "something-new",
        )
    },
}


class Handler(BaseHTTPRequestHandler):
    seen: list[tuple[str, str | None]] = []  # noqa: RUF012  # one server, one list

    def do_GET(self) -> None:
        self.seen.append((self.path, self.headers["authorization"]))
        status, text = ANSWERS[self.path.partition("?")[0]]
        self.send_response(status)
        self.send_header("location", "http://127.0.0.1:9/")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_body_comes_back_and_the_key_and_the_query_are_sent(url):
    assert Api(url, "k").get("/ok", {"q": "a b&c", "none": None}) == {"a": 1}
    assert Handler.seen[-1] == ("/ok?q=a+b%26c", "Bearer k")
    Api(url).get("/ok")
    assert Handler.seen[-1] == ("/ok", None)


@pytest.mark.parametrize(
    ("path", "state"),
    [
        ("/html", "unexpected"),
        ("/list", "unexpected"),
        ("/moved", "unexpected"),
        ("/strange", "unexpected"),
        ("/something-new", "unexpected"),
        ("/key-required", "key_required"),
        ("/key-refused", "key_refused"),
        ("/loading", "loading"),
        ("/not-published", "not_published"),
        ("/history-unavailable", "unavailable"),
        ("/experiment-not-found", "not_found"),
        ("/allocation-not-materialised", "not_found"),
    ],
)
def test_every_other_answer_is_a_state(url, path, state):
    with pytest.raises(ApiError) as caught:
        Api(url).get(path)
    assert caught.value.state == state


@pytest.mark.parametrize(
    ("key", "state"), [("", "away"), ("ключ", "key_refused"), ("a\nb", "away")]
)
def test_a_server_that_is_not_there_and_a_key_that_no_header_holds_are_states(key, state):
    with pytest.raises(ApiError) as caught:
        Api("http://127.0.0.1:9", key).get("/ok")
    assert caught.value.state == state


@pytest.mark.parametrize(
    "name", ["", "x", "../healthz", "exp_0123456789ab/../..", "exp_0123456789AB"]
)
def test_what_is_no_id_never_becomes_an_address(url, name):
    before = len(Handler.seen)
    with pytest.raises(ApiError, match="No experiment") as caught:
        Api(url).of(name)
    assert caught.value.state == "not_found"
    assert len(Handler.seen) == before
