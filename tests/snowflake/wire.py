"""The test double of Snowflake's wire: what the emulator lacks, and the faults of a network.

Relays on 127.0.0.1, which the real connector talks to. `Account` (account.py) stands before the
emulator and adds what Snowflake has: the user's stage, the lock of an updated table, SHOW LOCKS and
SYSTEM$ABORT_TRANSACTION. `Wire` stands before it and makes faults.

Sources of the protocol (snowflake-connector-python 4.8.1 and Snowflake's documentation):

* a statement that is not done is answered 333333 with `getResultUrl`, which is asked again and
  again: `network.py`, `_post_request`
* a cancelled statement: POST /queries/v1/abort-request with the text and the id of its request,
  answered 000604: `cursor.py`, `__cancel_query` and `execute`
* a request that is repeated with its `requestId` runs once: `network.py`, `_request_exec_wrapper`
* results in chunks: `result_batch.py`, `create_batches_from_response`
* locks: docs.snowflake.com, SQL reference, "Transactions", SHOW LOCKS, LOCK_TIMEOUT: a statement
  that waits too long, or is the 21st to wait, is aborted with 000625; a transaction that blocks
  another one and is idle for five minutes is rolled back
"""

import base64
import gzip
import http.client
import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pyarrow as pa

from tests.snowflake.chunks import as_stream, narrow

Answer = dict[str, Any]


class Refusal(NamedTuple):
    """An answer of Snowflake that says no; without a code the connector puts in its own."""

    code: str | None
    message: str

    @property
    def answer(self) -> Answer:
        code = {} if self.code is None else {"code": self.code}
        data = {"errorCode": self.code, "queryId": "01b2", "sqlState": "42000"}
        return {"data": data, "message": self.message, "success": False, "headers": None, **code}


CANCELED = Refusal("000604", "SQL execution canceled")


class Reply(NamedTuple):
    """An answer as HTTP."""

    status: int
    kind: str
    content: bytes

    @property
    def answer(self) -> Answer:
        return json.loads(self.content or b"{}")


def reply(answer: Answer) -> Reply:
    return Reply(200, "application/json", json.dumps(answer).encode())


@dataclass
class Request:
    """A request, unpacked."""

    method: str
    path: str
    headers: dict[str, str]
    content: bytes

    @cached_property
    def body(self) -> Answer:
        return json.loads(self.content or b"{}") if self.method == "POST" else {}

    @cached_property
    def text(self) -> str:
        """The statement to run, in one line."""
        is_query = "/query-request" in self.path  # a request to cancel has the text as well
        return " ".join(str(self.body.get("sqlText", "")).split()) if is_query else ""

    @property
    def id(self) -> str:
        return parse_qs(urlsplit(self.path).query).get("requestId", [""])[0]

    @property
    def session(self) -> str:
        return self.headers.get("Authorization", "")

    def saying(self, text: str) -> "Request":
        """Return the same request with another statement."""
        content = json.dumps(self.body | {"sqlText": text}).encode()
        return Request(self.method, self.path, self.headers, content)


class Job:
    """A statement at work, whose client asks for its result again and again."""

    def __init__(self, work: Callable[["Job"], Reply], request: Request) -> None:
        self.name, self.request_id = uuid.uuid4().hex, request.id
        self.canceled, self.done = threading.Event(), threading.Event()
        self.result: Reply = reply(CANCELED.answer)
        threading.Thread(target=self._run, args=(work,), daemon=True).start()

    def _run(self, work: Callable[["Job"], Reply]) -> None:
        self.result = work(self)
        self.done.set()


