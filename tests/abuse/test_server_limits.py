"""What one client can take of the server, and many: heads, slowness, connections."""

import contextlib
import itertools
import re
import socket
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest

from mab_api.server.limits import MOST_HEADERS, MOST_PIPELINED
from tests.abuse.raw import (
    answer_to,
    connect,
    everything,
    first_status,
    get,
    problem_in,
    wait_until,
)
from tests.integration.api.homes import Home
from tests.integration.api.servers import DEADLINE_SECONDS, Server, serving

HEAD_BYTES = 4 << 10
CONNECTIONS = 20
LIMITS = {
    "API_MAX_HEADER_KB": str(HEAD_BYTES >> 10),
    "API_MAX_CONNECTIONS": str(CONNECTIONS),
    "API_READ_SECONDS": "1",
    "API_IDLE_SECONDS": "1",
    "API_WRITE_SECONDS": "1",
}
MOST_GROWTH = 40 << 20
START = b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n"
CHUNKED = START + b"transfer-encoding: chunked\r\n\r\n"
POST = b"POST /experiments HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Home:
    """A list of allocations that no kernel buffers whole."""
    home = Home(tmp_path_factory.mktemp("limits") / "home")
    home.invent(4_000)
    home.publish(counts=False)
    return home


@pytest.fixture
def small(tmp_path) -> Home:
    home = Home(tmp_path / "home")
    home.register()
    home.publish()
    return home


@pytest.fixture(scope="module")
def server(home) -> Iterator[Server]:
    with serving(home.settings.mab_home, "--dev", **LIMITS) as server:
        server.wait_for("/readyz")
        yield server


def refused(server: Server, reason: str) -> float:
    text = httpx.get(f"{server.url}/metrics", timeout=DEADLINE_SECONDS).text
    name = f'mab_http_refused_total{{reason="{reason}"}}'
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def head_of(size: int) -> bytes:
    """Return a request whose path, header names and values are so many bytes in all."""
    rest = size - len("/healthz") - len("host127.0.0.1") - len("connectionclose") - len("pad")
    return get("/healthz", ("connection", "close"), ("pad", "x" * rest))


def headers(count: int) -> bytes:
    more = [(f"h{number}", "x") for number in range(count - 2)]
    return get("/healthz", ("connection", "close"), *more)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(head_of(HEAD_BYTES), 200, id="as large as it may be"),
        pytest.param(head_of(HEAD_BYTES + 1), 431, id="a byte too large"),
        pytest.param(headers(MOST_HEADERS), 200, id="as many headers as there may be"),
        pytest.param(headers(MOST_HEADERS + 1), 431, id="a header too many"),
        pytest.param(get("/" + "x" * HEAD_BYTES), 431, id="a long address"),
        pytest.param(get("/healthz?" + "x" * HEAD_BYTES), 431, id="a long query"),
    ],
)
def test_a_head_has_a_size(server, request_, status):
    answer = answer_to(server.port, request_)

    assert first_status(answer) == status
    if status == 431:
        assert problem_in(answer)["type"] == "urn:mab:problem:head-too-large"


