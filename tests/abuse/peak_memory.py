"""Peak memory of reading each bomb, in a process that does nothing else.

    python -m tests.abuse.peak_memory

prints one JSON object: per bomb its size, why it was refused (null: it was not), and by how much
the memory of a process of its own grew [MB].
"""

import json
import os
import resource
import signal
import sys
import tempfile
from collections.abc import Callable
from datetime import date
from pathlib import Path

from mab_store.errors import UnreadableFileError
from mab_store.files.parsers import read_metrics
from tests.abuse.bombs import BOMBS, LIMITS

DAY = date(2025, 3, 19)
SECONDS = 120


def grown_by(work: Callable[[], object]) -> tuple[object, float]:
    """Do some work in a child process; return its result and how far memory grew [MB].

    The parent does no work itself: a fork keeps none of the threads that Arrow has started.
    """
    reader, writer = os.pipe()
    if os.fork() == 0:
        signal.alarm(SECONDS)  # ends the child, and the parent sees no answer
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = work()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        os.write(writer, json.dumps([result, (after - before) / 1024]).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as answer:
        text = answer.read()
    os.wait()
    result, grown = json.loads(text or '["no answer", 0]')
    return result, grown


def write_all(folder: Path) -> None:
    """Make the bombs."""
    for name, (make, _) in BOMBS.items():
        (folder / name).write_bytes(make())


def reason(path: Path) -> str | None:
    """Return why a file is refused."""
    try:
        read_metrics(path.name, path.read_bytes(), metric_date=DAY, limits=LIMITS)
    except UnreadableFileError as error:
        return str(error)
    return None


def main() -> None:
    """Measure every bomb."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        grown_by(lambda: write_all(folder))
        found = {
            path.name: [path.stat().st_size, *grown_by(lambda path=path: reason(path))]
            for path in sorted(folder.iterdir())
        }
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
