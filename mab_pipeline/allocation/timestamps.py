"""Stamps: the time that rows are marked with, which decides what is newer than what.

What belongs here: making sure that it never runs backwards. What does not: which day it is
(`Platform.clock` tells that, right or wrong).
"""

from datetime import datetime, timedelta

from mab_pipeline.resources import Platform
from mab_store.warehouse.warehouse import Transaction


def next_stamp(platform: Platform, transaction: Transaction) -> datetime:
    """Return the time by the clock, or just after the newest stamp where the clock is behind it.

    A clock that ran ahead and was set back would else make what is published or received now older
    than what it shall replace.
    """
    now = platform.clock()
    (row,) = transaction.fetch_arrow("ledger/newest_stamp").to_pylist()
    newest: datetime | None = row["newest_stamp"]
    return now if newest is None or newest < now else newest + timedelta(microseconds=1)
