"""The identity of one published version."""

from collections.abc import Hashable
from datetime import date
from typing import NamedTuple


class Version(NamedTuple):
    """One state of what is published.

    Attributes:
        name: Its name, by which it is opened.
        mark: Tells it from another state of the same name.
        day: Day whose statuses are shown; None where a day alone changes nothing.
        accepts_loss: Whether a person said that it may lack what the one before it had.
    """

    name: str
    mark: Hashable = None
    day: date | None = None
    accepts_loss: bool = False
