"""Registry changes: the days that differ between the last run's registry and the current one."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from mab_store.days import unbroken
from mab_store.experiments.events import BEGINNING_OF_TIME, Registry
from mab_store.warehouse.warehouse import Transaction

Row = Mapping[str, Any]
# An experiment's versions: for each of its series (itself, each variant) first day and content.
Series = dict[str, list[tuple[date, tuple[object, ...]]]]


@dataclass(frozen=True, slots=True)
class RegistryChange:
    """The days that a new registry touches.

    Attributes:
        first_metric_date: First day whose rows may get another verdict; `date.max` if none.
        waiting_days: Days with rows whose experiment only a new registration makes known.
        first_as_of: First as-of day whose windows may differ; None if there is none.
        has_old: Whether the warehouse held a registry before.
        fingerprint_before: Fingerprint of the registry in the warehouse; empty if nothing changes.
    """

    first_metric_date: date = date.max
    waiting_days: frozenset[date] = frozenset()
    first_as_of: date | None = None
    has_old: bool = True
    fingerprint_before: str = ""


def registry_change(transaction: Transaction, registry: Registry) -> RegistryChange:
    """Compare the registry in the warehouse, not yet replaced, with the one folded now."""
    old_rows = transaction.fetch_arrow("follow_up/experiments").to_pylist()
    old = _series(old_rows, transaction.fetch_arrow("follow_up/variants").to_pylist())
    new = _series(registry.experiments, registry.variants)
    changed = [name for name in old.keys() | new.keys() if old.get(name) != new.get(name)]
    if not changed:
        return RegistryChange(has_old=bool(old))
    rows = {row["experiment_id"]: row for row in registry.experiments}
    added = [rows[name] for name in changed if name not in old]
    differ = [_first_difference(old[name], new.get(name, {})) for name in changed if name in old]
    as_of = [max(day, _A_DAY_IN) - timedelta(days=1) for day in differ]
    as_of += [_first_effective_day(row) - timedelta(days=1) for row in added]
    known_names = {row["experiment_name"] for row in old_rows}
    if any(row["experiment_id"] in known_names for row in added):
        differ.append(BEGINNING_OF_TIME)  # an id comes before a name: rows change their experiment
    (row,) = transaction.fetch_arrow("follow_up/registry_fingerprint").to_pylist()
    return RegistryChange(
        first_metric_date=min(differ, default=date.max),
        waiting_days=_waiting_days(transaction, added),
        first_as_of=min(as_of),
        has_old=bool(old),
        fingerprint_before=row["fingerprint"],
    )


_A_DAY_IN = date.min + timedelta(days=1)


def _series(experiments: Iterable[Row], variants: Iterable[Row]) -> dict[str, Series]:
    series: dict[str, Series] = defaultdict(lambda: defaultdict(list))
    for row in experiments:
        content = (row["experiment_name"], row["status"], row["start_date"], row["created_at"])
        series[row["experiment_id"]][""].append((row["valid_from_date"], content))
    for row in variants:
        version = (row["valid_from_date"], (row["position"], row["status"]))
        series[row["experiment_id"]][f"variant {row['variant_name']}"].append(version)
    return {
        name: {part: sorted(versions, key=_by_day) for part, versions in of_one.items()}
        for name, of_one in series.items()
    }


def _by_day(version: tuple[date, tuple[object, ...]]) -> date:
    return version[0]


def _first_difference(old: Series, new: Series) -> date:
    """Return the first day on which two versions of an experiment differ."""
    days = []
    for part in old.keys() | new.keys():
        before, after = old.get(part, []), new.get(part, [])
        same = 0
        while same < min(len(before), len(after)) and before[same] == after[same]:
            same += 1
        days += [day for day, _ in (*before[same : same + 1], *after[same : same + 1])]
    return min(days)


def _first_effective_day(row: Row) -> date:
    """Return the first day on which a new experiment runs if it has no earlier data."""
    start: date = row["start_date"] or row["created_at"].date()
    return max(start, _A_DAY_IN)


def _waiting_days(transaction: Transaction, added: Iterable[Row]) -> frozenset[date]:
    """Return the days with rows that name an added experiment.

    Days that were found without unknown names are not read; others are noted for the next time.
    """
    names = {name for row in added for name in (row["experiment_id"], row["experiment_name"])}
    if not names:
        return frozenset()
    listed = transaction.fetch_arrow("follow_up/days_with_unknown_names").to_pylist()
    waiting: set[date] = set()
    for days in unbroken(row["metric_date"] for row in listed):
        found = transaction.fetch_arrow("follow_up/unknown_names", days.parameters).to_pylist()
        waiting |= {row["metric_date"] for row in found if row["experiment"] in names}
    for days in unbroken(row["metric_date"] for row in listed if not row["is_noted"]):
        transaction.execute("follow_up/note_unknown_names", days.parameters)
    return frozenset(waiting)
