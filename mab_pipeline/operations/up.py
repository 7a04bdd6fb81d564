"""`make up`: everything that a person at a desk needs, with one command.

`make ui-read-only` starts the Dagster UI alone, for people who shall look but start nothing.

What belongs here: making MAB_HOME, finding out whether the ports are free, saying where things
are. What does not: minding processes; honcho does that, from the Procfile.
"""

import os
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from mab_pipeline.console import complain, notes_console, say
from mab_pipeline.operations.run import dagster_instance, prepare_home
from mab_store.errors import MabError, UsageError
from mab_store.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]


def addresses(settings: Settings) -> dict[str, tuple[str, str, int]]:
    """Return of each service the setting of its port, its host and its port."""
    return {
        "Dagster": ("MAB_DAGSTER_PORT", "127.0.0.1", settings.mab_dagster_port),
        "API": ("API_PORT", settings.api_host, settings.api_port),
    }


def check_ports(settings: Settings, services: Iterable[str]) -> None:
    """Make sure that the ports of some services are free.

    Raises:
        UsageError: One is in use; the message names it and the setting that moves it.
    """
    for service in services:
        setting, host, port = addresses(settings)[service]
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise UsageError(
                    f"{service} cannot listen on {host}:{port} ({error.strerror}). Stop what "
                    f"listens there, or set {setting} to another port."
                ) from None


def environment(settings: Settings) -> dict[str, str]:
    """Return the environment of the services: ours, with this interpreter's programs first."""
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", "")]),
        "MAB_HOME": str(settings.mab_home),
        "MAB_DAGSTER_PORT": str(settings.mab_dagster_port),
    }


def main() -> int:
    """Start everything; Ctrl-C stops all of it."""
    notes = notes_console()
    is_read_only = "--read-only" in sys.argv[1:]
    try:
        settings = load_settings()
        prepare_home(settings)
        check_ports(settings, ["Dagster"] if is_read_only else list(addresses(settings)))
        with dagster_instance():
            pass  # its tables are made before several services want them at once
    except MabError as error:
        complain(error)
        return error.exit_code
    programs = Path(sys.executable).parent
    if is_read_only:
        command = [
            str(programs / "dagster-webserver"),
            "--read-only",
            "-w",
            str(ROOT / "workspace.yaml"),
        ]
        command += ["-h", "127.0.0.1", "-p", str(settings.mab_dagster_port)]
    else:
        command = [str(programs / "honcho"), "-d", str(ROOT), "-f", str(ROOT / "Procfile")]
        # The services read .env themselves; honcho would let it win over the environment.
        command += ["-e", os.devnull, "start"]
    for service, (_, host, port) in addresses(settings).items():
        if service == "Dagster" or not is_read_only:
            say(notes, f"{service:<8} http://{host}:{port}")
    say(notes, f"MAB_HOME {settings.mab_home}; Ctrl-C stops everything.")
    say(notes)
    os.execve(command[0], command, environment(settings))  # noqa: S606  # no shell is wanted
    return 1  # not reached: the process is another program now


if __name__ == "__main__":
    sys.exit(main())
