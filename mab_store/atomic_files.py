"""Write local files atomically and durably: files and folders survive a power cut."""

import os
import uuid
from collections.abc import Mapping
from errno import ENOTDIR
from pathlib import Path
from typing import BinaryIO

_MOST_REMEMBERED = 10_000
_ATTEMPTS = 5
# Folders whose names this process knows to be on the disk: path, device, inode.
_lasting: set[tuple[Path, int, int]] = set()


def write_atomically(
    path: Path, payload: bytes, *, durable: bool = True, root: Path | None = None
) -> None:
    """Write under a temporary name, then rename: a reader sees the old content or the new.

    Args:
        path: The file; an existing one is replaced, and a missing folder is created.
        payload: The content.
        durable: Whether to wait until the file, its name and every new folder are on the disk.
        root: The names of all folders between this one and the file must be on the disk too,
            whichever process created them.

    Raises:
        OSError: The folder cannot be written or the disk is full; the old content is untouched.
    """
    temporary = stage(path, payload, durable=durable, root=root)
    try:
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def add_atomically(files: Mapping[Path, bytes], *, root: Path | None = None) -> None:
    """Add new files, all of them or none; once this returns they are on the disk.

    All contents are on the disk before the first file gets its name. A process that is killed while
    it names them leaves some of the files; those are complete, and the others can be added again.

    Args:
        files: The contents by path; none of the paths exists yet.
        root: As in `write_atomically`.

    Raises:
        FileExistsError: One of them already exists; none was added.
        OSError: A folder cannot be written or the disk is full; none was added.
    """
    staged: dict[Path, Path] = {}
    added: list[Path] = []
    try:
        for path, payload in files.items():
            staged[path] = stage(path, payload, root=root)
        for path, temporary in staged.items():
            path.hardlink_to(temporary)
            added.append(path)
        for folder in {path.parent for path in files}:
            sync_folder(folder)
    except BaseException:
        for path in added:
            path.unlink(missing_ok=True)
        raise
    finally:
        for temporary in staged.values():
            temporary.unlink(missing_ok=True)


def stage(path: Path, payload: bytes, *, durable: bool = True, root: Path | None = None) -> Path:
    """Write the content of a file under a temporary name next to it; return that name.

    Raises:
        OSError: The folder cannot be written or the disk is full; nothing is left behind.
    """
    name = os.fsencode(path.name)[:100].decode("utf-8", "ignore")  # a name holds 255 bytes
    temporary = path.with_name(f".{name}.{uuid.uuid4().hex}.tmp")
    try:
        with _opened(temporary, durable=durable, root=root) as file:
            file.write(payload)
            file.flush()
            if durable:
                os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _opened(path: Path, *, durable: bool, root: Path | None) -> BinaryIO:
    """Open a new file in a folder that another process may remove while it is empty."""
    for attempt in range(_ATTEMPTS):
        try:
            make_folders(path.parent, durable=durable, root=root)
            return path.open("xb")
        except FileNotFoundError:
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def make_folders(folder: Path, *, durable: bool = True, root: Path | None = None) -> None:
    """Create a folder and its parents, and wait until their names are on the disk.

    A folder that another process created may exist before its name is on the disk. So this waits
    for every folder below `root`, whichever process created it, but only once in a process.

    Raises:
        OSError: A folder cannot be created.
    """
    chain = [folder, *folder.parents]
    missing = [path for path in chain if not path.is_dir()]
    for path in reversed(missing):
        try:
            path.mkdir(exist_ok=True)
        except FileExistsError:  # a file is in the way
            raise NotADirectoryError(ENOTDIR, os.strerror(ENOTDIR), str(path)) from None
    if not durable:
        return
    inside = chain[: chain.index(root)] if root in chain else []
    fresh = [path for path in chain if path in missing or path in inside]
    waiting = [(path, status.st_dev, status.st_ino) for path in fresh for status in [path.stat()]]
    for key in reversed(waiting):
        if key[0] in missing or key not in _lasting:
            sync_folder(key[0].parent)
    if len(_lasting) > _MOST_REMEMBERED:
        _lasting.clear()
    _lasting.update(waiting)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
