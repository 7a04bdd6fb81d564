"""The explanation of a decision as data: one builder for `mab explain` and the API.

Nothing is computed: numbers are read from the published data, and sentences say which of them
decided.
"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Any

import duckdb

from mab_store.allocation_payload import timestamp
from mab_store.errors import NotPublishedError
from mab_store.how_many import how_many
from mab_store.messages import messages_of
from mab_store.plain_text import plain
from mab_store.warehouse.reader import Reader

MOST_NAMED = 4
"""Variants that the sentence of the shares names."""

Row = dict[str, Any]
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Decision:
    """A recorded decision that is to be explained.

    Attributes:
        experiment_id: The experiment.
        experiment_name: Its name.
        rows: Its rows of `allocations`, one per variant, by variant name.
        version_ids: Ids of all versions of the day's decision, the one published last first.
        published_at: When it was published, as RFC 3339; None if it was not.
    """

    experiment_id: str
    experiment_name: str
    rows: Mapping[str, Row]
    version_ids: tuple[str, ...]
    published_at: str | None = None

    @property
    def head(self) -> Row:
        """Return any one row, for the columns that all share."""
        return next(iter(self.rows.values()))

    @property
    def settings(self) -> Mapping[str, Any]:
        """Return the settings that it recorded; options that it lacks are the brief's."""
        settings: Mapping[str, Any] = json.loads(self.head["settings"])
        return settings


def published_decision(
    reader: Reader, experiment_id: str, experiment_name: str, as_of_date: date | None
) -> Decision | None:
    """Return the decision that was published last for a day, otherwise the one computed last.

    Args:
        reader: The published data.
        experiment_id: The experiment.
        experiment_name: Its name.
        as_of_date: The day; the newest published one if None.

    Raises:
        NotPublishedError: The data were published by an older version of mab.
    """
    parameters = {"experiment_id": experiment_id, "as_of_date": as_of_date}
    versions: dict[str, dict[str, Row]] = {}
    for row in _fetch(reader, "serving/explained_allocations", parameters):
        versions.setdefault(row["allocation_id"], {})[row["variant_name"]] = row
    if not versions:
        return None
    rows = next(iter(versions.values()))
    published_at = next(iter(rows.values()))["published_at"]
    return Decision(
        experiment_id,
        experiment_name,
        rows,
        tuple(versions),
        None if published_at is None else timestamp(published_at),
    )


def explanation(reader: Reader, decision: Decision) -> Body:
    """Build the explanation of a decision.

    Args:
        reader: The published data.
        decision: The decision.

    Returns:
        The body of `GET /experiments/{id}/explanation`.

    Raises:
        NotPublishedError: The data were published by an older version of mab.
    """
    head, settings = decision.head, decision.settings
    day: date = head["as_of_date"]
    key = {"experiment_id": decision.experiment_id}
    on_day = key | {"as_of_date": day}
    window = key | {
        "start_date": day - timedelta(days=settings["max_window_days"] - 1),
        "end_date": day + timedelta(days=1),
    }
    effective = key | {"effective_date": head["effective_date"]}
    rows = _fetch(reader, "serving/windowed_aggregates", on_day)
    sums = {row["variant_name"]: row for row in rows}
    verdicts = _fetch(reader, "serving/window_verdicts", window)
    changes = _fetch(reader, "serving/experiment_changes", effective)
    return {
        **key,
        "experiment_name": decision.experiment_name,
        "as_of_date": str(day),
        "effective_date": str(head["effective_date"]),
        "allocation_id": head["allocation_id"],
        "computed_at": timestamp(head["computed_at"]),
        "published_at": decision.published_at,
        "versions": list(decision.version_ids),
        "reason": reason_in_one_line(decision),
        "algorithm": head["algorithm"],
        "samples": head["samples"],
        "seed": str(head["seed"]),
        "settings": dict(settings),
        "variants": [
            _variant(row, settings, sums.get(name)) for name, row in decision.rows.items()
        ],
        "days": _days(_fetch(reader, "serving/window_days", window), day, settings),
        "not_counted": [*map(_verdict, verdicts)],
        "changes": [*map(_change, changes)],
        "holds": [
            row | {"held_at": timestamp(row["held_at"]), "messages": messages_of(row["detail"])}
            for row in _fetch(reader, "serving/holds", on_day)
        ],
        "replay_command": replay_command(decision),
    }


def reason_in_one_line(decision: Decision) -> str:
    """Return the shares of a decision and the one reason for the largest, as one sentence."""
    rows = sorted(decision.rows.values(), key=lambda row: -int(row["allocation_hundredths"]))
    named = rows if len(rows) <= MOST_NAMED else rows[: MOST_NAMED - 1]
    shares = ", ".join(f"{row['variant_name']} {_share(row)}" for row in named)
    if len(named) < len(rows):
        shares += f" and {len(rows) - len(named)} others less"
    when = decision.head["effective_date"]
    return f"{decision.experiment_name} on {when}: {shares}, because {_reason(decision, rows)}."


def replay_command(decision: Decision) -> str:
    """Return the command that computes the decision again."""
    name = decision.experiment_name
    if shlex.quote(plain(name)) != name:  # a shell would read it in another way
        name = decision.experiment_id
    return f"mab replay {name} --date {decision.head['as_of_date']}"


