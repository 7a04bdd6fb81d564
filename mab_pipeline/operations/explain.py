"""How each variant got its share, in words and numbers.

Every number is read from the published copy, or follows from it by the public functions of
`mab_pipeline.bandit`.
"""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import numpy as np

from mab_pipeline import bandit
from mab_pipeline.allocation.comparisons import mixes
from mab_pipeline.allocation.recorded import Record
from mab_pipeline.allocation.variant_gaps import ACCEPTED, accepted_detail
from mab_pipeline.operations.explain_analysis import analysis_parts
from mab_pipeline.operations.explain_options import option_lines, prior_words
from mab_pipeline.operations.explain_order import corrections
from mab_pipeline.operations.text import Grid, Line, Side
from mab_store.explanation import Decision, explanation
from mab_store.files.receipts import Receipts
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
    decision = _decision(record)
    told = explanation(copy, decision)
    window = {
        "experiment_id": record.experiment_id,
        "start_date": record.as_of_date - timedelta(days=record.rule.max_window_days - 1),
        "end_date": record.as_of_date + timedelta(days=1),
    }
    parameters = {"experiment_id": record.experiment_id, "as_of_date": record.as_of_date}
    gate = copy.fetch_arrow("serving/gate_verdicts", parameters).to_pylist()
    return [
        Line(told["reason"], is_heading=True),
        *_headline(record),
        Line(),
        *_days_table(told["days"], record),
        *map(Line, corrections(copy, window, receipts)),
        *(Line(row["text"]) for row in told["not_counted"]),
        *(Line(row["window_reason"]) for row in told["variants"]),
        *map(Line, option_lines(copy, record)),
        *(Line(row["text"]) for row in told["changes"]),
        Line(),
        _shares_table(record),
        *map(Line, _how_it_was_drawn(record, told["replay_command"])),
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


def _days_table(days: list[dict[str, Any]], record: Record) -> list[Line | Grid]:
    """Show every day of the longest window that has counts, and the source file of the counts."""
    rule = record.rule
    if not days:
        text = f"No accepted counts in the {rule.max_window_days} days up to then."
        return [Line(text), Line()]
    columns: list[tuple[str, Side]] = [("day", "left"), ("windows", "left")]
    columns += [(name, "right") for name in record.rows]
    columns.append(("files", "left"))
    shown: list[tuple[str, ...]] = []
    for day in days:
        rows = {row["variant_name"]: row for row in day["variants"]}
        windows = [rule.default_window_days] * day["is_in_default_window"] + [rule.max_window_days]
        cells = [
            f"{rows[name]['clicks']} / {rows[name]['impressions']}" if name in rows else "-"
            for name in record.rows
        ]
        files = sorted({row["source_file"].rsplit("/", 1)[-1] for row in rows.values()})
        spans = " ".join(f"{length} d" for length in windows)
        shown.append((day["date"], spans, *cells, ", ".join(files)))
    title = "Accepted counts: clicks / impressions"
    return [Grid(title, tuple(columns), tuple(shown))]


def _gate_verdict(row: dict[str, Any]) -> str:
    """Return the gate's verdict on the day, and whether the gap was accepted."""
    when = f"{row['held_at']:%Y-%m-%d %H:%M:%S} UTC"
    if row["reason"] == ACCEPTED:
        return (
            f"Published {when} with a variant gap, which was accepted for run {row['run_id']} or "
            f"before it: {accepted_detail(row['detail'])}"
        )
    return f"Held back {when} ({row['reason']}): {row['detail']}"


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


def _how_it_was_drawn(record: Record, command: str) -> Iterator[str]:
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
    yield f"Again, bit for bit: {command}"


def _decision(record: Record) -> Decision:
    return Decision(record.experiment_id, record.experiment_name, record.rows, record.version_ids)
