"""`mab init`: the folders and tables of a new home."""

from mab_pipeline.cli.console import notes_console, say
from mab_pipeline.cli.options import prepared
from mab_store.settings import load_settings


def init() -> None:
    """Create the folders of MAB_HOME and the tables of the warehouse; safe to run again."""
    settings = load_settings()
    notes = notes_console()
    for line in prepared(settings, makes_inbox=True).warehouse.create_schema():
        say(notes, line)
    say(
        notes,
        f"MAB_HOME {settings.mab_home} is ready; files for day D go to "
        f"{settings.inbox_root}/metrics/D/.",
    )
