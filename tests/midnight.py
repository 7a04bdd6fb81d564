"""`make test-midnight`: run tests under a clock that is a few seconds before midnight UTC.

    python -m tests.midnight [--before SECONDS] [PYTEST ARGUMENT ...]

Every process that the tests start has the same clock. Without arguments those modules run one by
one that start programs or read the real clock, each with a midnight of its own; the others set
their clock themselves. Needs libfaketime (Debian: faketime).
"""

import argparse
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

from tests.e2e.shifted_clock import ShiftedClock

ROOT = Path(__file__).parents[1]
REAL_CLOCK = ("subprocess", "utc_now", "datetime.now", "mab(", "serving(", "start(")
FOLDERS = ("tests/unit", "tests/integration", "tests/abuse")


def main() -> int:
    """Return the number of modules that failed, or pytest's own code of the one run."""
    parser = argparse.ArgumentParser(prog="python -m tests.midnight")
    parser.add_argument("--before", type=float, default=10.0, help="seconds before midnight")
    chosen, arguments = parser.parse_known_args()
    if arguments:
        return _run(arguments, before=chosen.before)
    failed = [path for path in _modules() if _run([str(path)], before=chosen.before)]
    print(f"midnight: {len(failed)} modules failed", *failed, sep="\n  ")  # noqa: T201  # a command
    return len(failed)


def _modules() -> list[Path]:
    """Return the modules that the real clock can reach."""
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("test_*.py"))]
    return [
        path.relative_to(ROOT)
        for path in paths
        if any(word in path.read_text("utf-8") for word in REAL_CLOCK)
    ]


def _run(arguments: list[str], *, before: float) -> int:
    """Run pytest with a clock that passes midnight so many seconds after its start."""
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    with tempfile.TemporaryDirectory() as folder:
        clock = ShiftedClock(Path(folder) / "shift")
        clock.set(datetime.combine(tomorrow, time()) - timedelta(seconds=before))
        command = [sys.executable, "-m", "pytest", "-q", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=os.environ | clock.environment, check=False
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
