"""Stamps: the time that rows are marked with; it orders them, so it never runs backwards."""

from datetime import datetime, timedelta

from mab_pipeline.resources import Platform
from mab_store.warehouse.warehouse import Transaction


def next_stamp(platform: Platform, transaction: Transaction) -> datetime:
    """Return the time by the clock, or just after the newest stamp if the clock is behind it.

    Otherwise, after a clock that ran ahead is set back, new publications and files would be older
    than those that they replace.
    """
    now = platform.clock()
    (row,) = transaction.fetch_arrow("ledger/newest_stamp").to_pylist()
    newest: datetime | None = row["newest_stamp"]
    return now if newest is None or newest < now else newest + timedelta(microseconds=1)
