"""A files source: the files of a path or glob, local or in an object store (fsspec)."""

from datetime import date
from pathlib import PurePosixPath
from typing import Any

import fsspec

from mab_pipeline.sources.config import FileSource, filled_in
from mab_pipeline.sources.fetched import Fetched, SourceDownError, SourceError, too_large
from mab_store.settings import Settings

MOST_FILES = 1000
_UNFINISHED = (".part", ".tmp")


def fetch_files(
    source: FileSource, day: date, *, settings: Settings, most_bytes: int
) -> list[Fetched]:
    """Read the files of a day, by name; none if none is there.

    Files that are still being written (dotfiles, `*.part`, `*.tmp`) are left for a later pull.

    Args:
        source: The source.
        day: The day.
        settings: For MAB_HOME, in which a relative path begins.
        most_bytes: Most bytes of all files together.

    Raises:
        SourceDownError: The store does not answer, or a file cannot be read.
        SourceError: There are too many files or bytes, or the store's package is not installed.
    """
    path = filled_in(source.path, day)
    if "://" not in path:
        path = str(settings.mab_home / path)
    try:
        # An instance of its own: a kept one lists files as it saw them before.
        filesystem, pattern = fsspec.core.url_to_fs(path, skip_instance_cache=True)
    except ImportError as error:  # "Install s3fs to access S3"
        raise SourceError(f"{error}") from None
    try:
        return _read_all(filesystem, pattern, most_bytes)
    except FileNotFoundError as error:
        raise SourceDownError(f"a file went away while it was read: {error}") from None
    except OSError as error:
        raise SourceDownError(f"{path} cannot be read: {error.strerror or error}") from None


def _read_all(filesystem: Any, pattern: str, most_bytes: int) -> list[Fetched]:
    found = filesystem.glob(pattern, detail=True)
    names = sorted(
        name
        for name, info in found.items()
        if info["type"] == "file" and _is_complete(PurePosixPath(name).name)
    )
    if len(names) > MOST_FILES:
        raise SourceError(f"{len(names)} files match; at most {MOST_FILES} of a day are read")
    files, left = [], most_bytes
    for name in names:
        with filesystem.open(name, "rb") as stream:
            payload = stream.read(left + 1)
        left -= len(payload)
        if left < 0:
            raise too_large(f"{name}, with the files before it,", most_bytes)
        files.append(Fetched(name, payload))
    return files


def _is_complete(name: str) -> bool:
    return not name.startswith(".") and not name.endswith(_UNFINISHED)
