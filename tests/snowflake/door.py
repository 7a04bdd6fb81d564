"""A door before the emulator: it checks logins as Snowflake does.

The emulator lets everybody in and knows no roles. Other faults of the way are in `wire.py`.
"""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.snowflake.wire import Answer, Refusal, Reply, Request, Wire, reply, serving

TOKEN_PATH = "/oauth/token"
TOKEN_KINDS = {"OAUTH", "PROGRAMMATIC_ACCESS_TOKEN", "WORKLOAD_IDENTITY"}


class Door(Wire):
    """The server.

    Attributes:
        public_key: Whom a login by key pair must prove to be; a JWT of any other key is refused.
        token: The token that lets in: of OAuth, a programmatic access token, or of a workload.
        client: Name and secret of the client that the identity provider gives this token.
    """

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream)
        self.public_key: Any = None
        self.token: str | None = None
        self.client = ("", "")

    def answer(self, request: Request) -> Reply | None:
        """Answer as the identity provider too (RFC 6749, 4.4): connector, auth/_oauth_base.py."""
        if request.path != TOKEN_PATH:
            return super().answer(request)
        expected = base64.b64encode(":".join(self.client).encode()).decode()
        if request.headers.get("Authorization") != f"Basic {expected}":
            return Reply(401, "application/json", b'{"error": "invalid_client"}')
        return reply({"access_token": self.token, "token_type": "bearer", "expires_in": 600})

    def refusal(self, request: Request) -> Refusal | None:
        """Return why a request is refused, None where it may pass."""
        refused = super().refusal(request)
        if refused is None and "login-request" in request.path:
            return self._wrong_credential(request.body["data"])
        return refused

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
        if login.get("AUTHENTICATOR") in TOKEN_KINDS and login["TOKEN"] != self.token:
            return Refusal("390303", "Invalid OAuth access token. [0b31]")
        return None


@contextmanager
def opened(emulator: str) -> Iterator[Door]:
    """Open a door before the emulator at this URL, and close it at the end."""
    with serving(Door(emulator)) as door:
        yield door


def fingerprint(public_key: Any) -> str:
    """Return what `DESCRIBE USER` shows as RSA_PUBLIC_KEY_FP, without its prefix."""
    der = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
