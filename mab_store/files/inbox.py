"""The inbox: immutable files, the source of truth for everything but decisions.

    <root>/experiments/<experiment_id>/<anything>.json
    <root>/folded/<hash>.parquet          many of those, once there are many (segments.py)
    <root>/metrics/<YYYY-MM-DD>/<anything>.{json,csv,parquet}

The root is a local folder, or any URL that universal-pathlib knows. Dotfiles, `*.part` and `*.tmp`
are files that are still being written; they are ignored.
"""

import hashlib
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from upath import UPath

from mab_store.errors import FileInInboxError, InboxError
from mab_store.files.entries import (
    add_files,
    children,
    fault_of_file,
    fault_of_folder,
    is_folder,
    is_utf8,
    local_path,
    store_errors,
)
from mab_store.files.inbox_file import OVERSIZE, Content, InboxFile, content_of, distinct, entry_of
from mab_store.files.limits import DEFAULT_LIMITS, MAX_EVENT_BYTES, Limits
from mab_store.files.receipts import Receipt, Receipts
from mab_store.files.segments import FOLDED_NAME, FOLDER, Segments

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_CHUNK_BYTES = 1 << 20
HELD = (
    "is in the inbox with another content, which counts, as files there never change; add a change "
    "under another name"
)


class Receiver(NamedTuple):
    """The receiver of a file, and the time.

    Attributes:
        by: The receiver, such as `mab ingest`.
        now: The time, as naive UTC.
    """

    by: str
    now: datetime


