"""How each variant got its share, in words and numbers.

Every number is read from the published copy, or follows from it by the public functions of
`mab_pipeline.bandit`.
"""

import shlex
from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import numpy as np

from mab_pipeline import bandit
from mab_pipeline.allocation.comparisons import mixes
from mab_pipeline.allocation.recorded import Record
from mab_pipeline.allocation.variant_gaps import ACCEPTED, accepted_detail
from mab_pipeline.operations.explain_analysis import analysis_parts
from mab_pipeline.operations.explain_options import option_lines, prior_words
from mab_pipeline.operations.explain_order import corrections
from mab_pipeline.operations.explain_reason import reason_in_one_line
from mab_pipeline.operations.text import Grid, Line, Side
from mab_store.files.receipts import Receipts
from mab_store.plain_text import plain
from mab_store.warehouse.reader import Reader

SHARES = "Posterior and share"
"""Title of the table with the shares."""


def explain(copy: Reader, record: Record, *, receipts: Receipts | None = None) -> list[Line | Grid]:
    """Return the explanation of a decision as lines and tables.

    Args:
        copy: The published copy.
        record: The decision.
        receipts: The receiver and time of each file.
    """
    rule = record.rule
    start = record.as_of_date - timedelta(days=rule.max_window_days - 1)
    window = {
        "experiment_id": record.experiment_id,
        "start_date": start,
        "end_date": record.as_of_date + timedelta(days=1),
    }
    counts = copy.fetch_arrow("serving/window_days", window).to_pylist()
    verdicts = copy.fetch_arrow("serving/window_verdicts", window).to_pylist()
    parameters = {"experiment_id": record.experiment_id, "as_of_date": record.as_of_date}
    rows = copy.fetch_arrow("serving/windowed_aggregates", parameters).to_pylist()
    seen = {row["variant_name"]: row for row in rows}
    gate = copy.fetch_arrow("serving/gate_verdicts", parameters).to_pylist()
    parameters = {
        "experiment_id": record.experiment_id,
        "effective_date": record.head["effective_date"],
    }
    changes = copy.fetch_arrow("serving/experiment_changes", parameters).to_pylist()
    return [
        Line(reason_in_one_line(record), is_heading=True),
        *_headline(record),
        Line(),
        *_days_table(counts, record),
        *map(Line, corrections(copy, window, receipts)),
        *(Line(_verdict(row)) for row in verdicts),
        *(Line(_why_this_window(record, name, seen.get(name))) for name in record.rows),
        *map(Line, option_lines(copy, record)),
        *(Line(_change(row)) for row in changes),
        Line(),
        _shares_table(record),
        *map(Line, _how_it_was_drawn(record)),
        *(Line(_gate_verdict(row)) for row in gate),
        *analysis_parts(copy, record),
    ]


def _headline(record: Record) -> Iterator[Line]:
    head = record.head
    name = f"{record.experiment_name} ({record.experiment_id})"
    days = f"traffic of {head['effective_date']}, decided from data up to {record.as_of_date}"
    yield Line(f"{name}: {days}", is_heading=True)
    text = (
        f"allocation {head['allocation_id']}, computed {head['computed_at']:%Y-%m-%d %H:%M:%S} UTC"
    )
    if record.versions > 1:
        others = ", ".join(name for name in record.version_ids if name != head["allocation_id"])
        text += (
            f"; the day has {record.versions} versions, this is the one published last\n"
            f"the others: {others} (mab replay --allocation ID)"
        )
    yield Line(text, is_heading=True)


def _days_table(counts: list[dict[str, Any]], record: Record) -> list[Line | Grid]:
    """Show every day of the longest window that has counts, and the source file of the counts."""
    if not counts:
        text = f"No accepted counts in the {record.rule.max_window_days} days up to then."
        return [Line(text), Line()]
    columns: list[tuple[str, Side]] = [("day", "left"), ("windows", "left")]
    columns += [(name, "right") for name in record.rows]
    columns.append(("files", "left"))
    shown: list[tuple[str, ...]] = []
    by_day: dict[date, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in counts:
        by_day[row["metric_date"]][row["variant_name"]] = row
    rule = record.rule
    first_default = record.as_of_date - timedelta(days=rule.default_window_days - 1)
    for day, rows in by_day.items():
        windows = [rule.max_window_days]
        if day >= first_default:
            windows.insert(0, rule.default_window_days)
        cells = [
            f"{rows[name]['clicks']} / {rows[name]['impressions']}" if name in rows else "-"
            for name in record.rows
        ]
        files = sorted({row["source_file"].rsplit("/", 1)[-1] for row in rows.values()})
        spans = " ".join(f"{days} d" for days in windows)
        shown.append((str(day), spans, *cells, ", ".join(files)))
    title = "Accepted counts: clicks / impressions"
    return [Grid(title, tuple(columns), tuple(shown))]


def _verdict(row: dict[str, Any]) -> str:
    days = str(row["first_date"])
    if row["last_date"] != row["first_date"]:
        days += f" to {row['last_date']}"
    return (
        f"not counted: {row['row_count']} rows of {row['variant_name']} ({row['verdict']}), {days}"
    )


def _gate_verdict(row: dict[str, Any]) -> str:
    """Return the gate's verdict on the day, and whether the gap was accepted."""
    when = f"{row['held_at']:%Y-%m-%d %H:%M:%S} UTC"
    if row["reason"] == ACCEPTED:
        return (
            f"Published {when} with a variant gap, which was accepted for run {row['run_id']} or "
            f"before it: {accepted_detail(row['detail'])}"
        )
    return f"Held back {when} ({row['reason']}): {row['detail']}"


def _why_this_window(record: Record, name: str, seen: dict[str, Any] | None) -> str:
    """Say which window holds enough impressions."""
    rule = record.rule
    if seen is None:
        return f"{name}: {record.rows[name]['data_source']}"
    short, long = seen["default_window_impressions"], seen["max_window_impressions"]
    text = f"{name}: {short} impressions in {rule.default_window_days} days"
    if short >= rule.min_impressions:
        return f"{text}, at least {rule.min_impressions}: these count"
    text += f", fewer than {rule.min_impressions}; {long} in {rule.max_window_days} days"
    if long >= rule.min_impressions:
        return f"{text}: these count"
    if rule.short_window == "keep" and long:
        return f"{text}, too few again: it kept them, on top of the prior (SHORT_WINDOW=keep)"
    return f"{text}, too few again: the prior alone counts"


def _change(row: dict[str, Any]) -> str:
    """Return a change by the owner that explains a share or the lack of one."""
    name, status = row["variant_name"], row["status"]
    since = f"from {row['valid_from_date']} on"
    if name is None:
        if status == "running":
            return f"running again {since}"
        return f"{status} {since}: what was published last stays, frozen"
    if status == "retired":
        return f"{name}: retired {since}: no share, no buckets; its counts stay"
    return f"{name}: active {since}"


def _shares_table(record: Record) -> Grid:
    rows = list(record.rows.values())
    alpha = np.array([row["alpha"] for row in rows])
    beta = np.array([row["beta"] for row in rows])
    low, high = bandit.credible_interval(alpha, beta)
    loss = bandit.expected_loss(alpha, beta)
    columns: list[tuple[str, Side]] = [("variant", "left")]
    others = ("counts", "posterior", "mean", "95 %", "P(best)", "loss", "share")
    columns += [(name, "right") for name in others]
    shown = tuple(
        (
            row["variant_name"],
            f"{row['clicks']} / {row['impressions']}",
            f"Beta({row['alpha']:.15g}, {row['beta']:.15g})",
            f"{100 * row['alpha'] / (row['alpha'] + row['beta']):.4f} %",
            f"{100 * low[place]:.4f} to {100 * high[place]:.4f} %",
            f"{row['probability_best']:.6g}",
            f"{100 * loss[place]:.2g} %",
            f"{row['allocation_hundredths'] / 100:.2f} %",
        )
        for place, row in enumerate(rows)
    )
    return Grid(SHARES, tuple(columns), shown)


def _how_it_was_drawn(record: Record) -> Iterator[str]:
    head, rule = record.head, record.rule
    prior = prior_words(record)
    what = "The share is"
    if mixes(rule):
        what = "Of what the options above leave, the share is"
    if head["samples"] == 0:
        yield f"{prior} {what} the exact probability of being best."
        return
    how = " (their counts drawn at once, from P(best))" * (rule.allocation_method == "multinomial")
    yield (
        f"{prior} {what} the part of {head['samples']} draws (seed {head['seed']}) in which "
        f"the variant's click rate was the highest{how}; P(best) is its exact value, loss is what "
        f"choosing the variant alone is expected to cost."
    )
    name = record.experiment_name
    if shlex.quote(plain(name)) != name:  # a shell would read it in another way
        name = record.experiment_id
    yield f"Again, bit for bit: mab replay {name} --date {record.as_of_date}"
