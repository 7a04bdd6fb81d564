"""A real server: uvicorn in a child process, on 127.0.0.1 and a free port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.python_path import python_path

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 300.0  # of a busy machine; what is there is seen at once


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_up(url: str) -> None:
    """Ask for its health until a server answers."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            httpx.get(f"{url}/healthz", timeout=10)
        except httpx.TransportError:
            assert time.monotonic() < deadline, url
            time.sleep(0.02)
        else:
            return


class Server:
    """A running child.

    Attributes:
        process: The child.
        url: Its address.
        log: File with what it wrote to stderr.
    """

    def __init__(self, process: subprocess.Popen, port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = log

    def wait_for(self, path: str, status: int = 200) -> httpx.Response:
        """Ask until this answer comes."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            try:
                answer = httpx.get(self.url + path, timeout=10)
                if answer.status_code == status:
                    return answer
            except httpx.TransportError:
                answer = None
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, (path, answer and answer.text)
            time.sleep(0.03)

    def kill(self) -> None:
        """End the child without a warning."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(
    home: Path,
    *options: str,
    command: tuple[str, ...] = ("-m", "mab_api"),
    port: int | None = None,
    port_setting: str = "API_PORT",
    **environment: str,
) -> Iterator[Server]:
    """Start `python -m mab_api` on a home; end it in the end."""
    port = port or free_port()
    log = home.with_name(f"{home.name}-{port}.log")
    settings = {"MAB_HOME": str(home), port_setting: str(port), "API_REFRESH_SECONDS": "0.1"}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, *command, *options],
            env=os.environ | {"PYTHONPATH": python_path(ROOT)} | settings | environment,
            cwd=home.parent,
            stderr=stream,
        )
    server = Server(process, port, log)
    try:
        server.wait_for("/healthz")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
