"""Data quality: missing days, late files and silent feeds; pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

from mab_dashboard.overview import Badge, row_of

ONE_DAY = timedelta(days=1)
ON_TIME = timedelta(days=2)
"""A file of a day is late from this long after the day's beginning: a whole day after its end."""


class LateFile(NamedTuple):
    """A file that came late: for which day, its path, and how many whole days after that day."""

    day: date
    source_file: str
    days_late: int


def missing_days(with_counts: Iterable[date], *, through: date | None = None) -> list[date]:
    """Return the days without accepted counts between the first with counts and the last.

    Args:
        with_counts: Days with accepted counts.
        through: Last day that counts were expected for; the last with counts if None.
    """
    known = set(with_counts)
    if not known:
        return []
    first, last = min(known), max(known)
    last = max(last, through) if through else last
    days = (first + number * ONE_DAY for number in range((last - first).days + 1))
    return [day for day in days if day not in known]


def late_files(days: Iterable[Mapping[str, Any]]) -> list[LateFile]:
    """Return the files of items of `/quality` that came more than a day after their day's end."""
    found = {}
    for item in days:
        day = date.fromisoformat(item["date"])
        start = datetime.fromisoformat(f"{item['date']}T00:00:00Z")
        for file in item["files"]:
            waited = datetime.fromisoformat(file["received_at"]) - start
            if waited > ON_TIME:
                late = LateFile(day, file["source_file"], waited.days - 1)
                found[day, late.source_file] = late
    return [found[key] for key in sorted(found)]


def rejections(days: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the rejected rows of items of `/quality`, by day, file and reason."""
    return [
        {
            "date": item["date"],
            "reason": file["verdict"],
            "rows": file["row_count"],
            "variant": file["variant_name"],
            "source_file": file["source_file"],
        }
        for item in days
        for file in item["files"]
        if file["verdict"] not in {"accepted", "superseded"}
    ]


class Feed(NamedTuple):
    """An experiment whose feed needs a look.

    Attributes:
        name: Its name.
        data_through: Its last day with accepted impressions; None without any.
        days_silent: Days since then, up to the newest day that any experiment was decided on; None
            if it never had any.
        badges: What is wrong, as in the overview.
    """

    name: str
    data_through: date | None
    days_silent: int | None
    badges: tuple[Badge, ...]


FAULTS: tuple[Badge, ...] = ("held_back", "stale", "rejected_rows", "no_traffic")


def feeds(items: Iterable[Mapping[str, Any]], *, now: datetime) -> list[Feed]:
    """Return the running experiments whose feeds are silent, late or rejected, longest first.

    Args:
        items: Items of `GET /experiments`.
        now: The time, with its zone.
    """
    running = [item for item in items if item["status"] == "running" and item["overview"]]
    newest = max((item["overview"]["as_of_date"] for item in running), default=None)
    found = []
    for item in running:
        through = item["overview"]["data_through"]
        day = None if through is None else date.fromisoformat(through)
        silent = None if day is None else (date.fromisoformat(str(newest)) - day).days
        badges = tuple(name for name in row_of(item, now=now).badges if name in FAULTS)
        if silent != 0 or badges:
            found.append(Feed(item["name"], day, silent, badges))
    return sorted(found, key=lambda feed: (feed.data_through or date.min, feed.name))


def verdict_counts(days: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows per day and verdict, oldest first: for a stacked chart."""
    rows = []
    for item in days:
        counts: Counter[str] = Counter()
        for file in item["files"]:
            counts[file["verdict"]] += file["row_count"]
        rows += [
            {"date": item["date"], "verdict": name, "rows": count}
            for name, count in sorted(counts.items())
        ]
    return rows


def silent_since(
    days: Sequence[Mapping[str, Any]], variants: Iterable[str], *, through: date
) -> dict[str, date | None]:
    """Return the variants without impressions on the last day, and their last day with some.

    Args:
        days: Items of `/daily`, oldest first.
        variants: The active variants.
        through: The last day that counts were expected for.
    """
    last: dict[str, date | None] = dict.fromkeys(variants)
    for item in days:
        for row in item["variants"]:
            if row["impressions"] and row["variant_name"] in last:
                last[row["variant_name"]] = date.fromisoformat(item["date"])
    return {name: day for name, day in last.items() if day is None or day < through}
