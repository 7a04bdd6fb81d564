"""The hash that gives a session its bucket; docs/API.md has the same in other languages."""

from hashlib import sha256

BUCKETS = 100


def bucket(experiment_id: str, session_id: str) -> int:
    """Return the session's bucket in this experiment, 0 to 99.

    Args:
        experiment_id: The id, not the name: it is the salt.
        session_id: Any text that names the session.

    Raises:
        UnicodeEncodeError: The text has half a surrogate pair, so no UTF-8.
    """
    digest = sha256(f"{experiment_id}:{session_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS
