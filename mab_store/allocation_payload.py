"""The allocation body: served by the API and printed by `mab allocations --format json`.

The first keys are those of the source document, unchanged; ours follow.
"""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from functools import lru_cache
from itertools import groupby
from typing import Any

import pyarrow as pa

from mab_store.lateness import publication_deadline
from mab_store.settings import Settings

Body = dict[str, Any]


def allocation_bodies(rows: pa.Table, *, settings: Settings, now: datetime) -> Iterator[Body]:
    """Yield one body per experiment.

    Args:
        rows: Rows of `sql/serving/published_allocations.sql`, in its order.
        settings: For the publication deadline.
        now: The time, as naive UTC, at which staleness is judged.
    """
    for _, group in groupby(rows.to_pylist(), key=lambda row: row["experiment_id"]):
        yield _body(list(group), settings=settings, now=now)


def is_stale(effective_date: date, *, now: datetime, settings: Settings) -> bool:
    """Return whether the next allocation is overdue.

    See `stale_after`.
    """
    return now > stale_after(effective_date, settings=settings)


def stale_after(effective_date: date, *, settings: Settings) -> datetime:
    """Return the last moment (naive UTC) at which an allocation is not stale.

    The next allocation has its effective date as as-of date, and is late after its deadline.
    """
    return publication_deadline(effective_date, settings=settings)


@lru_cache(maxsize=4096)  # experiments of a publication share theirs
def timestamp(value: datetime) -> str:
    """Format naive UTC as RFC 3339 with a Z; microseconds only if there are any."""
    return value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")


def _body(rows: list[dict[str, Any]], *, settings: Settings, now: datetime) -> Body:
    first = rows[0]
    buckets = json.loads(first["buckets"])
    through = first["data_through"]
    is_frozen = first["status"] != "running"
    stale = is_stale(first["effective_date"], now=now, settings=settings)
    return {
        "experiment_id": first["experiment_id"],
        "experiment_name": first["experiment_name"],
        "computed_at": timestamp(first["computed_at"]),
        "algorithm": first["algorithm"],
        "window_days": max(row["window_days"] for row in rows),
        "allocations": [variant_body(row, buckets) for row in rows],
        "allocation_id": first["allocation_id"],
        "as_of_date": str(first["as_of_date"]),
        "effective_date": str(first["effective_date"]),
        "is_stale": stale and not is_frozen,  # no next one is due
        "is_frozen": is_frozen,
        "status": first["status"],
        "published_at": timestamp(first["published_at"]),
        "data_through": None if through is None else str(through),
        "held_back": (
            None
            if first["held_back_reason"] is None
            else {"reason": first["held_back_reason"], "detail": first["held_back_detail"]}
        ),
    }


def variant_body(row: dict[str, Any], buckets: dict[str, list[list[int]]]) -> Body:
    """Return the part of the body for one variant.

    Args:
        row: A row of the query.
        buckets: Inclusive ranges of buckets by variant, as published.
    """
    impressions, clicks = row["impressions"], row["clicks"]
    return {
        "variant_name": row["variant_name"],
        "is_control": row["is_control"],
        "allocation_percentage": row["allocation_hundredths"] / 100,
        "metrics": {
            "impressions": impressions,
            "clicks": clicks,
            "ctr": clicks / impressions if impressions else None,
        },
        "data_source": row["data_source"],
        "window_days": row["window_days"],
        "probability_best": row["probability_best"],
        "posterior": {"alpha": row["alpha"], "beta": row["beta"]},
        "buckets": buckets[row["variant_name"]],
    }