FLOODS = {
    "one header without end": (START + b"a: ", b"x" * 65_536),
    "a name without end": (START, b"x" * 65_536),
    "an address without end": (b"GET /", b"x" * 65_536),
    "headers without end": (START, b"a: b\r\n" * 10_000),
    "trailers without end": (CHUNKED + b"0\r\n", b"a: b\r\n" * 10_000),
    "one trailer without end": (CHUNKED + b"0\r\na: ", b"x" * 65_536),
    "trailers after a body": (
        CHUNKED + b"ffff\r\n" + b"x" * 65_535 + b"\r\n0\r\n",
        b"a: b\r\n" * 10_000,
    ),
    "a chunk's extension without end": (CHUNKED + b"1;a=", b"x" * 65_536),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_head_without_end_ends_and_takes_no_memory(server, flood):
    start, more = FLOODS[flood]
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss

    answer = answer_to(server.port, itertools.chain([start], itertools.repeat(more, 3_200)))

    assert process.memory_info().rss - before < MOST_GROWTH
    assert first_status(answer) in {200, 431}  # /healthz is answered before the trailers come
    assert httpx.get(f"{server.url}/healthz", timeout=DEADLINE_SECONDS).status_code == 200


def test_a_head_that_comes_in_small_pieces_is_answered(server):
    request = head_of(HEAD_BYTES - 500)
    pieces = [request[place : place + 500] for place in range(0, len(request), 500)]

    def slowly() -> Iterator[bytes]:
        for piece in pieces:
            yield piece
            time.sleep(0.02)

    assert first_status(answer_to(server.port, slowly())) == 200


def test_a_body_in_small_chunks_is_no_head(server):
    chunks = b"".join(b"8\r\n" + b" " * 8 + b"\r\n" for _ in range(10 * HEAD_BYTES // 8))
    sent = POST + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n"

    answer = answer_to(server.port, [sent, chunks, b"0\r\n\r\n"])

    assert first_status(answer) == 400  # blanks are not JSON


@pytest.mark.parametrize(
    "junk",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"SSH-2.0-x\r\n", b"\0" * 64],
)
def test_what_is_not_http_is_told_so_as_a_problem(server, junk):
    answer = answer_to(server.port, junk)

    assert problem_in(answer)["type"] == "urn:mab:problem:malformed-request"
    assert first_status(answer) == 400


def test_no_connection_is_upgraded(server):
    upgrade = (("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"))

    answer = answer_to(server.port, get("/healthz", *upgrade, ("sec-websocket-key", "x" * 22)))

    assert first_status(answer) == 200


def test_requests_may_be_sent_ahead_but_not_without_end(server):
    few = answer_to(
        server.port, get("/healthz") * (MOST_PIPELINED - 1) + get("/x", ("connection", "close"))
    )
    many = answer_to(server.port, get("/healthz") * 1_000)

    assert few.count(b"HTTP/1.1 200") == MOST_PIPELINED - 1
    assert few.count(b"HTTP/1.1 404") == 1
    assert problem_in(many)["type"] == "urn:mab:problem:malformed-request"


def trickle(client: socket.socket, piece: bytes) -> None:
    """Send a little again and again until the server ends the connection."""
    client.settimeout(0.1)
    for _ in range(600):
        client.send(piece)
        with contextlib.suppress(TimeoutError):
            if not client.recv(1, socket.MSG_PEEK):
                return
            client.settimeout(60)
            return
    pytest.fail("the server holds the connection")


SLOW = {
    "nothing at all": (b"", b"", 0),
    "blank lines": (b"\r\n", b"\r\n", 0),
    "half a head": (START, b"", 408),
    "a head that trickles": (START, b"a: b\r\n", 408),
    "half a body": (POST + b"content-length: 1000\r\n\r\n{", b"", 408),
    "a body that trickles": (POST + b"content-length: 1000\r\n\r\n{", b" ", 408),
    "a chunked body that trickles": (
        POST + b"transfer-encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
        408,
    ),
    "a second request that trickles": (get("/healthz") + START, b"a: b\r\n", 200),
    "nothing after an answer": (get("/healthz"), b"", 200),
    "blank lines after an answer": (get("/healthz") + b"\r\n", b"\r\n", 200),
    "a body that nobody asked for": (
        b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1000\r\n\r\n",
        b"x",
        200,
    ),
}


@pytest.mark.parametrize("slowness", SLOW)
def test_a_slow_client_is_given_up(server, slowness):
    start, more, status = SLOW[slowness]
    with connect(server.port) as client:
        client.sendall(start)
        if status == 200:
            assert first_status(client.recv(1 << 16)) == 200
        with contextlib.suppress(ConnectionError):
            if more:
                trickle(client, more)
        answer = everything(client)  # it ends

    if status == 408:
        assert problem_in(answer)["type"] == "urn:mab:problem:request-timeout"
        assert first_status(answer) == 408
    if status == 0:
        assert answer == b""


def test_a_client_that_takes_nothing_of_its_answer_is_cut_off(server):
    before = refused(server, "answer-not-taken")
    with connect(server.port, window=4096) as client:
        client.sendall(get("/allocations"))
        wait_until(lambda: refused(server, "answer-not-taken") > before)
        assert len(everything(client)) < 8 << 20


def test_a_client_that_reads_slowly_but_steadily_gets_all_of_it(server):
    whole = httpx.get(
        f"{server.url}/allocations",
        headers={"accept-encoding": "identity"},
        timeout=DEADLINE_SECONDS,
    )
    started = time.monotonic()
    received = bytearray()
    with connect(server.port, window=1 << 18) as client:
        client.sendall(get("/allocations", ("connection", "close")))
        while piece := client.recv(1 << 17):
            received += piece
            time.sleep(0.04)

    assert time.monotonic() - started > 1.5  # longer than it may take nothing
    assert received.endswith(whole.content)


def held(port: int, count: int) -> list[socket.socket]:
    """Open connections that count: each is in the middle of a request."""
    clients = [connect(port) for _ in range(count)]
    for client in clients:
        client.sendall(START)
    return clients


def test_one_connection_too_many_is_told_so_and_the_others_go_on(small):
    patient = LIMITS | {"API_READ_SECONDS": "120"}
    with serving(small.settings.mab_home, **patient) as server:
        server.wait_for("/readyz")
        process = psutil.Process(server.process.pid)
        clients = held(server.port, CONNECTIONS)
        before = process.num_fds()
        for _ in range(20):
            with connect(server.port) as client:
                answer = everything(client)
            assert first_status(answer) == 503
            assert b"\r\nretry-after: 5\r\n" in answer
            assert problem_in(answer)["type"] == "urn:mab:problem:too-many-connections"
        crowd = [connect(server.port) for _ in range(400)]
        wait_until(lambda: process.num_fds() < before + 100)
        for client in crowd:
            client.close()
        clients[0].sendall(b"\r\n")
        assert first_status(clients[0].recv(1 << 16)) == 200
        clients[1].close()
        server.wait_for("/healthz")
        for client in clients:
            client.close()


def test_there_are_never_more_connections_than_descriptors(small):
    limited = "import resource, runpy; resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)); "
    command = ("-c", limited + "runpy.run_module('mab_api', run_name='__main__')")
    patient = {"API_READ_SECONDS": "120", "API_IDLE_SECONDS": "120"}
    with serving(small.settings.mab_home, command=command, **patient) as server:
        server.wait_for("/readyz")
        assert "takes 64 connections at most" in server.log.read_text()
        first = connect(server.port)
        clients = held(server.port, 500)
        small.clock.now = small.clock.now.replace(hour=11)
        name = small.publish()
        wait_until(lambda: name in server.log.read_text())  # files are opened, a child is started
        first.sendall(get("/healthz"))
        assert first_status(first.recv(1 << 16)) == 200
        for client in [first, *clients]:
            client.close()
        server.wait_for("/healthz")
        assert "refresh failed" not in server.log.read_text()
