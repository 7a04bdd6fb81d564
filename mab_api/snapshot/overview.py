"""The overview: the summary of each experiment in a list, read with the snapshot.

Everything was computed before it was published; here it is only put together.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

import duckdb
import orjson

from mab_store.allocation_payload import stale_after, timestamp
from mab_store.messages import messages_of
from mab_store.settings import Settings
from mab_store.warehouse.reader import Reader

Body = dict[str, Any]
LIFT = ("probability_beats_control", "lift", "lift_interval")


class Facts(NamedTuple):
    """The published summary of all experiments, by experiment id.

    Attributes:
        analyses: The newest analysis, as JSON.
        observed: Days with accepted counts, and their impressions.
        previous: The shares published before the newest, in hundredths by variant.
    """

    analyses: Mapping[str, str]
    observed: Mapping[str, tuple[int, int]]
    previous: Mapping[str, Mapping[str, int]]


def read_facts(reader: Reader) -> Facts:
    """Read the facts of all experiments."""
    analyses = _analyses(reader)
    observed = reader.fetch_arrow("serving/observed").to_pydict()
    shares = reader.fetch_arrow("serving/previous_shares").to_pydict()
    previous: dict[str, dict[str, int]] = defaultdict(dict)
    for experiment_id, variant, share in zip(
        shares["experiment_id"],
        shares["variant_name"],
        shares["allocation_hundredths"],
        strict=True,
    ):
        previous[experiment_id][variant] = share
    counts = zip(observed["day_count"], observed["impressions"], strict=True)
    return Facts(
        dict(zip(analyses["experiment_id"], analyses["analysis"], strict=True)),
        dict(zip(observed["experiment_id"], counts, strict=True)),
        previous,
    )


def overview_of(body: Body, facts: Facts, *, settings: Settings) -> Body:
    """Return the overview of an experiment with a published allocation.

    Args:
        body: Its allocation body.
        facts: The facts of all experiments.
        settings: For the publication deadline.
    """
    key = body["experiment_id"]
    analysis = orjson.loads(facts.analyses[key]) if key in facts.analyses else None
    days, impressions = facts.observed.get(key, (0, 0))
    before = facts.previous.get(key, {})
    held, advice = body["held_back"], None if analysis is None else analysis["advice"]
    return {
        "advice": advice and advice | {"messages": messages_of(advice["reason"])},
        "leader": None if analysis is None else _leader(analysis),
        "as_of_date": body["as_of_date"],
        "effective_date": body["effective_date"],
        "published_at": body["published_at"],
        "data_through": body["data_through"],
        "fresh_until": _fresh_until(body, settings),
        "held_back": held and held | {"messages": messages_of(held["detail"])},
        "days": days,
        "impressions": impressions,
        "rejected_rows": None if analysis is None else analysis.get("rejected_rows"),
        "shares": [
            {
                "variant_name": variant["variant_name"],
                "is_control": variant["is_control"],
                "allocation_percentage": variant["allocation_percentage"],
                "previous_percentage": (
                    before[variant["variant_name"]] / 100
                    if variant["variant_name"] in before
                    else None
                ),
                "data_source": variant["data_source"],
            }
            for variant in body["allocations"]
        ],
    }


def _analyses(reader: Reader) -> dict[str, list[str]]:
    try:
        found: dict[str, list[str]] = reader.fetch_arrow("serving/newest_analyses").to_pydict()
    except duckdb.CatalogException:  # a copy that was published before there were analyses
        return {"experiment_id": [], "analysis": []}
    return found


def _leader(analysis: Body) -> Body:
    """Return the variant with the highest probability to be the best."""
    first = max(analysis["variants"], key=lambda variant: variant["probability_best"])
    names = ("variant_name", "probability_best", "expected_loss", *LIFT)
    return {name: first[name] for name in names}


def _fresh_until(body: Body, settings: Settings) -> str | None:
    if body["is_frozen"]:
        return None
    effective = date.fromisoformat(body["effective_date"])
    return timestamp(stale_after(effective, settings=settings))