def _reason(decision: Decision, rows: Sequence[Row]) -> str:
    first, settings = rows[0], decision.settings
    name, chance = first["variant_name"], f"(P(best) {first['probability_best']:.4g})"
    from_prior = [row for row in rows if row["data_source"] == "prior"]
    least, most_days = settings["min_impressions"], settings["max_window_days"]
    few = f"fewer than {least} impressions in {how_many(most_days, 'day')}"
    if len(from_prior) == len(rows):
        return f"every variant has {few}, so the prior alone counts and all are alike"
    if first in from_prior:
        return (
            f"{name} has {few}, and the prior that counts in its place is more likely the best "
            f"than the others' clicks {chance}"
        )
    shown, clicks = how_many(first["impressions"], "impression"), how_many(first["clicks"], "click")
    counts = f"{clicks} of {shown}"
    return f"{name} is the most likely to have the highest click rate {chance}: {counts}"


def _variant(row: Row, settings: Mapping[str, Any], sums: Row | None) -> Body:
    impressions, clicks = row["impressions"], row["clicks"]
    return {
        "variant_name": row["variant_name"],
        "allocation_percentage": row["allocation_hundredths"] / 100,
        "probability_best": row["probability_best"],
        "metrics": {
            "impressions": impressions,
            "clicks": clicks,
            "ctr": clicks / impressions if impressions else None,
        },
        "posterior": {"alpha": row["alpha"], "beta": row["beta"]},
        "data_source": row["data_source"],
        "window_days": row["window_days"],
        "default_window_impressions": sums and sums["default_window_impressions"],
        "max_window_impressions": sums and sums["max_window_impressions"],
        "window_reason": _why_this_window(row, settings, sums),
    }


def _why_this_window(row: Row, settings: Mapping[str, Any], sums: Row | None) -> str:
    """Say which window holds enough impressions."""
    name, least = row["variant_name"], settings["min_impressions"]
    if sums is None:
        return f"{name}: {row['data_source']}"
    short, long = sums["default_window_impressions"], sums["max_window_impressions"]
    text = f"{name}: {short} impressions in {settings['default_window_days']} days"
    if short >= least:
        return f"{text}, at least {least}: these count"
    text += f", fewer than {least}; {long} in {settings['max_window_days']} days"
    if long >= least:
        return f"{text}: these count"
    if settings.get("short_window") == "keep" and long:
        return f"{text}, too few again: it kept them, on top of the prior (SHORT_WINDOW=keep)"
    return f"{text}, too few again: the prior alone counts"


def _days(rows: Sequence[Row], day: date, settings: Mapping[str, Any]) -> list[Body]:
    first_default = day - timedelta(days=settings["default_window_days"] - 1)
    return [
        {
            "date": str(metric_date),
            "is_in_default_window": metric_date >= first_default,
            "variants": [counted(row) for row in group],
        }
        for metric_date, group in groupby(rows, key=lambda row: row["metric_date"])
    ]


def counted(row: Row) -> Body:
    """Return the accepted counts of a variant on a day, with the file that they came from."""
    impressions, clicks = row["impressions"], row["clicks"]
    return {
        "variant_name": row["variant_name"],
        "impressions": impressions,
        "clicks": clicks,
        "ctr": clicks / impressions if impressions else None,
        "source_file": row["source_file"],
        "received_at": timestamp(row["received_at"]),
    }


def _verdict(row: Row) -> Body:
    first, last = str(row["first_date"]), str(row["last_date"])
    days = first if first == last else f"{first} to {last}"
    return {
        "variant_name": row["variant_name"],
        "verdict": row["verdict"],
        "row_count": row["row_count"],
        "first_date": first,
        "last_date": last,
        "text": (
            f"not counted: {how_many(row['row_count'], 'row')} of {row['variant_name']} "
            f"({row['verdict']}), {days}"
        ),
    }


def _change(row: Row) -> Body:
    """Return a change by the owner that explains a share or the lack of one."""
    name, status = row["variant_name"], row["status"]
    since = f"from {row['valid_from_date']} on"
    if name is None and status == "running":
        text = f"running again {since}"
    elif name is None:
        text = f"{status} {since}: what was published last stays, frozen"
    elif status == "retired":
        text = f"{name}: retired {since}: no share, no buckets; its counts stay"
    else:
        text = f"{name}: active {since}"
    return {
        "variant_name": name,
        "status": status,
        "valid_from_date": str(row["valid_from_date"]),
        "text": text,
    }


def _share(row: Row) -> str:
    return f"{row['allocation_hundredths'] / 100:.2f} %"


def _fetch(reader: Reader, name: str, parameters: Mapping[str, object]) -> list[Row]:
    try:
        rows: list[Row] = reader.fetch_arrow(name, parameters).to_pylist()
    except (duckdb.CatalogException, duckdb.BinderException):
        raise NotPublishedError(
            f"{reader.name} was published by an older version of mab and lacks what an explanation "
            "reads. The next publication brings it: `mab run`."
        ) from None
    return rows
