"""The services of a desk: Dagster, its daemon, the API and the dashboard, or the Dagster UI alone.

honcho minds the processes, from the Procfile.
"""

import os
import socket
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from mab_pipeline.operations.dagster_home import dagster_instance, prepare_home
from mab_store.errors import UsageError
from mab_store.settings import Settings

PACKAGE = Path(__file__).resolve().parents[1]
DASHBOARD = "Dashboard"
OF_THE_DASHBOARD = ("altair", "httpx", "streamlit")


@dataclass(frozen=True, slots=True)
class Services:
    """Services that are ready to start.

    Attributes:
        addresses: Host and port of each, by its name.
        command: The program that runs them, with its arguments.
        environment: The environment of that program.
    """

    addresses: dict[str, str]
    command: list[str]
    environment: dict[str, str]


def addresses(settings: Settings) -> dict[str, tuple[str, str, int]]:
    """Return the setting of the port, the host and the port of each service."""
    return {
        "Dagster": ("MAB_DAGSTER_PORT", "127.0.0.1", settings.mab_dagster_port),
        "API": ("API_PORT", settings.api_host, settings.api_port),
        DASHBOARD: ("MAB_DASHBOARD_PORT", "127.0.0.1", settings.mab_dashboard_port),
    }


def check_ports(settings: Settings, services: Iterable[str]) -> None:
    """Check that the ports of some services are free.

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


def has_dashboard() -> bool:
    """Return whether the extra `dashboard` is installed."""
    return all(map(find_spec, OF_THE_DASHBOARD))


def check_dashboard() -> None:
    """Check that the extra `dashboard` is installed.

    Raises:
        UsageError: It is not.
    """
    if not has_dashboard():
        raise UsageError(
            "The dashboard needs Streamlit, which is not installed: pip install 'mab[dashboard]'."
        )


def environment(settings: Settings) -> dict[str, str]:
    """Return our environment, with this interpreter's programs first on the PATH."""
    programs = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([programs, os.environ.get("PATH", "")]),
        "MAB_HOME": str(settings.mab_home),
        "MAB_DAGSTER_PORT": str(settings.mab_dagster_port),
        "MAB_WORKSPACE": str(service_file("workspace.yaml")),
    }


def service_file(name: str) -> Path:
    """Return `Procfile` or `workspace.yaml`: the wheel has it in the package, a checkout above it.

    Raises:
        UsageError: Neither has it.
    """
    for folder in (PACKAGE, PACKAGE.parent):
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{PACKAGE} has no {name}: the installation is damaged. Install mab again.")


def prepare_services(settings: Settings, *, read_only: bool) -> Services:
    """Prepare the home, make sure that the ports are free, and return what to start.

    Args:
        settings: The settings.
        read_only: Whether to start the Dagster UI alone, for users who start nothing.

    Raises:
        HomeError: MAB_HOME cannot be written.
        UsageError: A port is in use, or the installation is damaged.
    """
    procfile, workspace = service_file("Procfile"), service_file("workspace.yaml")
    names = ["Dagster"] if read_only else list(addresses(settings))
    programs_of = ["dagster", "daemon", "api"]
    if has_dashboard():
        programs_of.append("dashboard")
    elif not read_only:
        names.remove(DASHBOARD)
    prepare_home(settings)
    check_ports(settings, names)
    with dagster_instance():
        pass  # creates its tables before several services need them at once
    programs = Path(sys.executable).parent
    if read_only:
        command = [str(programs / "dagster-webserver"), "--read-only", "-w", str(workspace)]
        command += ["-h", "127.0.0.1", "-p", str(settings.mab_dagster_port)]
    else:
        # They stay in this folder, so that all read the same .env as this command.
        command = [str(programs / "honcho"), "-d", str(Path.cwd()), "-f", str(procfile)]
        # The services read .env themselves; honcho would let it win over the environment.
        command += ["-e", os.devnull, "start", *programs_of]
    shown = {
        name: f"{host}:{port}"
        for name, (_, host, port) in addresses(settings).items()
        if name in names
    }
    return Services(shown, command, environment(settings))
