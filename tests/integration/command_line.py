"""`mab` as a user runs it, for tests."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mab_store.settings import Settings


@dataclass(frozen=True, slots=True)
class CommandLine:
    """`mab` as a user runs it: a process of its own with no setting but those given."""

    home: Path
    settings: dict[str, str]

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        ours = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME"}
        environment = {name: value for name, value in os.environ.items() if name not in ours}
        folder = next(parent for parent in self.home.parents if parent.is_dir())
        return subprocess.Popen(
            [Path(sys.executable).with_name("mab"), *arguments],
            env=environment | {"MAB_HOME": str(self.home), **self.settings},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=600)
        return process.returncode, out, err
