"""Receipts: when our own writers received each file, the only arrival time that is trusted.

`mab_pipeline.ingestion.sightings` reads them; a file dropped by hand has none.

    <MAB_HOME>/receipts/<metric date>.jsonl

Each line records one file: its name below the inbox, the hash of its content, the time, and its
receiver. Receipts are outside the inbox, so no dropped file can bring one along: a copy of a posted
file under another name, or with other content, has no receipt. The files are append-only. A line is
on the disk before its file gets its name; a line that a crash cut short is skipped.
"""

import errno
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Lock

from filelock import FileLock

from mab_store.atomic_files import make_folders, sync_folder

_TAIL_BYTES = 1 << 13
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A file that was received.

    Attributes:
        source_file: Its name below the inbox.
        sha256: Hash of its content, hexadecimal.
        received_at: When, as naive UTC.
        by: The receiver, such as `mab ingest`.
    """

    source_file: str
    sha256: str
    received_at: datetime
    by: str


class Receipts:
    """The receipts of one MAB_HOME."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._noting = Lock()
        self._lasting: set[date] = set()

    def note(self, files: Mapping[str, str], *, day: date, now: datetime, by: str) -> datetime:
        """Record the receipt of a day's files; once this returns, it is on the disk.

        Args:
            files: Hash of each file's content, by its name below the inbox.
            day: The day of the counts.
            now: The time, as naive UTC.
            by: The receiver.

        Returns:
            The recorded time: `now`, or just after the day's last receipt if the clock is behind
            that, so that a later receipt always has a later time.

        Raises:
            OSError: The receipts cannot be written.
        """
        make_folders(self._folder, root=self._folder.parent)
        path = self._folder / f"{day}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            with self._noting, FileLock(self._folder / ".lock", poll_interval=0.002):
                last = _newest(_parsed(_tail(path)))
                moment = now if last is None or last < now else last + _TICK
                rows = [[moment.isoformat(), by, sha256, name] for name, sha256 in files.items()]
                # It begins with a line break, which ends a line that a crash cut short.
                _write_whole(descriptor, "\n".join(["", *map(json.dumps, rows), ""]).encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        if day not in self._lasting:
            sync_folder(self._folder)
            self._lasting.add(day)
        return moment

    def of_day(self, day: date) -> dict[tuple[str, str], Receipt]:
        """Return a day's receipts by name and hash; a file received twice has its last one."""
        try:
            payload = (self._folder / f"{day}.jsonl").read_bytes()
        except OSError:
            return {}
        return {(receipt.source_file, receipt.sha256): receipt for receipt in _parsed(payload)}


def _write_whole(descriptor: int, payload: bytes) -> None:
    if os.write(descriptor, payload) < len(payload):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _tail(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read()
    except FileNotFoundError:
        return b""


def _parsed(payload: bytes) -> Iterable[Receipt]:
    for line in payload.splitlines():
        try:
            moment, by, sha256, name = json.loads(line)
            yield Receipt(str(name), str(sha256), datetime.fromisoformat(moment), str(by))
        except (ValueError, TypeError):
            continue  # empty, or cut short by a crash


def _newest(receipts: Iterable[Receipt]) -> datetime | None:
    return max((receipt.received_at for receipt in receipts), default=None)
