"""Published allocations, as the API would answer with them."""

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

from mab_pipeline.resources import open_inbox
from mab_store.allocation_payload import allocation_bodies
from mab_store.clock import utc_now
from mab_store.errors import NotPublishedError
from mab_store.how_many import how_many
from mab_store.settings import Settings
from mab_store.warehouse.reader import open_reader


def published_bodies(
    settings: Settings, as_of_date: date | None, *, only: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return the newest published allocation of each experiment, or those of an as-of date.

    Args:
        settings: The settings.
        as_of_date: The day; the newest of each experiment if None.
        only: Ids or names of the experiments; all if empty.

    Raises:
        NotPublishedError: Nothing is published, nothing for that date, or not one of `only`.
    """
    now = utc_now()
    parameters = {"today": now.date(), "as_of_date": as_of_date}
    try:
        with open_reader(settings) as copy:
            rows = copy.fetch_arrow("serving/published_allocations", parameters)
    except NotPublishedError:
        rows = None
    if not rows:
        raise NotPublishedError(_why_nothing(settings, as_of_date, is_empty=rows is not None))
    bodies = list(allocation_bodies(rows, settings=settings, now=now))
    return _chosen(bodies, only) if only else bodies


def _chosen(bodies: Iterable[dict[str, Any]], only: Collection[str]) -> list[dict[str, Any]]:
    chosen, found = [], set()
    for body in bodies:
        if named := {body["experiment_id"], body["experiment_name"]}.intersection(only):
            chosen.append(body)
            found |= named
    for name in only:
        if name not in found:
            raise NotPublishedError(
                f"Nothing is published of an experiment {name!r}. `mab experiments list` shows the "
                "registered ones; a new one has an allocation after the next `mab run`."
            )
    return chosen


def _why_nothing(settings: Settings, as_of_date: date | None, *, is_empty: bool) -> str:
    """Say why there is nothing to show, from what the inbox holds, and what to do next."""
    inbox = open_inbox(settings)
    days, experiments = inbox.metric_days(), inbox.experiment_ids()
    run = f"mab run --date {days[-1]}" if days else "mab run"
    metrics = f"metrics of {how_many(len(days), 'day')}"
    if not experiments:
        files = f"{metrics}, but no experiment" if days else "no experiment"
        return (
            f"Nothing is published: {inbox.root} holds {files}. Register one with `mab import "
            f"FILE` or `mab experiments create`, then `{run}`; or try `mab demo`."
        )
    if as_of_date is not None:
        return (
            f"Nothing is published for {as_of_date}. Run it with `mab run --date {as_of_date}`, or "
            "see the newest with `mab allocations`."
        )
    held = f"{how_many(len(experiments), 'experiment')} and {metrics}"
    if is_empty:
        return (
            f"Nothing is published: {inbox.root} holds {held}, but no experiment had an allocation "
            f"when days were run. See `mab experiments list` for their state and start, then "
            f"`{run}`."
        )
    return f"Nothing is published: {inbox.root} holds {held}, but no day was run yet. Try `{run}`."
