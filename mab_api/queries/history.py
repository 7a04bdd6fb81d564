"""History: pages of accepted counts and of publications, queried in a worker thread.

A page is built once per publication. At most two queries run at a time, so they never take the
threads or the core that allocation answers need.
"""

import json
from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Any, NamedTuple

from mab_api.snapshot.allocation_list import EPOCH
from mab_api.snapshot.encoded import Answer, encode
from mab_api.snapshot.experiment_index import ExperimentRecord
from mab_store.allocation_payload import timestamp, variant_body
from mab_store.warehouse.reader import Reader

HISTORY_CURSOR = r"^[1-9][0-9]{0,5}-([0-9a-f]{2}){1,800}$"
PUBLICATION_CURSOR = r"^[1-9][0-9]{0,5}-[0-9]{1,16}$"
MAX_VARIANT_ROWS = 5_000


class PageRequest(NamedTuple):
    """The page that a client asks for.

    Attributes:
        first: First day; None from the beginning.
        last: Last day; None to the end.
        limit: Most rows, or publications, on it.
        cursor: End of the previous page; None for the first.
    """

    first: date | None
    last: date | None
    limit: int
    cursor: str | None


def metrics_page(copy: Reader, record: ExperimentRecord, wanted: PageRequest) -> Answer:
    """Build a page of `/history`.

    Args:
        copy: The published data.
        record: The experiment.
        wanted: Which page; `limit` counts rows.
    """
    ordinal, _, name = (wanted.cursor or "").partition("-")
    parameters = parameters_of(record, wanted) | {
        "after_date": date.fromordinal(int(ordinal)) if ordinal else None,
        "after_variant": bytes.fromhex(name).decode("utf-8", "replace") if ordinal else None,
    }
    rows = copy.fetch_arrow("serving/history", parameters).to_pylist()
    page, has_more = rows[: wanted.limit], len(rows) > wanted.limit
    cursor = None
    if has_more:
        last = page[-1]
        cursor = f"{last['metric_date'].toordinal()}-{last['variant_name'].encode().hex()}"
    return page_of(record, "history", [_day(row) for row in page], cursor)


def publications_page(copy: Reader, record: ExperimentRecord, wanted: PageRequest) -> Answer:
    """Build a page of `/experiments/{id}/allocations`.

    Args:
        copy: The published data.
        record: The experiment.
        wanted: Which page; `limit` counts publications. If an experiment has many variants, a page
            holds fewer, to stay below about 5,000 variant rows.
    """
    wanted = narrowed(record, wanted)
    ordinal, _, microseconds = (wanted.cursor or "").partition("-")
    parameters = parameters_of(record, wanted) | {
        "after_date": date.fromordinal(int(ordinal)) if ordinal else None,
        "after_moment": EPOCH + timedelta(microseconds=int(microseconds)) if ordinal else None,
    }
    rows = copy.fetch_arrow("serving/publication_history", parameters).to_pylist()
    grouped = groupby(rows, key=lambda row: (row["as_of_date"], row["published_at"]))
    found = [(key, list(group)) for key, group in grouped]
    page = found[: wanted.limit]
    cursor = None
    if len(found) > wanted.limit:
        day, moment = page[-1][0]
        cursor = f"{day.toordinal()}-{(moment - EPOCH) // timedelta(microseconds=1)}"
    return page_of(record, "publications", [_publication(group) for _, group in page], cursor)


def narrowed(record: ExperimentRecord, wanted: PageRequest) -> PageRequest:
    """Return the request of a page that holds at most about `MAX_VARIANT_ROWS` rows of variants."""
    most = MAX_VARIANT_ROWS // max(1, len(record["variants"]))
    return wanted._replace(limit=max(1, min(wanted.limit, most)))


def parameters_of(record: ExperimentRecord, wanted: PageRequest) -> dict[str, object]:
    """Return the parameters that the queries of all pages have."""
    return {
        "experiment_id": record["experiment_id"],
        "from_date": wanted.first,
        "to_date": wanted.last,
        "limit": wanted.limit + 1,  # one more shows whether another page follows
    }


def page_of(
    record: ExperimentRecord, name: str, items: Sequence[dict[str, Any]], cursor: str | None
) -> Answer:
    """Encode a page.

    Args:
        record: The experiment.
        name: Key of the items.
        items: The items.
        cursor: Where the next page begins; None after the last.
    """
    return encode(
        {
            "experiment_id": record["experiment_id"],
            "experiment_name": record["name"],
            name: items,
            "next_cursor": cursor,
        }
    )


def _day(row: dict[str, Any]) -> dict[str, Any]:
    impressions, clicks = row["impressions"], row["clicks"]
    return {
        "date": str(row["metric_date"]),
        "variant_name": row["variant_name"],
        "impressions": impressions,
        "clicks": clicks,
        "ctr": clicks / impressions if impressions else None,
        "received_at": timestamp(row["received_at"]),
    }


def _publication(rows: list[dict[str, Any]]) -> dict[str, Any]:
    first = rows[0]
    buckets = json.loads(first["buckets"])
    return {
        "as_of_date": str(first["as_of_date"]),
        "effective_date": str(first["effective_date"]),
        "published_at": timestamp(first["published_at"]),
        "was_live": first["was_live"],
        "allocation_id": first["allocation_id"],
        "computed_at": timestamp(first["computed_at"]),
        "algorithm": first["algorithm"],
        "window_days": max(row["window_days"] for row in rows),
        "data_through": None if first["data_through"] is None else str(first["data_through"]),
        "allocations": [variant_body(row, buckets) for row in rows],
    }
