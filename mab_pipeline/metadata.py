"""Dagster metadata for people: what the asset pages show of shares, of days and of experiments.

Tables and texts name experiments, never their ids alone; each has a bounded size.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import dagster as dg

from mab_pipeline.allocation.gate import CurrentAllocations
from mab_pipeline.ingestion.follow_up import FollowUp
from mab_store.days import Days
from mab_store.plain_text import plain
from mab_store.warehouse.warehouse import Queries

COLUMNS = ("experiment_id", "variant_name", "impressions", "clicks", "data_source")
# The page cuts a wide table at its right: what matters comes first.
SHOWN = ("experiment", "variant", "share_percent", "p_best", *COLUMNS[2:])
SERVED = ("experiment", "variant", "share_percent", "served", "reason")
ROWS_SHOWN = 100
DAYS_SHOWN = 100
NAME_WIDTH = 32
BAR_WIDTH = 16
# The Dagster UI shows Markdown in place if it is shorter than 1,000 UTF-16 units, else as a button.
INLINE = 999
EIGHTHS = " ▏▎▍▌▋▊▉"
_ID = re.compile(r"exp_[0-9a-f]{12}")
_TYPES = {int: "int", float: "float"}


def names_of(queries: Queries) -> dict[str, str]:
    """Return the name of each experiment by its id."""
    names = queries.fetch_arrow("assets/allocations_names").to_pydict()
    return dict(zip(names["experiment_id"], names["experiment_name"], strict=True))


def names_any(text: str) -> bool:
    """Return whether a text has the id of an experiment."""
    return _ID.search(text) is not None


def with_names(text: str, names: Mapping[str, str]) -> str:
    """Return a text with the name of each known experiment in the place of its id."""
    return _ID.sub(lambda found: names.get(found[0], found[0]), text)


def add_days(
    context: dg.AssetExecutionContext, days: Days, counts: Mapping[date, Mapping[str, Any]]
) -> None:
    """Add to the materialisation of each day its own counts, and to the last one a table of all.

    A run of one day has them as its metadata already.

    Args:
        context: Of an asset that has not returned yet.
        days: The days of the run.
        counts: The counts by day, all with the same names; a day that is missing has zeros.
    """
    if len(days) == 1 or not counts:
        return
    none = {name: type(value)() for name, value in next(iter(counts.values())).items()}
    rows = []
    for day in days.listed:
        own = counts.get(day, none)
        of_day = {f"{name}_of_the_day": value for name, value in own.items()}
        context.add_asset_metadata(of_day, partition_key=str(day))
        rows.append({"day": str(day), **own})
    last = str(days.end - timedelta(days=1))
    context.add_asset_metadata({"days": _table(rows[-DAYS_SHOWN:])}, partition_key=last)


def first_shares(current: CurrentAllocations) -> list[dict[str, Any]]:
    """Return the first shares of one day, each with its evidence."""
    decisions = current.decisions
    shown: list[dict[str, Any]] = []
    for index, (_, _, shares) in enumerate(current):
        if len(shown) >= ROWS_SHOWN:
            break
        for row, name in enumerate(decisions.variants(index), int(decisions.first_rows[index])):
            if share := shares.get(name):
                result = {
                    "share_percent": share.hundredths / 100,
                    "p_best": round(share.probability_best, 6),
                }
                inputs = {column: decisions.inputs[column][row] for column in COLUMNS}
                shown.append(inputs | result)
    return shown[:ROWS_SHOWN]


def shares_table(
    rows: list[dict[str, Any]], names: Mapping[str, str]
) -> dg.MetadataValue[dg.TableMetadataValue]:
    """Return the first rows of one day's shares as a table.

    Args:
        rows: The first shares.
        names: The experiments' names by id.
    """
    shown = []
    for row in rows:
        name = _name(row["experiment_id"], names)
        named = row | {"experiment": name, "variant": row["variant_name"]}
        shown.append({column: named[column] for column in SHOWN})
    return _table(shown, columns=SHOWN)


def served_table(rows: Iterable[Mapping[str, Any]]) -> dg.MetadataValue[dg.TableMetadataValue]:
    """Return what readers are served as a table, with the state of each experiment.

    Args:
        rows: Rows of `sql/assets/publication_served.sql`.
    """
    records: list[dict[str, Any]] = []
    for row in rows:
        is_first = not records or records[-1]["experiment"] != row["experiment_name"]
        hundredths = row["allocation_hundredths"]
        shown = {
            "experiment": row["experiment_name"],
            "variant": row["variant_name"] or "",
            "share_percent": None if hundredths is None else hundredths / 100,
            "served": _state(row),
            "reason": (is_first and row["held_back_detail"]) or "",
        }
        records.append({column: shown[column] for column in SERVED})
    return _table(records, columns=SERVED)


def shares_plot(rows: list[dict[str, Any]], names: Mapping[str, str]) -> dg.MarkdownMetadataValue:
    """Return a bar for each share of one day's first experiments, as preformatted text.

    It is short enough to be shown in place.

    Args:
        rows: The first shares.
        names: The experiments' names by id.
    """
    width = min(NAME_WIDTH, max((len(plain(row["variant_name"])) for row in rows), default=0))
    lines: list[str] = []
    before = None
    for count, row in enumerate(rows):
        own = []
        if row["experiment_id"] != before:
            # A name alone on a line could end the code block: the colon prevents that.
            own += [*([""] if lines else []), f"{plain(_name(row['experiment_id'], names))}:"]
        before, percent = row["experiment_id"], row["share_percent"]
        name = _fitted(row["variant_name"], width)
        own.append(f"  {name} {percent:6.2f} % {_bar(percent)}".rstrip())
        rest = f"… and {len(rows) - count} more shares: see the table"
        if _units([*lines, *own, "", rest]) > INLINE:
            return _preformatted([*lines, "", rest])
        lines += own
    return _preformatted(lines)


def _preformatted(lines: Sequence[str]) -> dg.MarkdownMetadataValue:
    return dg.MetadataValue.md("\n".join(["```text", *lines, "```"]))


def _units(lines: Sequence[str]) -> int:
    """Return the length of these lines, preformatted, in UTF-16 units."""
    return len("\n".join(["```text", *lines, "```"]).encode("utf-16-le")) // 2


def _state(row: Mapping[str, Any]) -> str:
    """Return the as-of date of what readers get, and whether it is the newest decision."""
    if row["held_back_reason"] is not None:
        state = f"held back, {row['held_back_reason']}"
    else:
        state = "newest" if row["status"] == "running" else f"frozen, {row['status']}"
    return f"{row['as_of_date'] or 'nothing'}: {state}"


def _name(experiment_id: str, names: Mapping[str, str]) -> str:
    return names.get(experiment_id, experiment_id)


def _table(
    rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] = ()
) -> dg.MetadataValue[dg.TableMetadataValue]:
    """Return rows as a table; the first value of a column that is there gives its type."""
    types: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None:
                types.setdefault(name, _TYPES.get(type(value), "string"))
    names = columns or (list(rows[0]) if rows else [])
    schema = dg.TableSchema(columns=[dg.TableColumn(n, types.get(n, "string")) for n in names])
    return dg.MetadataValue.table(
        records=[dg.TableRecord(dict(row)) for row in rows], schema=schema
    )


def _fitted(name: str, width: int) -> str:
    text = plain(name)
    return f"{text[: width - 1]}…" if len(text) > width else text.ljust(width)


def _bar(percent: float) -> str:
    whole, eighths = divmod(round(percent / 100 * BAR_WIDTH * 8), 8)
    return ("█" * whole + EIGHTHS[eighths]).rstrip()


def log_follow_up(context: dg.AssetExecutionContext, follow_up: FollowUp) -> None:
    """Report to Dagster the partitions that were recomputed in addition to those of the run."""
    for asset, days in (
        ("daily_metrics", follow_up.metric_days),
        ("windowed_aggregates", follow_up.as_of_days),
    ):
        for day in days:
            context.log_event(dg.AssetMaterialization(asset, partition=str(day)))
