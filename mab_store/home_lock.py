"""The lock of a whole home: any number of runs at once, or one command that replaces files.

The warehouse has its own lock, which is held for one transaction. The operating system holds both
and drops them with their process, so `kill -9` leaves nothing locked. While a command waits for the
exclusive lock, no new run can begin; otherwise the command might wait for ever.
"""

import json
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil
from filelock import FileLock, ReadWriteLock, Timeout

from mab_store.errors import HomeError, HomeLockedError
from mab_store.settings import Settings

POLL_SECONDS = 0.1
Say = Callable[[str], None]


def _say_nothing(_text: str) -> None:
    return


class HomeLock:
    """The lock of one MAB_HOME; it is not reentrant: code that holds it must not take it again."""

    def __init__(self, settings: Settings) -> None:
        self._home = settings.mab_home
        self._timeout_seconds = settings.home_lock_timeout_seconds

    @contextmanager
    def shared(self, doing: str, *, say: Say = _say_nothing) -> Iterator[None]:
        """Hold the home together with other shared holders.

        Args:
            doing: The work, in the words that waiting processes report.
            say: Receives one line that names the holders, if it has to wait.

        Raises:
            HomeLockedError: Waiting took longer than HOME_LOCK_TIMEOUT_SECONDS.
            HomeError: MAB_HOME cannot be written.
        """
        with self._held(doing, say, is_alone=False):
            yield

    @contextmanager
    def alone(self, doing: str, *, say: Say = _say_nothing) -> Iterator[None]:
        """Hold the home exclusively; arguments and errors are those of `shared`."""
        with self._held(doing, say, is_alone=True):
            yield

    @contextmanager
    def _held(self, doing: str, say: Say, *, is_alone: bool) -> Iterator[None]:
        deadline = time.monotonic() + self._timeout_seconds
        try:
            path = self._home / "home.lock"
            self._home.mkdir(parents=True, exist_ok=True)
            path.touch()  # with default permissions; the library would make it private
            gate = FileLock(self._home / "home.gate.lock")
            lock = ReadWriteLock(path, is_singleton=False)
            acquire = lock.acquire_write if is_alone else lock.acquire_read
            self._wait(lambda: gate.acquire(timeout=0), deadline, say)
            try:
                self._wait(lambda: acquire(timeout=0), deadline, say)
            finally:
                gate.release()
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise HomeError(
                f"MAB_HOME {self._home} cannot be written: {reason}. "
                "Set MAB_HOME to a folder that you own, or free space there."
            ) from None
        note = self._leave_note(doing)
        try:
            yield
        finally:
            with suppress(OSError):
                note.unlink(missing_ok=True)
            lock.release()
            lock.close()

    def _wait(self, attempt: Callable[[], object], deadline: float, say: Say) -> None:
        is_told = False
        while True:
            try:
                attempt()
            except Timeout:
                if time.monotonic() >= deadline:
                    raise HomeLockedError(
                        f"MAB_HOME {self._home} is in use by {self.holders()}; waited "
                        f"{self._timeout_seconds:g} s. Wait for that to end and run it again, or "
                        "raise HOME_LOCK_TIMEOUT_SECONDS."
                    ) from None
            else:
                return
            if not is_told:
                say(f"Waiting for {self.holders()}.")
                is_told = True
            time.sleep(POLL_SECONDS)

    def holders(self) -> str:
        """Return the processes that hold the home; remove the notes of dead ones."""
        found = []
        for path in sorted((self._home / "holders").glob("*.json")):
            try:
                note = json.loads(path.read_bytes())
                if psutil.Process(note["pid"]).create_time() == note["started"]:
                    found.append(f"process {note['pid']} ({note['doing']}) since {note['since']}")
                    continue
            except (OSError, ValueError, KeyError, TypeError, psutil.Error):
                pass
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return ", ".join(found) or "another process"

    def _leave_note(self, doing: str) -> Path:
        """Leave a note for waiting processes; if it cannot be written, they just know less."""
        path = self._home / "holders" / f"{os.getpid()}-{uuid.uuid4().hex}.json"
        note = {
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "doing": doing,
            "since": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        }
        with suppress(OSError):
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(note), "utf-8")
        return path
