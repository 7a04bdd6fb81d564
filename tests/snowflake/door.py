"""A door before the emulator: it checks logins as Snowflake does, and refuses what it is told to.

The emulator lets everybody in and knows no roles. The door is a local HTTP server that the real
connector talks to; it answers a refusal in the shape of Snowflake's own answers, and hands
everything else on to the emulator, so that what a refused statement leaves behind can be looked at.
"""

import base64
import gzip
import hashlib
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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


class Door(ThreadingHTTPServer):
    """The server.

    Attributes:
        refused_login: What every login is answered; None where it is handed on.
        refused_statement: Beginning of the statements to refuse, and what they are answered.
        public_key: Whom a login by key pair must prove to be; a JWT of any other key is refused.
        token: The OAuth token that lets in.
        logins: What each login sent.
    """

    daemon_threads = True

    def __init__(self, emulator: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.emulator = urlsplit(emulator).netloc
        self.refused_login: Refusal | None = None
        self.refused_statement: tuple[str, Refusal] | None = None
        self.public_key: Any = None
        self.token: str | None = None
        self.logins: list[Answer] = []

    @property
    def url(self) -> str:
        return f"http://localhost:{self.server_address[1]}"

    def refusal(self, path: str, body: Answer) -> Refusal | None:
        """Return why a request is refused, None where it may pass."""
        if "login-request" in path:
            self.logins.append(body["data"])
            return self.refused_login or self._wrong_credential(body["data"])
        text = str(body.get("sqlText", ""))
        if self.refused_statement and text.startswith(self.refused_statement[0]):
            return self.refused_statement[1]
        return None

    def _wrong_credential(self, login: Answer) -> Refusal | None:
        if login.get("AUTHENTICATOR") == "SNOWFLAKE_JWT":
            try:
                claims = jwt.decode(login["TOKEN"], self.public_key, algorithms=["RS256"])
            except jwt.InvalidTokenError:
                return Refusal("390144", "JWT token is invalid. [0b2f]")
            subject = f"{login['ACCOUNT_NAME'].upper()}.{login['LOGIN_NAME'].upper()}"
            issuer = f"{subject}.SHA256:{fingerprint(self.public_key)}"
            is_right = (claims["sub"], claims["iss"]) == (subject, issuer)
            return None if is_right else Refusal("390144", "JWT token is invalid. [0b30]")
        if login.get("AUTHENTICATOR") == "OAUTH" and login["TOKEN"] != self.token:
            return Refusal("390303", "Invalid OAuth access token. [0b31]")
        return None


class _Handler(BaseHTTPRequestHandler):
    server: Door
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        plain = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        refusal = self.server.refusal(self.path, json.loads(plain or b"{}"))
        if refusal:
            self._send(200, "application/json", json.dumps(refusal.answer).encode())
            return
        connection = http.client.HTTPConnection(self.server.emulator, timeout=60)
        try:
            headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            connection.request("POST", self.path, body, headers)
            answer = connection.getresponse()
            self._send(answer.status, answer.getheader("Content-Type") or "", answer.read())
        finally:
            connection.close()

    def _send(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def opened(emulator: str) -> Iterator[Door]:
    """Open a door before the emulator at this URL, and close it at the end."""
    with Door(emulator) as door:
        thread = threading.Thread(target=door.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield door
        finally:
            door.shutdown()
            thread.join()


def fingerprint(public_key: Any) -> str:
    """Return what `DESCRIBE USER` shows as RSA_PUBLIC_KEY_FP, without its prefix."""
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