class Relay(ThreadingHTTPServer):
    """Hands every request on.

    Attributes:
        hold_seconds: How long a request is held before its client must ask again; 45 in reality.
        statements: What was asked.
        logins: What each login sent.
        canceled: Statements that the client had cancelled.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.hold_seconds = 0.2
        self.jobs: dict[str, Job] = {}
        self.statements: list[str] = []
        self.logins: list[Answer] = []
        self.canceled: list[str] = []

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}"

    def answer(self, request: Request) -> Reply | None:
        """Return the answer; None breaks the connection."""
        if "login-request" in request.path:
            self.logins.append(request.body["data"])
        if "abort-request" in request.path:
            return self._cancel(request)
        if request.path.startswith("/queries/") and request.path.endswith("/result"):
            job = self.jobs.get(request.path.split("/")[2])
            if job:
                return self._held(job)
        if request.text:
            self.statements.append(request.text)
        return self.forward(request)

    def at_length(self, request: Request, work: Callable[[Job], Reply]) -> Reply:
        """Work on a statement; answer "in progress" until it is done."""
        job = Job(work, request)
        self.jobs[job.name] = job
        return self._held(job)

    def forward(self, request: Request) -> Reply:
        connection = http.client.HTTPConnection(self.upstream, timeout=120)
        try:
            connection.request(request.method, request.path, request.content, request.headers)
            answer = connection.getresponse()
            return Reply(answer.status, answer.getheader("Content-Type") or "", answer.read())
        finally:
            connection.close()

    def _held(self, job: Job) -> Reply:
        if job.done.wait(self.hold_seconds):
            self.jobs.pop(job.name, None)
            return job.result
        data = {"getResultUrl": f"/queries/{job.name}/result", "queryId": job.name}
        return reply({"data": data, "code": "333333", "message": "in progress", "success": True})

    def _cancel(self, request: Request) -> Reply:
        self.canceled.append(request.body["sqlText"])
        for job in list(self.jobs.values()):
            if job.request_id == request.body.get("requestId"):
                job.canceled.set()
        return self.forward(request)

    def handle_error(self, _request: Any, _address: Any) -> None:
        """A client that went away is what is tested."""


class _Handler(BaseHTTPRequestHandler):
    server: Relay
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        dropped = {"host", "content-length"}
        if self.headers.get("Content-Encoding") == "gzip":
            content = gzip.decompress(content)
            dropped.add("content-encoding")
        headers = {k: v for k, v in self.headers.items() if k.lower() not in dropped}
        answer = self.server.answer(Request(self.command, self.path, headers, content))
        if answer is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.kind)
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST  # noqa: N815  # the base class's name

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Wire(Relay):
    """A way to Snowflake with faults.

    Attributes:
        is_closed: Whether nobody gets through.
        refused_login: What every login is answered; None where it is handed on.
        refused_statement: Beginning of the statements to refuse, and what they are answered.
        refused_once: The same for one statement each.
        slow: Part of the statements that take `seconds` more; None where none do.
        hung: Part of the statements that are not answered until `go_on` is set.
        lost: Beginnings of statements of which the next answer is lost, as often as it is here.
        split: Part of the statements whose result comes in chunks of different widths.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.is_closed = False
        self.refused_login: Refusal | None = None
        self.refused_statement: tuple[str, Refusal] | None = None
        self.refused_once: list[tuple[str, Refusal]] = []
        self.slow: str | None = None
        self.seconds = 0.0
        self.hung: str | None = None
        self.go_on = threading.Event()
        self.lost: list[str] = []
        self.split: str | None = None
        self._answered: dict[str, Reply] = {}
        self._chunks: dict[str, bytes] = {}

    def verify_request(self, _request: Any, _address: Any) -> bool:
        return not self.is_closed

    def refusal(self, request: Request) -> Refusal | None:
        """Return why a request is refused, None where it may pass."""
        if "login-request" in request.path:
            return self.refused_login
        if self.refused_statement and request.text.startswith(self.refused_statement[0]):
            return self.refused_statement[1]
        for entry in self.refused_once:
            if request.text.startswith(entry[0]):
                self.refused_once.remove(entry)
                return entry[1]
        return None

    def answer(self, request: Request) -> Reply | None:
        if self.is_closed:
            return None
        if request.path.startswith("/chunks/"):
            return Reply(200, "application/octet-stream", self._chunks[request.path])
        if refusal := self.refusal(request):
            self.logins += [request.body["data"]] if "login-request" in request.path else []
            return reply(refusal.answer)
        if request.id in self._answered:
            return self._answered.pop(request.id)
        return self._delayed(request) or self._faulty(request, super().answer(request))

    def _delayed(self, request: Request) -> Reply | None:
        if self.hung and self.hung in request.text:
            self.go_on.wait(60)
        if not request.text or not self.slow or self.slow not in request.text:
            return None
        self.statements.append(request.text)
        return self.at_length(request, lambda job: self._later(job, request))

    def _faulty(self, request: Request, found: Reply | None) -> Reply | None:
        for text in self.lost:
            if found and request.text.startswith(text):
                self.lost.remove(text)
                self._answered[request.id] = found
                return None
        if found and self.split and self.split in request.text:
            return self._in_chunks(found)
        return found

    def _later(self, job: Job, request: Request) -> Reply:
        if job.canceled.wait(self.seconds):
            return reply(CANCELED.answer)
        return self.forward(request)

    def _in_chunks(self, found: Reply) -> Reply:
        """Send each row as a chunk, its integers as narrow as they can be."""
        answer = found.answer
        data = answer["data"]
        encoded = data.get("rowsetBase64")
        if not encoded:
            return found
        rows = pa.ipc.open_stream(base64.b64decode(encoded)).read_all()
        parts = [narrow(rows.slice(number, 1)) for number in range(len(rows))]
        data["chunks"] = []
        for part in parts[1:]:
            path, content = f"/chunks/{uuid.uuid4().hex}", as_stream(part)
            self._chunks[path] = content
            size = len(content)
            data["chunks"].append(
                {"url": f"{self.url}{path}", "rowCount": len(part), "uncompressedSize": size,
                 "compressedSize": size}
            )  # fmt: skip
        data["rowsetBase64"] = base64.b64encode(as_stream(parts[0])).decode()
        data["chunkHeaders"] = {}
        return reply(answer)


@contextmanager
def serving(relay: Relay) -> Iterator[Any]:
    """Serve until the block ends."""
    with relay:
        thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield relay
        finally:
            relay.shutdown()
            thread.join()
