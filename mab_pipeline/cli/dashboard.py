"""`mab dashboard`: the analyst's dashboard."""

import os
import sys

from mab_pipeline.cli.console import notes_console, say
from mab_store.settings import load_settings


def dashboard() -> None:
    """Show the dashboard on MAB_DASHBOARD_PORT until it is interrupted."""
    from mab_pipeline.operations.up import check_dashboard, check_ports

    settings = load_settings()
    check_dashboard()
    check_ports(settings, ["Dashboard"])
    say(notes_console(), f"Dashboard http://127.0.0.1:{settings.mab_dashboard_port}")
    os.execv(sys.executable, [sys.executable, "-m", "mab_dashboard"])  # noqa: S606  # no shell
