"""Raw sockets to a server on 127.0.0.1: what no well-behaved client sends."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterable

DEADLINE_SECONDS = 60.0
Sent = bytes | Iterable[bytes]


def connect(port: int, *, window: int | None = None) -> socket.socket:
    """Return a connection; a small window makes the server wait for its reader sooner."""
    client = socket.socket()
    if window:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    client.settimeout(DEADLINE_SECONDS)
    client.connect(("127.0.0.1", port))
    return client


def get(path: str, *headers: tuple[str, str]) -> bytes:
    lines = [
        f"GET {path} HTTP/1.1",
        "host: 127.0.0.1",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def answer_to(port: int, sent: Sent) -> bytes:
    """Send until the server has had enough, and return all that it answers until it closes."""
    with connect(port) as client:
        with contextlib.suppress(OSError):
            for piece in [sent] if isinstance(sent, bytes) else sent:
                client.sendall(piece)
        return everything(client)


def everything(client: socket.socket) -> bytes:
    """Return all that still comes until the server ends the connection."""
    received = bytearray()
    with contextlib.suppress(ConnectionError):
        while piece := client.recv(1 << 20):
            received += piece
    return bytes(received)


def first_status(answer: bytes) -> int:
    """Return the status of the first answer; 0 if there was none."""
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
    return int(found[1]) if found else 0


def problem_in(answer: bytes) -> dict:
    """Return the body of an answer that must be a whole problem."""
    head, _, body = answer.partition(b"\r\n\r\n")
    headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert headers[b"content-type"] == b"application/problem+json", answer
    assert headers[b"connection"] == b"close"
    assert int(headers[b"content-length"]) == len(body)
    problem = json.loads(body)
    assert problem["request_id"] == headers[b"x-request-id"].decode()
    assert problem["status"] == first_status(answer)
    return problem


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
