"""Published allocations, as the API would answer with them."""

from datetime import UTC, date, datetime
from typing import Any

from mab_store.allocation_payload import allocation_bodies
from mab_store.errors import NotPublishedError
from mab_store.settings import Settings
from mab_store.warehouse.reader import open_reader


def published_bodies(settings: Settings, as_of_date: date | None) -> list[dict[str, Any]]:
    """Return the newest published allocation of each experiment, or those of an as-of date.

    Raises:
        NotPublishedError: Nothing is published, or nothing for that date.
    """
    now = datetime.now(UTC).replace(tzinfo=None)
    parameters = {"today": now.date(), "as_of_date": as_of_date}
    with open_reader(settings) as copy:
        rows = copy.fetch_arrow("serving/published_allocations", parameters)
    if as_of_date is not None and len(rows) == 0:
        raise NotPublishedError(f"Nothing is published for {as_of_date}. Run that day first.")
    return list(allocation_bodies(rows, settings=settings, now=now))
