"""`mab rebuild`: restore a lost warehouse."""

from mab_pipeline.cli.console import notes_console, say
from mab_pipeline.cli.options import AcceptLoss, prepared
from mab_store.settings import load_settings


def rebuild(*, accept_loss: AcceptLoss = False) -> None:
    """Restore a lost warehouse from inbox and journal; an existing one is set aside."""
    from mab_pipeline.recovery.rebuild import rebuild as rebuild_warehouse

    notes = notes_console()
    result = rebuild_warehouse(
        prepared(load_settings()), say=lambda text: say(notes, text), accept_loss=accept_loss
    )
    say(notes, str(result))
