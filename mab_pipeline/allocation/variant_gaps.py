"""Variant gaps: an experiment whose data lack a part that its other variants have.

The conditions are SQL (`sql/assets/publication_rejected_impressions.sql` and
`publication_silent_variants.sql`). A gap has findings, such as `silent: variant_b` and
`rejected: 'b2'`. To accept a gap is to accept its findings: the next day passes too, unless its gap
has another finding (docs/adr/0018).
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any

from mab_store.days import Days
from mab_store.settings import Settings
from mab_store.warehouse.warehouse import Transaction

VARIANT_GAP = "variant_gap"
ACCEPTED = "variant_gap_accepted"
NAME_SHOWN = 60
NAMES_SHOWN = 3

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VariantGap:
    """The gap in the data of one experiment at the end of a day.

    Attributes:
        findings: The missing parts, without numbers: the same gap has the same findings each day.
        detail: The findings in words.
    """

    findings: frozenset[str]
    detail: str

    @property
    def acceptance(self) -> str:
        """The record of an accepted gap, as JSON."""
        return json.dumps({"accepted": sorted(self.findings), "detail": self.detail})


class VariantGaps:
    """Finds the gaps of the as-of days of a run, within its transaction.

    Args:
        transaction: The open transaction.
        days: The as-of days.
        settings: How much may be missing.
    """

    def __init__(self, transaction: Transaction, days: Days, settings: Settings) -> None:
        self._transaction, self._settings = transaction, settings
        self._lookback = timedelta(days=settings.max_data_gap_days - 1)
        self._rejected_days: list[date] = []
        if settings.max_rejected_share_held < 1:
            parameters = {"start_date": days.start - self._lookback, "end_date": days.end}
            rows = transaction.fetch_arrow("assets/publication_rejected_days", parameters)
            self._rejected_days = rows["metric_date"].to_pylist()

    def of(self, day: date) -> dict[str, VariantGap]:
        """Return the gaps of an as-of day by experiment, as the tables are now.

        The run's publications for earlier days must be in the tables already: they promised the
        variants their impressions.
        """
        allowed = self._settings.max_rejected_share_held
        findings: dict[str, list[str]] = defaultdict(list)
        details: dict[str, list[str]] = defaultdict(list)
        for row in self._silent(day):
            findings[row["experiment_id"]].append(f"silent: {row['variant_name']}")
            details[row["experiment_id"]].append(_silence(row))
        for experiment_id, group in groupby(self._rejected(day), key=itemgetter("experiment_id")):
            rows = list(group)
            findings[experiment_id] += [f"rejected: {_shown(row['variant_name'])}" for row in rows]
            details[experiment_id].append(_rejections(rows, allowed))
        count = self._settings.max_data_gap_days
        span = f"in the {count} days up to {day}" if count > 1 else f"on {day}"
        return {
            experiment_id: VariantGap(
                frozenset(found), f"{span} {'; '.join(details[experiment_id])}"
            )
            for experiment_id, found in findings.items()
        }

    def _silent(self, day: date) -> list[Row]:
        if self._settings.variant_gap_impressions == 0:
            return []
        return self._find("publication_silent_variants", day)

    def _rejected(self, day: date) -> list[Row]:
        """Return rejected impressions by experiment and variant, the largest part first."""
        if not any(day - self._lookback <= rejected <= day for rejected in self._rejected_days):
            return []
        return self._find("publication_rejected_impressions", day)

    def _find(self, name: str, day: date) -> list[Row]:
        parameters = {
            "as_of_date": day,
            "gap_days": self._settings.max_data_gap_days,
            "gap_impressions": self._settings.variant_gap_impressions,
            "max_rejected_share": self._settings.max_rejected_share_held,
        }
        rows: list[Row] = self._transaction.fetch_arrow(f"assets/{name}", parameters).to_pylist()
        return rows


def accepted_findings(transaction: Transaction) -> dict[str, frozenset[str]]:
    """Return the findings that were accepted for the newest publication of each experiment."""
    rows = transaction.fetch_arrow("assets/publication_accepted", {"reason": ACCEPTED})
    return {
        row["experiment_id"]: frozenset(json.loads(row["detail"])["accepted"])
        for row in rows.to_pylist()
    }


def accepted_detail(acceptance: str) -> str:
    """Return the words of a recorded acceptance."""
    return str(json.loads(acceptance)["detail"])


def _silence(row: Row) -> str:
    return (
        f"{row['variant_name']} has no accepted impressions, its shares promised "
        f"{row['impressions']:.0f}"
    )


def _rejections(rows: list[Row], allowed: float) -> str:
    """Return the rejected share, and the names with the most rejected impressions."""
    share = rows[0]["rejected_impressions"] / rows[0]["all_impressions"]
    names = [
        f"{row['impressions']:.0f} of {_shown(row['variant_name'])} ({row['rejection_reason']})"
        for row in rows[:NAMES_SHOWN]
    ]
    more = ", …" if len(rows) > NAMES_SHOWN else ""
    return (
        f"{100 * share:.4g} % of the impressions were rejected, {100 * allowed:.4g} % are allowed: "
        f"{', '.join(names)}{more}"
    )


def _shown(name: str) -> str:
    """Return a name as received in quotes, without a character that a terminal would obey."""
    return repr(name if len(name) <= NAME_SHOWN else f"{name[:NAME_SHOWN]}…")
