"""`mab up`: Dagster, its daemon, the API and the dashboard with one command."""

import os
from typing import Annotated

import typer

from mab_pipeline.cli.console import notes_console, say
from mab_store.settings import load_settings


def up(
    read_only: Annotated[
        bool, typer.Option("--read-only", help="The Dagster UI alone, for looking only.")
    ] = False,
) -> None:
    """Run Dagster, its daemon, the API and the dashboard on this machine until Ctrl-C."""
    from mab_pipeline.operations.up import prepare_services

    settings = load_settings()
    services = prepare_services(settings, read_only=read_only)
    notes = notes_console()
    for name, address in services.addresses.items():
        say(notes, f"{name:<9} http://{address}")
    say(notes, f"MAB_HOME {settings.mab_home}; Ctrl-C stops everything.")
    say(notes)
    command = services.command
    os.execve(command[0], command, services.environment)  # noqa: S606  # no shell is wanted
