"""PYTHONPATH of the programs that tests start."""

import os
from pathlib import Path


def python_path(*folders: Path) -> str:
    """Return these folders, before those that this process was given.

    `make test-midnight` gives one: without it sleep fails under libfaketime, and a program that
    sleeps waits for ever.
    """
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([*map(str, folders), *filter(None, given)])


def clock_shim() -> dict[str, str]:
    """Return the variable for a program that may import nothing else of the checkout."""
    given = [path for path in python_path().split(os.pathsep) if Path(path).name == "sleeping"]
    return {"PYTHONPATH": given[0]} if given else {}
