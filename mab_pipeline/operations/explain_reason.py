"""The first line of an explanation: the shares, and the one reason for the largest."""

from typing import Any

from mab_pipeline.allocation.recorded import Record

MOST_NAMED = 4


def reason_in_one_line(record: Record) -> str:
    """Return the shares of a decision and the one reason for the largest, as one sentence."""
    rows = sorted(record.rows.values(), key=lambda row: -int(row["allocation_hundredths"]))
    named = rows if len(rows) <= MOST_NAMED else rows[: MOST_NAMED - 1]
    shares = ", ".join(f"{row['variant_name']} {_share(row)}" for row in named)
    if len(named) < len(rows):
        shares += f" and {len(rows) - len(named)} others less"
    when = record.head["effective_date"]
    return f"{record.experiment_name} on {when}: {shares}, because {_reason(record, rows)}."


def _reason(record: Record, rows: list[dict[str, Any]]) -> str:
    first, rule = rows[0], record.rule
    name, chance = first["variant_name"], f"(P(best) {first['probability_best']:.4g})"
    from_prior = [row for row in rows if row["data_source"] == "prior"]
    few = f"fewer than {rule.min_impressions} impressions in {rule.max_window_days} days"
    if len(from_prior) == len(rows):
        return f"every variant has {few}, so the prior alone counts and all are alike"
    if first in from_prior:
        return (
            f"{name} has {few}, and the prior that counts in its place is more likely the best "
            f"than the others' clicks {chance}"
        )
    counts = f"{first['clicks']} clicks of {first['impressions']} impressions"
    return f"{name} is the most likely to have the highest click rate {chance}: {counts}"


def _share(row: dict[str, Any]) -> str:
    return f"{row['allocation_hundredths'] / 100:.2f} %"
