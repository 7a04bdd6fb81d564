"""Current rows: kept with each publication, so that nothing sorts all of history (ADR 0031)."""

from datetime import datetime

from mab_store.warehouse.warehouse import Transaction


def keep_current(
    transaction: Transaction, stamp: datetime, *, has_written: bool, accept_loss: bool
) -> None:
    """Bring the tables `current_*` up to what a run published, held back and analysed.

    Args:
        transaction: That of the publication, with the run's rows in its tables.
        stamp: The time of those rows.
        has_written: Whether there are any.
        accept_loss: Whether history may be shorter than before: then all of it is looked through.
    """
    if accept_loss:
        transaction.execute("assets/publication_forget_current")
        transaction.execute("schema/02_fill_current")
    elif has_written:
        transaction.execute("assets/publication_current", {"stamp": stamp})
