"""Questions to servers that refuse, break off, drip or send too much."""

import time

import pytest

from mab_client import polling
from mab_client.polling import Answer, Poller, PollError
from tests.unit.client.conftest import answer


@pytest.fixture
def ask(server):
    poller = Poller(server.url, "secret", 60)
    yield poller.ask
    poller.close()


def test_it_asks_with_its_key_and_the_name_of_what_it_has(server, ask):
    server.answers = [answer(200, "[]", ETag='"v1"'), answer(304)]
    assert ask(None) == Answer("[]", '"v1"')
    assert ask('"v1"') == Answer(None, '"v1"')
    first, second = server.asked
    assert first["path"] == "/allocations"
    assert first["Authorization"] == "Bearer secret"
    assert "If-None-Match" not in first
    assert second["If-None-Match"] == '"v1"'


def test_the_address_may_have_a_root_path(server):
    server.answers = [answer(200, "[]")]
    poller = Poller(f"{server.url}/mab/", None, 60)
    assert poller.ask(None) == Answer("[]", None)
    assert server.asked[0]["path"] == "/mab/allocations"
    assert "Authorization" not in server.asked[0]
    poller.close()


def _cut(handler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "100")
    handler.end_headers()
    handler.wfile.write(b'{"experiments"')
    handler.close_connection = True


def _drip(handler) -> None:
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.end_headers()
    for _ in range(600):
        handler.wfile.write(b"1\r\n \r\n")
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer(401), "HTTP 401"),
        (answer(500), "HTTP 500"),
        (answer(302, Location="http://127.0.0.1:9/"), "HTTP 302"),
        (answer(200, b"\xff"), "UnicodeDecodeError"),
        (answer(200, b"no gzip", Content_Encoding="gzip"), "DecodingError"),
        (answer(200, "x" * 2000), "more than 1000 bytes"),
        (_cut, "RemoteProtocolError"),
        (_drip, "did not arrive within 0.3 s"),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_why(server, ask, monkeypatch, given, said):
    monkeypatch.setattr(polling, "MOST_BYTES", 1000)
    monkeypatch.setattr(polling, "ANSWER_SECONDS", 0.3)
    server.answers = [given]
    with pytest.raises(PollError, match=said):
        ask(None)


def test_a_silent_server_is_given_up(server, monkeypatch):
    server.answers = [lambda _: time.sleep(60)]
    monkeypatch.setattr(polling, "READ_SECONDS", 0.1)
    poller = Poller(server.url, None, 60)
    with pytest.raises(PollError, match="ReadTimeout"):
        poller.ask(None)
    poller.close()


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("-1", 0.0), ("soon", 0.0)])
def test_it_hears_when_to_come_again(server, ask, value, seconds):
    server.answers = [answer(503, Retry_After=value)]
    with pytest.raises(PollError) as refused:
        ask(None)
    assert refused.value.retry_after == seconds


@pytest.mark.parametrize("drawn", [0.0, 0.999])
def test_the_delays_grow_to_a_limit_and_spread(drawn):
    poller = Poller("http://127.0.0.1:9", None, 60, jitter=lambda: drawn)
    assert poller.next_delay(0) == pytest.approx(60 * (0.9 + 0.2 * drawn))
    spread = 0.5 + 0.5 * drawn
    expected = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    delays = [poller.next_delay(failures) for failures in range(1, 12)]
    assert delays == pytest.approx([seconds * spread for seconds in expected])
    assert poller.next_delay(10_000) == pytest.approx(300 * spread)
    assert poller.next_delay(1, retry_after=20) == pytest.approx(20 * spread)
    assert poller.next_delay(1, retry_after=1e9) == pytest.approx(300 * spread)
    poller.close()
