"""Idempotency keys: finds the first submission of a key by the key alone.

    <inbox>/idempotency/<first two digits>/<SHA-256 of the key>.json

The file holds the whole submission and is on disk before the submission's own file. A process that
finds it without a submission writes that submission.
"""

import re
from contextlib import suppress
from datetime import timedelta
from typing import Any

import orjson

from mab_store.errors import FileInInboxError
from mab_store.files.inbox import Inbox

FOLDER = "idempotency"
INDEXED = f"{FOLDER}/indexed.json"
_KEYED = re.compile(r"post-([0-9a-f]{64})\.json")

Body = dict[str, Any]


class Keys:
    """The keys that submissions came with."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._is_indexed = False

    def first(self, document: Body, digest: str) -> Body:
        """Return the first submission that came with a key: this one if there was none.

        Args:
            document: A submission.
            digest: SHA-256 of its key, in hexadecimal digits.

        Raises:
            InboxError: The inbox cannot be written.
        """
        self._index()
        name = _file_of(digest)
        held = self._inbox.payload(name)
        if held is None:
            with suppress(FileInInboxError):  # another process took the key at the same moment
                self._inbox.write(name, orjson.dumps(document, option=orjson.OPT_INDENT_2))
                return document
            held = self._inbox.payload(name)
        return _loads(held)

    def _index(self) -> None:
        """Once per inbox: remember the keys of submissions that are older than the index."""
        if self._is_indexed:
            return
        if self._inbox.payload(INDEXED) is None:
            for day in self._inbox.metric_days():
                for file in self._inbox.metric_files(day, day + timedelta(days=1)):
                    if found := _KEYED.fullmatch(file.path.name):
                        self._remember(found[1], self._inbox.read(file).payload)
            with suppress(FileInInboxError):
                self._inbox.write(INDEXED, b"{}")
        self._is_indexed = True

    def _remember(self, digest: str, payload: bytes | None) -> None:
        if payload is not None:
            with suppress(FileInInboxError):
                self._inbox.write(_file_of(digest), payload)


def _file_of(digest: str) -> str:
    return f"{FOLDER}/{digest[:2]}/{digest}.json"


def _loads(payload: bytes | None) -> Body:
    try:
        document = orjson.loads(payload or b"")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
