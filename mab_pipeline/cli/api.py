"""`mab api`: serve the HTTP API."""

import os
import sys
from typing import Annotated

import typer


def api(
    dev: Annotated[
        bool, typer.Option("--dev", help="Take POSTs without a key; on 127.0.0.1 only.")
    ] = False,
) -> None:
    """Serve published allocations on API_HOST:API_PORT until it is interrupted."""
    arguments = [sys.executable, "-m", "mab_api", *(["--dev"] if dev else [])]
    os.execv(sys.executable, arguments)  # noqa: S606  # our own interpreter, no shell
