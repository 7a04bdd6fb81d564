"""Inspect and add entries of a folder that others write to, without trusting them.

Users may leave a loop of links, a pipe, or a folder that only they can open; a link may lead to any
file of the machine. No such entry ends a run, and no link is followed out of the inbox. An error of
the disk is raised, because the files that it hides would otherwise look deleted.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import accumulate, islice
from pathlib import Path

from upath import UPath

from mab_store.atomic_files import add_atomically, write_atomically

_DEEPEST = 8
_CLOSED = {errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG}
_LEADS_OUT = (
    "is a link that leads out of the inbox, which is not followed; replace it with a copy, or set "
    "MAB_INBOX to its target"
)


def local_path(path: UPath) -> Path | None:
    """Return the path on this machine, or None for one on an object store."""
    return Path(path.path) if path.protocol in {"", "file", "local"} else None


def is_utf8(name: str) -> bool:
    """Return whether a name can be stored unchanged."""
    return name.encode("utf-8", "replace").decode() == name


def is_folder(path: UPath) -> bool:
    """Return whether an entry is a folder; False if it cannot be inspected."""
    try:
        return path.is_dir()
    except OSError:
        return False


def children(folder: UPath) -> Iterator[UPath]:
    """Yield the entries of a folder; none if it is missing or a file.

    Raises:
        OSError: The disk or the object store failed.
    """
    try:
        with store_errors():
            found = list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from found


@contextmanager
def store_errors() -> Iterator[None]:
    """Raise every error of an object store's package as an OSError, those of the network too."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error


def add_files(files: Mapping[UPath, bytes], root: UPath) -> None:
    """Add new files below a root, all of them or none.

    Raises:
        FileExistsError: One of them already exists.
        OSError: They cannot be written.
    """
    if (local_root := local_path(root)) is not None:
        local = {Path(path.path): payload for path, payload in files.items()}
        add_atomically(local, root=local_root)
        return
    added: list[UPath] = []
    try:
        for path, payload in files.items():
            _add_object(path, payload)
            added.append(path)
    except BaseException:
        for path in added:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        raise


def replace_file(path: UPath, payload: bytes, root: UPath) -> None:
    """Write a file below a root whole; once this returns it is on the disk.

    Raises:
        OSError: It cannot be written.
    """
    if (local_root := local_path(root)) is not None:
        write_atomically(Path(path.path), payload, root=local_root)
        return
    with store_errors():
        path.fs.pipe_file(path.path, payload)


def _add_object(path: UPath, payload: bytes) -> None:
    """Add an object unless one of its name exists, which the store itself judges in the PUT."""
    with store_errors():
        if path.exists():  # for a store without such a PUT
            raise FileExistsError
        path.fs.pipe_file(path.path, payload, mode="create")


def fault_of_folder(path: UPath, root: UPath) -> str | None:
    """Return why a folder cannot be listed; None if it can, or is missing.

    Raises:
        OSError: The disk failed.
    """
    local = local_path(path)
    if local is None:
        return None
    if _leads_out(local, root):
        return _LEADS_OUT
    try:
        os.close(os.open(local, os.O_RDONLY | os.O_DIRECTORY))
    except OSError as error:
        if error.errno in _CLOSED:
            return f"is a folder that cannot be listed: {error.strerror}"
        if error.errno not in {errno.ENOENT, errno.ENOTDIR}:
            raise
    return None


def fault_of_file(path: UPath, root: UPath) -> str | None:
    """Return why an entry is not read; None if it is a file, or is missing.

    Raises:
        OSError: It cannot be inspected.
    """
    local = local_path(path)
    if local is not None and _leads_out(local, root):
        return _LEADS_OUT
    if not path.is_file() and path.exists():  # a pipe would block for ever
        kind = "a folder" if path.is_dir() else "not a regular file"
        return f"is {kind}; only files are read here"
    return None


def _leads_out(path: Path, root: UPath) -> bool:
    """Return whether links in a path lead out of the root, which may itself be a link."""
    below = str(path).removeprefix(f"{root.path}/").split("/")
    if len(below) <= _DEEPEST and ".." not in below and str(path).startswith(f"{root.path}/"):
        steps = accumulate(below, lambda before, name: f"{before}/{name}", initial=root.path)
        if not any(map(os.path.islink, islice(steps, 1, None))):
            return False
    return not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root.path))
