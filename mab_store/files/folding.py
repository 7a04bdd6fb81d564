"""Folding: loose event files become a segment; no moment of it loses one (docs/adr/0033).

First the segment is written, synced and read back, then its files are removed one by one. A process
that is killed in between leaves files that are there twice, which read as one; the next folding
removes them. Readers list loose files before they list segments, and look for a file that went away
in between among the segments. Several processes may fold at once: each removes only files that a
segment on the disk holds.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

import pyarrow as pa

from mab_store.errors import InboxError
from mab_store.files.entries import add_files, local_path
from mab_store.files.inbox import HELD, Inbox
from mab_store.files.inbox_file import InboxFile
from mab_store.files.segments import FOLDED_NAME, SCHEMA, distinct_files

MOST_IN_A_SEGMENT = 100_000
MOST_REMOTE = 2_000
"""Files that one folding takes on an object store, where each costs two requests."""


class _Loose(NamedTuple):
    file: InboxFile
    sha256: str
    payload: bytes


def fold(inbox: Inbox, loaded: Mapping[str, str], *, arrived_before: float) -> int:
    """Fold the event files that were loaded and have not changed since.

    Args:
        inbox: The inbox.
        loaded: Hash of each event file that was loaded without a fault, by name.
        arrived_before: Later files stay loose [seconds since 1970].

    Returns:
        The number of files that are in segments now and were not before.

    Raises:
        InboxError: A segment is damaged.
        OSError: The inbox cannot be written.
    """
    wanted = [
        file
        for file in inbox.loose_event_files()
        if file.fault is None
        and file.source_file in loaded
        and FOLDED_NAME.fullmatch(file.source_file)
        and inbox.arrival(file) < arrived_before
    ]
    if local_path(inbox.root) is None:
        wanted = wanted[:MOST_REMOTE]
    folded = 0
    for start in range(0, len(wanted), MOST_IN_A_SEGMENT):
        folded += _fold(inbox, wanted[start : start + MOST_IN_A_SEGMENT], loaded)
    return folded


def unfold(inbox: Inbox) -> int:
    """Write every folded file as a loose one again, for versions that know no segments.

    Returns:
        The number of files that were written.

    Raises:
        InboxError: A segment is damaged, or a loose file has the name of another folded one.
        OSError: The inbox cannot be written.
    """
    names = inbox.segments.names()
    folded = dict(inbox.segments.contents())
    missing = {}
    for name, content in folded.items():
        loose = inbox.fingerprint(InboxFile(inbox.root / name, name))
        if loose not in {content.sha256, ""}:
            raise InboxError(f"{inbox.root / name} {HELD}. Move it away and unfold again.")
        if not (inbox.root / name).exists() and content.payload is not None:
            missing[inbox.root / name] = content.payload
    add_files(missing, inbox.root)
    for name in names:
        inbox.segments.remove(name)
    return len(missing)


def _fold(inbox: Inbox, files: Iterable[InboxFile], loaded: Mapping[str, str]) -> int:
    loose = []
    for file in files:
        content = inbox.read(file)
        if content.payload is not None and content.sha256 == loaded[file.source_file]:
            loose.append(_Loose(file, content.sha256, content.payload))
    held = _held(inbox)
    new = [each for each in loose if each.file.source_file not in held]
    if new:
        _write(inbox, new)
        held |= {each.file.source_file: each.sha256 for each in new}
    for each in loose:
        if held[each.file.source_file] == each.sha256:
            _remove(inbox, each)
    return len(new)


def _held(inbox: Inbox) -> dict[str, str]:
    """Return the hash of each folded file by name."""
    hashes = inbox.segments.hashes()
    names, sums = hashes["source_file"].to_pylist(), hashes["sha256"].to_pylist()
    return dict(zip(names, sums, strict=True))


def _write(inbox: Inbox, new: Iterable[_Loose]) -> None:
    """Write files as a segment, together with those of smaller segments, which it replaces.

    So their number grows with the logarithm of the number of files.
    """
    rows = [
        {"source_file": each.file.source_file, "sha256": each.sha256, "payload": each.payload}
        for each in new
    ]
    tables = [pa.Table.from_pylist(rows, schema=SCHEMA)]
    sizes = {}
    for name in inbox.segments.names():
        with suppress(FileNotFoundError):  # another process has replaced it
            sizes[name] = len(inbox.segments.read(name, ["source_file"]))
    replaced = []
    for name, size in sorted(sizes.items(), key=lambda named: named[1]):
        total = sum(map(len, tables))
        if size <= total <= MOST_IN_A_SEGMENT - size:
            with suppress(FileNotFoundError):
                tables.append(inbox.segments.read(name))
                replaced.append(name)
    written = inbox.segments.write(distinct_files(tables, SCHEMA.names))
    for name in replaced:
        if name != written:
            inbox.segments.remove(name)


def _remove(inbox: Inbox, each: _Loose) -> None:
    """Remove a loose file that a segment holds, and its folder if that is empty then."""
    with suppress(FileNotFoundError):
        if each.file.path.read_bytes() != each.payload:
            return  # it was changed just now: the next run says so
    each.file.path.unlink(missing_ok=True)
    if local_path(inbox.root) is not None:
        with suppress(OSError):
            each.file.path.parent.rmdir()
