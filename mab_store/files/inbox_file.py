"""A file of the inbox, and its content: the bytes and their hash, or why they cannot be had."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date

from upath import UPath

from mab_store.files.entries import is_utf8

OVERSIZE = "oversize"


@dataclass(frozen=True, slots=True)
class Content:
    """Content of a file.

    Attributes:
        size_bytes: Its size.
        sha256: Hash of the payload, or `oversize`.
        payload: The bytes; None if the file is too large or cannot be read.
        error: Why there is no payload.
    """

    size_bytes: int
    sha256: str
    payload: bytes | None
    error: str | None = None


def content_of(payload: bytes) -> Content:
    """Return the content of a file with these bytes."""
    return Content(len(payload), hashlib.sha256(payload).hexdigest(), payload)


@dataclass(frozen=True, slots=True)
class InboxFile:
    """A file of the inbox.

    Attributes:
        path: Its full path.
        source_file: Its name below the root, with `/`; the ledger's key.
        metric_date: Day that its folder names; None for experiment files and misplaced ones.
        fault: Why it is not read, if the listing already shows that. A folder that cannot be listed
            stands for all of its files.
        folded: Its content, if a segment holds it.
    """

    path: UPath
    source_file: str
    metric_date: date | None = None
    fault: str | None = None
    folded: Content | None = None

    @property
    def is_metrics(self) -> bool:
        """Whether it is a metrics file, by its place; otherwise it is an experiment's event."""
        return self.source_file.startswith("metrics/")


def entry_of(folder: str, entry: UPath, day: date | None) -> InboxFile:
    """Return an entry of a folder as a file, under a name that can be stored."""
    name = entry.name.encode("utf-8", "backslashreplace").decode()
    fault = None if is_utf8(entry.name) else "has a name that is not UTF-8; give it another one"
    return InboxFile(entry, f"{folder}/{name}", day, fault)


def distinct(files: Iterable[InboxFile]) -> list[InboxFile]:
    """Return files by name; add a suffix to a storable name that another file already has."""
    found: dict[str, InboxFile] = {}
    for file in sorted(files, key=lambda file: (file.source_file, file.fault is not None)):
        name = file.source_file
        while name in found:
            name += " (another one)"
        found[name] = file if name == file.source_file else replace(file, source_file=name)
    return [found[name] for name in sorted(found)]
