"""Write a local file whole or not at all.

What belongs here: the one routine for it. What does not: what the files mean.
"""

import os
import uuid
from pathlib import Path


def write_atomically(
    path: Path, payload: bytes, *, durable: bool = True, overwrite: bool = True
) -> None:
    """Write under a temporary name, then rename: a reader sees the old content or the new.

    Args:
        path: Where the content shall be; its folder is made where it is missing.
        payload: The content.
        durable: Whether to wait until the file and its name are on the disk.
        overwrite: Whether a file that is there is replaced; two writers of a new file cannot
            both succeed where it is not.

    Raises:
        FileExistsError: The file is there and shall not be replaced.
        OSError: The folder cannot be written or the disk is full; the old content is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name[:100]}.{uuid.uuid4().hex}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(payload)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        if overwrite:
            temporary.replace(path)
        else:
            path.hardlink_to(temporary)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
