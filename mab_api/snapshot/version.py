"""The identity of one published version."""

from collections.abc import Hashable
from datetime import date
from typing import NamedTuple


class Version(NamedTuple):
    """One state of the published data.

    Attributes:
        name: Its name, by which it is opened.
        mark: Distinguishes it from another state of the same name.
        day: Day whose statuses are shown; None if a day alone changes nothing.
        accepts_loss: Whether a person accepted that it lacks earlier data.
    """

    name: str
    mark: Hashable = None
    day: date | None = None
    accepts_loss: bool = False
