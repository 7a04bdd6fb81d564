"""The last good document on disk, for a start while the API is away."""

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from mab_client.document import DocumentError


class Kept(NamedTuple):
    """A document as it came.

    Attributes:
        etag: Its ETag; None if the API gave none.
        body: The list, as text.
        confirmed_at: When the API last said that it holds [seconds since 1970].
    """

    etag: str | None
    body: str
    confirmed_at: float


class CacheFile:
    """One file that processes may share: each replaces it whole, so no reader sees half of one.

    Args:
        path: The file; its folder is created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Kept | None:
        """Return the kept list, or None if there is no such file.

        Raises:
            OSError: The file cannot be read.
            DocumentError: It is not a file of this kind.
        """
        try:
            text = self._path.read_text("utf-8")
            confirmed_at = self._path.stat().st_mtime
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise DocumentError(f"{self._path} is damaged: not UTF-8") from None
        try:
            kept = json.loads(text)
            etag, body = kept["etag"], kept["body"]
        except (ValueError, KeyError, TypeError):
            raise DocumentError(f"{self._path} is damaged") from None
        if not isinstance(body, str):
            raise DocumentError(f"{self._path} is damaged")
        return Kept(etag if isinstance(etag, str) else None, body, confirmed_at)

    def write(self, kept: Kept) -> None:
        """Keep this document instead of the one before.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        folder = self._path.parent
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{self._path.name}.", dir=folder)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                json.dump({"etag": kept.etag, "body": kept.body}, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.utime(name, (kept.confirmed_at, kept.confirmed_at))
            Path(name).replace(self._path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    def confirm(self, confirmed_at: float) -> None:
        """Note that the API still gives this document; the time of the file says when.

        Raises:
            OSError: The file is gone or cannot be written.
        """
        os.utime(self._path, (confirmed_at, confirmed_at))
