"""Dropped exports: files in `inbox/exports/<name>/`, taken in with the mapping of that name.

    inbox/exports/<name>/<file>          waits for the next run or tick of the sensor
    inbox/exports/<name>/done/<file>     was taken in; its counts are in inbox/metrics/<day>/
    inbox/exports/<name>/broken/<file>   cannot be understood; <file>.why.txt gives the reason

A moved file carries the hash of its content in its name, so no later one takes its place. Counts
are in the inbox before their file moves: a process that is killed in between does it again, which
adds nothing.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from filelock import FileLock
from upath import UPath

from mab_pipeline.resources import Platform
from mab_pipeline.sources.deposit import deposit, files_of_days
from mab_pipeline.sources.import_file import Accepted, read_export
from mab_pipeline.sources.mapping import is_name, load_mapping, mapping_path
from mab_store.errors import UnreadableFileError, UsageError
from mab_store.files.entries import children, fault_of_file, fault_of_folder, is_folder, is_utf8
from mab_store.files.inbox import Receiver

FOLDER = "exports"
DONE = "done"
BROKEN = "broken"
WHY = ".why.txt"
RECEIVED_BY = "exports"
_DIGITS = 12
_STEM_BYTES = 150
_SUFFIX = 20
_LOCK_SECONDS = 60


@dataclass(slots=True)
class Taken:
    """What became of dropped exports.

    Attributes:
        added: Files added to `inbox/metrics/`.
        broken: Why an export cannot be understood, by its name below the inbox.
    """

    added: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A dropped export.

    Attributes:
        path: The file.
        source_file: Its name below the inbox.
        name: Name of its folder and mapping.
    """

    path: UPath
    source_file: str
    name: str


def dropped_exports(platform: Platform) -> list[Dropped]:
    """List the exports that wait, by name."""
    return sorted(_files(platform, ""), key=lambda file: file.source_file)


def broken_exports(platform: Platform) -> dict[str, str]:
    """Return the exports that could not be understood, with the reason of each."""
    found = {}
    for file in sorted(_files(platform, BROKEN), key=lambda file: file.source_file):
        if not file.source_file.endswith(WHY):
            why = file.path.with_name(file.path.name + WHY)
            found[file.source_file] = (
                why.read_text("utf-8").strip() if why.exists() else "cannot be understood"
            )
    return found


def folders_without_mapping(platform: Platform) -> list[str]:
    """Return the folders with waiting exports whose mapping is missing or unusable, and why."""
    faults = {}
    for file in dropped_exports(platform):
        if file.name not in faults and (fault := _fault_of_mapping(platform, file.name)):
            faults[file.name] = fault
    return list(faults.values())


def take_exports(platform: Platform) -> Taken:
    """Take in every export that has a mapping; one that cannot be understood is set aside.

    Raises:
        InboxError: The inbox cannot be written.
        OSError: The disk failed.
    """
    taken = Taken()
    if not dropped_exports(platform):
        return taken
    with FileLock(platform.settings.mab_home / ".exports.lock", timeout=_LOCK_SECONDS):
        for file in dropped_exports(platform):
            if _fault_of_mapping(platform, file.name) is None:
                _take(platform, file, taken)
    return taken


def _take(platform: Platform, file: Dropped, taken: Taken) -> None:
    now = platform.clock()
    settings, inbox = platform.settings, platform.inbox
    accepted = Accepted(inbox.limits, settings.mab_start_date, now.date())
    payload = b""
    try:
        payload = _payload(platform, file)
        mapping = load_mapping(settings, file.name)
        export = read_export(file.path.name, payload, mapping, accepted)
    except UnreadableFileError as error:
        taken.broken[file.source_file] = str(error)
        moved = _move(file, BROKEN, payload)
        moved.with_name(moved.name + WHY).write_text(f"{error}\n", "utf-8")
        return
    done = deposit(
        inbox, file.name, files_of_days(export.counts), receiver=Receiver(RECEIVED_BY, now)
    )
    taken.added += done.added
    _move(file, DONE, payload)


def _payload(platform: Platform, file: Dropped) -> bytes:
    """Read an export, but nothing that is larger than the run would read."""
    if fault := fault_of_file(file.path, platform.inbox.root):
        raise UnreadableFileError(fault)
    size, most = file.path.stat().st_size, platform.inbox.max_file_bytes
    if size > most:
        raise UnreadableFileError(
            f"has {size} bytes; INBOX_MAX_FILE_MB allows {most >> 20} MB. Export fewer days at a "
            "time"
        )
    try:
        return file.path.read_bytes()
    except PermissionError as error:
        raise UnreadableFileError(f"cannot be read: {error.strerror}") from None


def _move(file: Dropped, folder: str, payload: bytes) -> UPath:
    """Move a file into a folder beside it, under a name of its own."""
    name = PurePosixPath(file.path.name)
    digest = hashlib.sha256(payload).hexdigest()[:_DIGITS]
    stem = name.stem.encode()[:_STEM_BYTES].decode("utf-8", "ignore")  # a name holds 255 bytes
    target = file.path.parent / folder / f"{stem}.{digest}{name.suffix[:_SUFFIX]}"
    target.parent.mkdir(parents=True, exist_ok=True)
    file.path.rename(target)
    return target


def _fault_of_mapping(platform: Platform, name: str) -> str | None:
    """Return why the files of a folder cannot be taken in; None if they can."""
    if not is_name(name):
        return f"{FOLDER}/{name} cannot be the name of a mapping: use letters, digits, _ and -."
    if not mapping_path(platform.settings, name).exists():
        return (
            f"{FOLDER}/{name} has no mapping; run `mab import FILE --name {name}` once with one "
            "of its files."
        )
    try:
        load_mapping(platform.settings, name)
    except UsageError as error:
        return str(error)
    return None


def _files(platform: Platform, below: str) -> Iterator[Dropped]:
    """Yield the complete files of each folder of exports, or of a folder below each."""
    root = platform.inbox.root
    if fault_of_folder(root / FOLDER, root):
        return
    for folder in children(root / FOLDER):
        place = folder / below if below else folder
        if not is_folder(place) or fault_of_folder(place, root) or not is_utf8(folder.name):
            continue
        for path in children(place):
            is_complete = not path.name.startswith(".") and not path.name.endswith(
                (".part", ".tmp")
            )
            if is_complete and is_utf8(path.name) and not is_folder(path):
                source_file = "/".join(filter(None, (FOLDER, folder.name, below, path.name)))
                yield Dropped(path, source_file, folder.name)