class Inbox:
    """Files under one root, and the receipts of those that our own writers received."""

    def __init__(
        self,
        root: UPath,
        *,
        max_file_bytes: int,
        limits: Limits = DEFAULT_LIMITS,
        receipts: Receipts | None = None,
    ) -> None:
        self.root = root
        self.limits = limits
        self.max_file_bytes = max_file_bytes
        self._receipts = receipts
        self.segments = Segments(root)

    def metric_files(self, start: date, end: date) -> list[InboxFile]:
        """List the metrics files of the days from start to before end, by day and name.

        Only the folders of these days are listed and no file is opened.
        """
        days = (start + timedelta(days=offset) for offset in range((end - start).days))
        return [file for day in days for file in self.files_of_day(day)]

    def files_of_day(self, day: date) -> list[InboxFile]:
        """List the metrics files of a day by name."""
        if self._closed("metrics"):
            return []  # `misplaced_files` reports it
        return self._entries(f"metrics/{day}", day)

    def metric_days(self) -> list[date]:
        """List the days that have a folder, ascending."""
        names = (folder.name for folder in self._children("metrics") if is_folder(folder))
        return sorted(day for name in names if (day := parse_day(name)) is not None)

    def event_files(self, experiment_id: str) -> list[InboxFile]:
        """List the event files of one experiment, folded or not, by name."""
        loose = self._entries(f"experiments/{experiment_id}", None)  # before the segments: see fold
        return self._with_folded(loose, self.segments.of_experiment(experiment_id).items())

    def experiment_ids(self) -> list[str]:
        """List the experiments with folded files, and the names of folders below `experiments/`.

        The folders are not looked into.
        """
        loose = {entry.name for entry in self._children("experiments") if _is_complete(entry.name)}
        return sorted(loose | self.segments.experiment_ids())

    def folder_status(self, folder: str) -> os.stat_result | None:
        """Return the status of a folder; its times say when an entry was last added or removed.

        Args:
            folder: Its name below the root: `experiments`, or `metrics/` and a day.

        Returns:
            None if that is unknown: on an object store, or if there is no such folder.
        """
        path = local_path(self.root / folder)
        try:
            return None if path is None else path.stat()
        except OSError:
            return None

    def payload(self, source_file: str) -> bytes | None:
        """Return the bytes of a file that our writers added; None if there is no such file.

        Raises:
            OSError: It cannot be read.
        """
        try:
            return (self.root / source_file).read_bytes()
        except FileNotFoundError:
            return None

    def experiment_files(self) -> list[InboxFile]:
        """List every event file, folded or not, in the right folder or not, by name."""
        return self._with_folded(self.loose_event_files(), self.segments.contents())

    def loose_and_folded(self) -> tuple[list[InboxFile], pa.Table]:
        """Return the loose event files that are not in a segment, and name and hash of folded ones.

        Raises:
            InboxError: A segment is damaged.
        """
        loose, folded = self.loose_event_files(), self.segments.hashes()
        names = pa.array([file.source_file for file in loose], pa.string())
        twice = names.filter(pc.is_in(names, value_set=folded["source_file"])).to_pylist()
        held = [(name, content) for name in twice if (content := self.segments.find(name))]
        return [file for file in self._with_folded(loose, held) if file.folded is None], folded

    def has_loose_folders(self, most: int) -> bool:
        """Return whether more than `most` folders below `experiments/` hold loose event files."""
        return next(islice(self._children("experiments"), most, None), None) is not None

    def loose_event_files(self) -> list[InboxFile]:
        """List the files below `experiments/`, in the right folder or not, by name."""
        found = self._closed("experiments/")
        for entry in self._children("experiments"):
            found += self._below("experiments", entry)
        return distinct(found)

    def misplaced_files(self) -> list[InboxFile]:
        """List the files below `metrics/` that are not in a folder that names a day."""
        found = self._closed("metrics/")
        for entry in self._children("metrics"):
            if parse_day(entry.name) is None or not is_folder(entry):
                found += self._below("metrics", entry)
        return distinct(found)

    def read(self, file: InboxFile) -> Content:
        """Read a file whole; for one that is too large or unreadable, return the error."""
        if file.folded:
            return file.folded
        try:
            if (fault := file.fault or fault_of_file(file.path, self.root)) is not None:
                return Content(0, "", None, fault)
            size = file.path.stat().st_size
            most = self._most_bytes(file)
            if size > most:
                setting = "INBOX_MAX_FILE_MB allows" if file.is_metrics else "an event has at most"
                error = f"has {size} bytes; {setting} {most >> 20} MB"
                return Content(size, OVERSIZE, None, error)
            payload = file.path.read_bytes()
        except OSError as error:
            is_gone = isinstance(error, FileNotFoundError)  # perhaps folded since it was listed
            if is_gone and (folded := self.segments.find(file.source_file)):
                return folded
            return Content(0, "", None, f"cannot be read: {error.strerror or error}")
        return content_of(payload)

    def fingerprint(self, file: InboxFile) -> str:
        """Return the hash that `read` would give, without holding the file in memory."""
        if file.folded:
            return file.folded.sha256
        try:
            if file.fault or fault_of_file(file.path, self.root):
                return ""
            if not file.path.is_file():
                folded = self.segments.find(file.source_file)
                return folded.sha256 if folded else ""
            if file.path.stat().st_size > self._most_bytes(file):
                return OVERSIZE
            digest = hashlib.sha256()
            with file.path.open("rb") as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except OSError:
            return ""
        return digest.hexdigest()

    def _most_bytes(self, file: InboxFile) -> int:
        """Return the size limit of a file; events have a small one, as all are held at once."""
        return self.max_file_bytes if file.is_metrics else MAX_EVENT_BYTES

    def arrival(self, file: InboxFile) -> float:
        """Return when a file got its name, by the file system's clock [seconds since 1970].

        A rename updates the change time (ctime) of a local file, which users cannot set. It shows
        that a file came in during a run, or was already there when another file was received.
        """
        try:
            status = file.path.stat()
        except OSError:
            return 0.0
        return float(status.st_ctime or status.st_mtime)  # a copy can set the latter

    def modified(self, file: InboxFile) -> int:
        """Return a file's modification time [nanoseconds since 1970].

        A copy can set it, so it only orders files that were first seen together.
        """
        try:
            status = file.path.stat()
        except OSError:
            return 0
        return int(getattr(status, "st_mtime_ns", 0) or status.st_mtime * 1e9)

    def receipts_of(self, day: date) -> dict[tuple[str, str], Receipt]:
        """Return the receipts of a day's files, by name and hash."""
        return self._receipts.of_day(day) if self._receipts else {}

    def write(self, source_file: str, payload: bytes, *, receiver: Receiver | None = None) -> None:
        """Add a file, as `write_all` does."""
        self.write_all({source_file: payload}, receiver=receiver)

    def write_all(self, files: Mapping[str, bytes], *, receiver: Receiver | None = None) -> None:
        """Add files, all or none; once this returns they are on the disk, with their folders.

        Args:
            files: Their contents, by name below the root.
            receiver: The receiver of submitted metrics; a file has a receipt before it has its
                name.

        Raises:
            FileInInboxError: A file of one of these names exists.
            InboxError: The inbox cannot be written.
        """
        paths = {self.root / name: payload for name, payload in files.items()}
        self._refuse_folded(files)
        try:
            with store_errors():
                is_new = not any(path.exists() for path in paths)
            if receiver is not None and is_new:
                self._note(files, receiver)
            add_files(paths, self.root)
        except OSError as error:
            is_held = isinstance(error, FileExistsError)
            held = next((path for path in paths if path.exists()), None) if is_held else None
            if held:  # not: a file for a folder
                raise FileInInboxError(
                    f"{held} is already in the inbox; files there never change."
                ) from None
            raise InboxError(
                f"The inbox {self.root} cannot be written: {error.strerror or error}. "
                "Free space there, or set MAB_INBOX or MAB_HOME to a folder that you own."
            ) from None
        try:
            self._refuse_folded(files)  # one may have been added and folded since it was looked for
        except FileInInboxError:
            for path in paths:
                path.unlink(missing_ok=True)
            raise

    def _refuse_folded(self, files: Iterable[str]) -> None:
        held = next(filter(self.segments.find, filter(FOLDED_NAME.fullmatch, files)), None)
        if held is not None:
            raise FileInInboxError(f"{held} is already in the inbox; files there never change.")

    def _note(self, files: Mapping[str, bytes], receiver: Receiver) -> None:
        by_day: dict[date, dict[str, str]] = defaultdict(dict)
        for source_file, payload in files.items():
            day = parse_day(source_file.split("/")[1])
            if day is not None:
                by_day[day][source_file] = hashlib.sha256(payload).hexdigest()
        for day, hashes in by_day.items():
            if self._receipts:
                self._receipts.note(hashes, day=day, now=receiver.now, by=receiver.by)

    def _with_folded(
        self, loose: list[InboxFile], folded: Iterable[tuple[str, Content]]
    ) -> list[InboxFile]:
        """Add folded files; a loose one of the same name is a copy, or does not count."""
        folder = self.root / FOLDER
        held = {name: InboxFile(folder, name, folded=content) for name, content in folded}
        others = []
        for file in loose:
            same = held.get(file.source_file)
            if same is None:
                others.append(file)
            elif self.fingerprint(file) != self.fingerprint(same):
                others.append(replace(file, fault=HELD))
        return distinct([*held.values(), *others]) if held else others

    def _below(self, folder: str, entry: UPath) -> list[InboxFile]:
        """Return the files of an entry of `folder`; the entry itself if it is not a folder."""
        if is_folder(entry) and is_utf8(entry.name):
            return self._entries(f"{folder}/{entry.name}", None)
        return [entry_of(folder, entry, None)] if _is_complete(entry.name) else []

    def _entries(self, folder: str, day: date | None) -> list[InboxFile]:
        if closed := self._closed(folder, day):
            return closed
        return distinct(
            entry_of(folder, entry, day)
            for entry in children(self.root / folder)
            if _is_complete(entry.name)
        )

    def _closed(self, folder: str, day: date | None = None) -> list[InboxFile]:
        """Return a folder that cannot be listed, as one entry for all of its files."""
        path = self.root / folder
        fault = fault_of_folder(path, self.root)
        return [InboxFile(path, folder, day, fault)] if fault else []

    def _children(self, folder: str) -> Iterator[UPath]:
        path = self.root / folder
        return iter(()) if fault_of_folder(path, self.root) else children(path)


def parse_day(name: str) -> date | None:
    """Return the day that a folder names, or None if it names none."""
    try:
        return date.fromisoformat(name) if _DAY.fullmatch(name) else None
    except ValueError:
        return None


def _is_complete(name: str) -> bool:
    return not name.startswith(".") and not name.endswith((".part", ".tmp"))
