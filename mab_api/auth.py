"""The door: decides by method and headers whether a request may read or write.

Any method but GET, HEAD and OPTIONS is a write, whatever its address. The door never reads an
address to find out whether a request writes: two readings of an address can differ, and one of
them would then be a way in.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import Scope

from mab_api.problems import Kind, ProblemError

CHALLENGE = {"www-authenticate": 'Bearer realm="mab"'}
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MAY_WRITE = "mab.may_write"
"""Key of the scope: a door sets it, and every route that writes checks it."""

_THIS_MACHINE = re.compile(
    rb"(?P<origin>https?://)?(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d{1,5})?"
)

Door = Callable[[Scope, Mapping[bytes, bytes]], bool]
"""Lets a request pass and returns whether it may write; raises ProblemError otherwise."""


class Keyring:
    """The digests of the keys that grant one permission."""

    def __init__(self, digests: Iterable[str]) -> None:
        self._digests = tuple(bytes.fromhex(digest) for digest in digests)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, authorization: bytes | None) -> None:
        """Let a request pass if its key is one of these.

        Args:
            authorization: Value of the Authorization header, if there is one.

        Raises:
            ProblemError: 401 without a bearer key, 403 with another one.
        """
        scheme, _, key = (authorization or b"").partition(b" ")
        if scheme.lower() != b"bearer" or not key.strip():
            raise ProblemError(
                Kind.KEY_REQUIRED,
                "Send the header `Authorization: Bearer <key>`.",
                headers=CHALLENGE,
            )
        digest = hashlib.sha256(key.strip()).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        if not any(matches):
            raise ProblemError(Kind.KEY_REFUSED, "The key lacks permission.")


class KeyDoor:
    """Requires a write key for writes, and a key for everything else if there are read keys."""

    def __init__(
        self, *, readers: Keyring, writers: Keyring, open_routes: Iterable[BaseRoute]
    ) -> None:
        self._readers = readers
        self._writers = writers
        self._open_routes = tuple(open_routes)

    def __call__(self, scope: Scope, headers: Mapping[bytes, bytes]) -> bool:
        """Let a request pass and return whether it may write.

        Raises:
            ProblemError: 401 or 403.
        """
        if scope["method"] not in READING_METHODS:
            if not self._writers:
                raise ProblemError(
                    Kind.READ_ONLY,
                    "Set API_WRITE_KEYS for the server, or use `mab api --dev`.",
                )
            self._writers.check(headers.get(b"authorization"))
            return True
        if self._readers:
            try:
                self._readers.check(headers.get(b"authorization"))
            except ProblemError:
                if not self._is_open(scope):
                    raise
        return False

    def _is_open(self, scope: Scope) -> bool:
        """Return whether the router would hand this to an open route, by the routes themselves."""
        return any(route.matches(scope)[0] is Match.FULL for route in self._open_routes)


def dev_door(scope: Scope, _headers: Mapping[bytes, bytes]) -> bool:
    """Let a request pass if this machine sends it to itself, by one of its own names.

    A web page can make a browser send requests to this machine under the page's own name, if
    its DNS entry points here (DNS rebinding). The browser then sends that name in Host and Origin.

    Raises:
        ProblemError: 403 unless every Host and Origin names this machine.
    """
    has_host = False
    for name, value in scope["headers"]:
        if name == b"host":
            has_host = True
        elif name != b"origin":
            continue
        if not _names_this_machine(value, is_origin=name == b"origin"):
            raise ProblemError(Kind.FOREIGN, _foreign(name))
    if not has_host:
        raise ProblemError(Kind.FOREIGN, _foreign(b"host"))
    return True


def check_may_write(request: Request) -> None:
    """Stop a request at a route that writes unless a door let it in as a write.

    Raises:
        ProblemError: 403.
    """
    if not request.scope.get(MAY_WRITE):
        raise ProblemError(Kind.READ_ONLY, "No write key was checked on the way to this address.")


@lru_cache(maxsize=256)
def _names_this_machine(value: bytes, *, is_origin: bool) -> bool:
    found = _THIS_MACHINE.fullmatch(value.lower())
    return found is not None and is_origin == bool(found["origin"])


def _foreign(name: bytes) -> str:
    return (
        f"With --dev the {name.decode().title()} header must name localhost, 127.0.0.1 or [::1], "
        "because every client may write. Set API_WRITE_KEYS and drop --dev to serve others."
    )
