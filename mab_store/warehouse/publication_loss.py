"""Compare two published states and report any loss.

The pipeline does not publish a copy with a loss, and the API keeps serving the older one.

Publications are append-only, and `mab prune` drops none that were served. So an experiment that was
served once is always served (a finished one with its last allocation), and its history only grows.
A loss means an empty or older warehouse, or an inbox that lost files.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from mab_store.warehouse.reader import Reader
from mab_store.warehouse.warehouse import Transaction

NAMED = 5
"""How many experiments the message names."""


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
    """A loss; it is false if nothing is lost.

    Attributes:
        experiments: Ids of experiments that are no longer published.
        shortened: Ids of experiments whose history ends earlier, or lacks earlier days.
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
    """Compare two published states.

    Args:
        old: The state served until now, by experiment id.
        new: The state to serve next, by experiment id.
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
