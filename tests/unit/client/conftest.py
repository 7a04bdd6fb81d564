"""What the tests of the client share: a list, and a server that misbehaves as told."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

RANGES = {"control": [[0, 24]], "variant_a": [[25, 89]], "variant_b": [[90, 99]], "variant_c": []}


def experiment(name: str, ranges: dict[str, list[list[int]]] = RANGES) -> dict[str, object]:
    """Return one experiment as the API gives it, with a key that this client does not know."""
    return {
        "experiment_id": f"exp_{name}",
        "experiment_name": name,
        "allocation_id": f"alc_{name}",
        "status": "running",
        "allocations": [
            {"variant_name": variant, "is_control": variant == "control", "buckets": buckets}
            for variant, buckets in ranges.items()
        ],
    }


def listed(*experiments: dict[str, object]) -> str:
    return json.dumps({"experiments": list(experiments), "next_cursor": None})


def wait_until(is_so: Callable[[], object]) -> None:
    """Wait until another thread has brought this about."""
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Scripted:
    """A server whose next answers are written down; the last one is repeated.

    Attributes:
        answers: Functions that write an answer.
        asked: The headers of each request.
    """

    def __init__(self) -> None:
        self.answers: list[Callable[[BaseHTTPRequestHandler], None]] = []
        self.asked: list[dict[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _handler(own) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self too
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                own.asked.append({"path": self.path, **dict(self.headers)})
                give = own.answers[0] if len(own.answers) == 1 else own.answers.pop(0)
                give(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        return Handler

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def answer(
    status: int = 200, body: str | bytes = "", **headers: str
) -> Callable[[BaseHTTPRequestHandler], None]:
    """Return what writes a whole answer."""
    sent = body.encode() if isinstance(body, str) else body

    def give(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(sent)))
        handler.end_headers()
        handler.wfile.write(sent)

    return give


@pytest.fixture
def server() -> Iterator[Scripted]:
    scripted = Scripted()
    yield scripted
    scripted.close()
