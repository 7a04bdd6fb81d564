"""A clock that a test sets for real processes, by Debian's libfaketime.

What belongs here: the shift, and the environment that puts a process under it. What does not: what
runs under it.

The shift is ahead of the real time only: the kernel's own records (when a process began) are not
shifted, and what began after the present is taken for dead.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

FOLDERS = ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")


class ShiftedClock:
    """The time of every process that runs in its environment.

    Attributes:
        file: Where the shift is written; the processes read it whenever they look at the clock.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._library = _library()

    def set(self, moment: datetime) -> None:
        """Let it be a moment now [naive UTC]; from there on the time passes as ever."""
        shift = moment.replace(tzinfo=UTC) - datetime.now(UTC)
        assert shift.total_seconds() >= 0, "the shifted clock is never behind the real one"
        temporary = self.file.with_suffix(".tmp")
        temporary.write_text(f"+{shift.total_seconds():.3f}\n", "utf-8")
        temporary.replace(self.file)

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that put a process under this clock."""
        return {
            "LD_PRELOAD": str(self._library),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # how long something takes stays as it is
            "PYTHONPATH": str(Path(__file__).with_name("sleeping")),
            "TZ": "UTC",
        }


def _library() -> Path:
    """Find libfaketime for programs with threads."""
    named = os.environ.get("MAB_TEST_LIBFAKETIME")
    found = [Path(named)] if named else []
    for folder in FOLDERS:
        found += sorted(Path(folder).glob("**/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.exit("make e2e needs libfaketime; on Debian: apt-get install faketime", returncode=1)
    return found[0]
