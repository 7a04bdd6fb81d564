"""What a newer publication lost of an older one: nothing, unless something went wrong.

What belongs here: the comparison, and its sentence. What does not: what follows from a loss; the
pipeline publishes no such copy, and the API goes on serving the older one.

Publications are append-only, and `mab prune` drops none that were served. So every experiment that
was served is served for ever (a finished one with its last allocation), and its history only grows.
Whatever contradicts that comes from an empty or older warehouse, or from an inbox that lost files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from mab_store.warehouse.reader import Reader
from mab_store.warehouse.warehouse import Transaction

NAMED = 5
"""Experiments that the sentence names."""


class Published(NamedTuple):
    """How far the published history of one experiment reaches.

    Attributes:
        newest_day: Its newest as-of day.
        day_count: How many as-of days were published, counted once each.
    """

    newest_day: date
    day_count: int


@dataclass(frozen=True, slots=True)
class Loss:
    """What is lost; it is false if nothing is.

    Attributes:
        experiments: Ids of experiments that were published and are not any more.
        shortened: Ids of experiments whose history ends earlier, or lacks days that it had.
    """

    experiments: tuple[str, ...] = ()
    shortened: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.experiments or self.shortened)

    def __str__(self) -> str:
        parts = [
            f"{what}: {len(ids)} ({_named(ids)})"
            for ids, what in (
                (self.experiments, "published experiments gone"),
                (self.shortened, "published history shorter"),
            )
            if ids
        ]
        return "; ".join(parts) or "nothing is lost"


def publication_loss(old: Mapping[str, Published], new: Mapping[str, Published]) -> Loss:
    """Compare two states of what is published.

    Args:
        old: What was served until now, by experiment id.
        new: What would be served next, by experiment id.
    """
    return Loss(
        experiments=tuple(name for name in old if name not in new),
        shortened=tuple(
            name for name, was in old.items() if name in new and _is_shorter(new[name], was)
        ),
    )


def published_days(reader: Reader | Transaction) -> dict[str, Published]:
    """Read how far the published history of each experiment reaches, by experiment id."""
    rows = reader.fetch_arrow("serving/published_days").to_pydict()
    return {
        name: Published(newest_day, day_count)
        for name, newest_day, day_count in zip(
            rows["experiment_id"], rows["newest_day"], rows["day_count"], strict=True
        )
    }


def _is_shorter(new: Published, old: Published) -> bool:
    return new.newest_day < old.newest_day or new.day_count < old.day_count


def _named(ids: Iterable[str]) -> str:
    first, *rest = ids
    shown = [first, *rest[: NAMED - 1]]
    more = len(rest) + 1 - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
