"""SIGTERM ends the process in time, whatever clients and children do; and it answers at once."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil
import pytest

from tests.abuse.raw import connect, first_status, get, wait_until
from tests.integration.api.homes import Home
from tests.integration.api.servers import DEADLINE_SECONDS, ROOT, Server, serving
from tests.python_path import python_path

SHUTDOWN_SECONDS = 3
SLACK_SECONDS = 3.0
POST = b"POST /experiments HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
BY_UVICORN = (
    "import uvicorn; from mab_store.settings import load_settings; "
    "uvicorn.run('mab_api.asgi:app', port=load_settings().api_port)"
)
# A child that never says a word, from the moment on when there is the file.
HANGING = """
import os, sys, time
if "mab_api.snapshot.worker" in sys.orig_argv and os.path.exists({flag!r}):
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Home:
    """A list of allocations that no kernel buffers whole."""
    home = Home(tmp_path_factory.mktemp("stop") / "home")
    home.invent(4_000)
    home.publish(counts=False)
    return home


@pytest.fixture
def home(template, tmp_path) -> Home:
    return template.clone(tmp_path / "home")


class Hanging:
    """What makes the server's children hang."""

    def __init__(self, folder: Path) -> None:
        self.flag = folder / "hang"
        (folder / "sitecustomize.py").write_text(HANGING.format(flag=str(self.flag)))
        self.environment = {"PYTHONPATH": python_path(folder, ROOT)}

    def begin(self) -> None:
        self.flag.touch()


@pytest.fixture
def hanging(tmp_path) -> Hanging:
    folder = tmp_path / "site"
    folder.mkdir()
    return Hanging(folder)


def reads_nothing(port: int) -> socket.socket:
    client = connect(port, window=4096)
    client.sendall(get("/allocations"))
    return client


def sends_half_a_body(port: int) -> socket.socket:
    client = connect(port)
    client.sendall(POST + b"content-length: 1000\r\n\r\n{")
    return client


def sends_half_a_head(port: int) -> socket.socket:
    client = connect(port)
    client.sendall(b"GET /healthz HTTP/1.1\r\n")
    return client


def sends_nothing(port: int) -> socket.socket:
    return connect(port)


def keeps_alive(port: int) -> socket.socket:
    client = connect(port)
    client.sendall(get("/healthz"))
    assert first_status(client.recv(1 << 16)) == 200
    return client


CLIENTS = (reads_nothing, sends_half_a_body, sends_half_a_head, sends_nothing, keeps_alive)


@contextmanager
def clients_of(server: Server) -> Iterator[None]:
    with ExitStack() as stack:
        for client in CLIENTS:
            stack.enter_context(client(server.port))
        httpx.get(
            f"{server.url}/healthz", timeout=DEADLINE_SECONDS
        )  # by then it has seen what they sent
        yield


def stop(server: Server) -> float:
    """Send SIGTERM; return how long it takes the process to end."""
    children = psutil.Process(server.process.pid).children(recursive=True)
    started = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    status = server.process.wait(60)
    seconds = time.monotonic() - started
    assert status in {-signal.SIGTERM, 128 + signal.SIGTERM}
    assert not psutil.wait_procs(children, timeout=60)[1]
    return seconds


def limits(**more: str) -> dict[str, str]:
    return {"API_SHUTDOWN_SECONDS": str(SHUTDOWN_SECONDS)} | more


def test_no_client_and_no_child_holds_it(home, hanging):
    with serving(home.settings.mab_home, "--dev", **limits(**hanging.environment)) as server:
        server.wait_for("/readyz")
        hanging.begin()
        home.clock.now = home.clock.now.replace(hour=11)
        home.publish(counts=False)
        wait_until(lambda: psutil.Process(server.process.pid).children())
        with clients_of(server):
            assert stop(server) < SHUTDOWN_SECONDS + SLACK_SECONDS
    assert "stopped by force" not in server.log.read_text()  # it was in time by itself


def test_uvicorn_is_ended_as_well(home):
    with serving(home.settings.mab_home, command=("-c", BY_UVICORN), **limits()) as server:
        server.wait_for("/readyz")
        with clients_of(server):
            assert stop(server) < SHUTDOWN_SECONDS + SLACK_SECONDS
    assert "stopped by force" in server.log.read_text()


def test_without_clients_it_ends_at_once(home):
    with serving(home.settings.mab_home, API_SHUTDOWN_SECONDS="600") as server:
        server.wait_for("/readyz")
        assert stop(server) < 60


WHILE_LOADING = (
    "/readyz",
    "/allocations",
    "/experiments",
    "/experiments/exp_000000000000",
    "/experiments/exp_000000000000/allocation",
    "/experiments/exp_000000000000/history",
)


def test_it_answers_while_the_first_load_runs_and_ends_in_the_middle_of_it(home, hanging):
    hanging.begin()
    with serving(home.settings.mab_home, **limits(**hanging.environment)) as server:
        wait_until(lambda: psutil.Process(server.process.pid).children())
        assert httpx.get(f"{server.url}/healthz", timeout=DEADLINE_SECONDS).status_code == 200
        assert httpx.get(f"{server.url}/metrics", timeout=DEADLINE_SECONDS).status_code == 200
        for path in WHILE_LOADING:
            answer = httpx.get(server.url + path, timeout=DEADLINE_SECONDS)
            assert answer.status_code == 503, path
            assert answer.json()["type"] == "urn:mab:problem:loading"
            assert answer.headers["retry-after"] == "1"
        assert stop(server) < SHUTDOWN_SECONDS + SLACK_SECONDS
    assert "stopped by force" not in server.log.read_text()
