"""`python -m mab_dashboard`: Streamlit with our options, on this machine only."""

import os
import sys
from pathlib import Path

from mab_store.errors import MabError
from mab_store.settings import Settings, load_settings

OPTIONS = {
    "browser.gatherUsageStats": "false",  # no request to another host
    "client.showErrorDetails": "none",  # a trace is for the log
    "client.toolbarMode": "minimal",
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
}
"""What `.streamlit/config.toml` has too, for `streamlit run`; a test compares them."""


def command(settings: Settings) -> list[str]:
    """Return the program that shows the dashboard, with its arguments."""
    options = OPTIONS | {
        "server.address": "127.0.0.1",
        "server.port": str(settings.mab_dashboard_port),
        "server.headless": "true",  # it opens no browser and asks for no e-mail address
        "server.fileWatcherType": "none",
    }
    script = str(Path(__file__).with_name("app.py"))
    arguments = [f"--{name}={value}" for name, value in options.items()]
    return [sys.executable, "-m", "streamlit", "run", script, *arguments]


def main() -> None:
    """Become the dashboard."""
    try:
        program = command(load_settings())
    except MabError as error:
        sys.exit(str(error))
    os.execv(program[0], program)  # noqa: S606  # our own interpreter, no shell


if __name__ == "__main__":
    main()
