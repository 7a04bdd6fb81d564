"""Keys: who may read, who may write.

What belongs here: comparing a request's bearer key with the digests of the settings. What does
not: which routes write (`gateway.py` knows them).
"""

import hashlib
import hmac
from collections.abc import Iterable

from mab_api.problems import Kind, ProblemError

CHALLENGE = {"www-authenticate": 'Bearer realm="mab"'}


class Keyring:
    """The digests of the keys that open one thing."""

    def __init__(self, digests: Iterable[str]) -> None:
        self._digests = tuple(bytes.fromhex(digest) for digest in digests)

    def __bool__(self) -> bool:
        return bool(self._digests)

    def check(self, authorization: bytes | None) -> None:
        """Let a request pass, or say why not.

        Args:
            authorization: Value of the Authorization header, where there is one.

        Raises:
            ProblemError: 401 without a bearer key, 403 with one that does not fit.
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
            raise ProblemError(Kind.KEY_REFUSED, "The key that was sent is not among those.")
