"""Parse experiment events and fold them into dated rows of `experiments` and `variants`.

The first registration is valid from the beginning of time. A change is valid from the day after it
was made: a day that was already computed never sees different experiments when it is recomputed.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any, TypeVar

from pydantic import ValidationError

from mab_store.errors import UnreadableFileError
from mab_store.experiments.schemas import (
    MAX_VARIANTS,
    ExperimentChanged,
    ExperimentEvent,
    ExperimentRegistered,
)
from mab_store.files.inbox_file import OVERSIZE, Content

BEGINNING_OF_TIME = date(1900, 1, 1)
END_OF_TIME = date(9999, 12, 31)

Row = dict[str, Any]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Variant:
    position: int
    is_control: bool
    status: str = "active"


@dataclass(frozen=True, slots=True)
class _State:
    """State of an experiment from one day on."""

    status: str
    variants: Mapping[str, _Variant]
    decision: str | None = None


@dataclass(slots=True)
class Registry:
    """Rows of the two tables, and the error of each unusable file.

    Attributes:
        experiments: Rows of `experiments`.
        variants: Rows of `variants`.
        changes: The valid changes by file; those of one experiment in chronological order.
        errors: Why a file could not be used, by its name below the inbox.
        changed: Files whose content differs from their previous load.
        vanished: Files that were used before and are gone.
    """

    experiments: list[Row] = field(default_factory=list)
    variants: list[Row] = field(default_factory=list)
    changes: dict[str, ExperimentChanged] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    vanished: list[str] = field(default_factory=list)


def is_registration(document: Mapping[str, object]) -> bool:
    """Return whether a body registers an experiment; one that has `changed_by` is a change."""
    return "variants" in document or ("name" in document and "changed_by" not in document)


def parse_event(source_file: str, payload: bytes) -> ExperimentEvent:
    """Parse one event file.

    Raises:
        UnreadableFileError: It is not an event, or it is in another experiment's folder.
    """
    path = PurePosixPath(source_file)
    if path.suffix.lower() != ".json":
        raise UnreadableFileError("is not a .json file")
    try:
        document = json.loads(payload.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise UnreadableFileError(f"is not JSON: {error}") from None
    kind: type[ExperimentEvent] = (
        ExperimentRegistered
        if isinstance(document, dict) and is_registration(document)
        else ExperimentChanged
    )
    try:
        event = kind.model_validate(document)
    except ValidationError as error:
        raise UnreadableFileError(
            f"is not an experiment event: {validation_faults(error)}"
        ) from None
    if path.parent.name != event.experiment_id:
        raise UnreadableFileError(
            f"is an event of {event.experiment_id} but is in the folder {path.parent.name!r}"
        )
    return event


def fold_events(contents: Mapping[str, Content]) -> Registry:
    """Fold every event file into the rows of `experiments` and `variants`.

    Args:
        contents: Content of each file below `experiments/`, by its name below the inbox.

    Returns:
        The rows, and an error for each file that could not be used; the other files count.
    """
    registry = Registry()
    by_experiment: dict[str, list[tuple[str, ExperimentEvent]]] = defaultdict(list)
    for source_file, content in contents.items():
        try:
            if content.payload is None:
                raise UnreadableFileError(content.error or f"is {OVERSIZE}")
            event = parse_event(source_file, content.payload)
        except UnreadableFileError as error:
            registry.errors[source_file] = str(error)
        else:
            by_experiment[event.experiment_id].append((source_file, event))
    for events in by_experiment.values():
        _fold_experiment(sorted(events, key=_order), registry)
    return registry


def true_on(registry: Registry, day: date) -> tuple[Row, list[Row]]:
    """Return the rows valid on a day for a registry's only experiment, variants by position."""

    def holds(row: Row) -> bool:
        return bool(row["valid_from_date"] <= day < row["valid_to_date"])

    (experiment,) = filter(holds, registry.experiments)
    variants = filter(holds, registry.variants)
    return experiment, sorted(variants, key=lambda row: row["position"])


def validation_faults(error: ValidationError) -> str:
    """Describe pydantic's findings in one line, each with its place in the body."""
    return "; ".join(
        f"{'.'.join(str(part) for part in fault['loc']) or 'body'}: {fault['msg']}"
        for fault in error.errors()
    )


def _order(named: tuple[str, ExperimentEvent]) -> tuple[datetime, bool, str]:
    source_file, event = named
    return event.created_at_utc, isinstance(event, ExperimentChanged), source_file


def _fold_experiment(events: list[tuple[str, ExperimentEvent]], registry: Registry) -> None:
    registered: ExperimentRegistered | None = None
    states: dict[date, _State] = {}
    for source_file, event in events:
        try:
            if isinstance(event, ExperimentChanged):
                if registered is None:
                    raise UnreadableFileError("changes an experiment that is not registered yet")
                state = _changed(states[max(states)], event)
                states[event.effective_date] = state
                registry.changes[source_file] = event
            elif registered is None:
                registered = event
                states[BEGINNING_OF_TIME] = _first_state(event)
            elif event.spec != registered.spec:
                raise UnreadableFileError(
                    f"registers {event.name!r} again with a different body; the first one counts"
                )
        except UnreadableFileError as error:
            registry.errors[source_file] = str(error)
    if registered is not None:
        _add_rows(registered, states, registry)


def _first_state(event: ExperimentRegistered) -> _State:
    variants = {
        variant.name: _Variant(position, variant.is_control)
        for position, variant in enumerate(event.variants)
    }
    decision = event.decision.to_json() if event.decision else None
    return _State("running", variants, decision)


def _changed(state: _State, event: ExperimentChanged) -> _State:
    """Apply a change, or raise why not; callers put "the file" or "the change" before the text."""
    asks_more = (
        event.status != "finished"
        or event.add_variants
        or event.retire_variants
        or event.decision is not None
    )
    if state.status == "finished" and asks_more:
        raise UnreadableFileError(
            "changes a finished experiment; finishing is final, register a new one"
        )
    variants = dict(state.variants)
    for name in event.add_variants:
        known = variants.get(name)
        if known and known.status == "active":
            raise UnreadableFileError(f"adds the variant {name!r}, which is already active")
        variants[name] = (
            replace(known, status="active") if known else _Variant(len(variants), is_control=False)
        )
    for name in event.retire_variants:
        known = variants.get(name)
        if known is None or known.status == "retired":
            raise UnreadableFileError(f"retires the variant {name!r}, which is not active")
        if known.is_control:
            raise UnreadableFileError(
                f"retires the control {name!r}, the baseline of the other variants; to end the "
                "experiment, finish it"
            )
        variants[name] = replace(known, status="retired")
    active = sum(variant.status == "active" for variant in variants.values())
    if active > MAX_VARIANTS:
        raise UnreadableFileError(f"leads to {active} active variants; the limit is {MAX_VARIANTS}")
    decision = state.decision if event.decision is None else event.decision.to_json()
    return _State(event.status or state.status, variants, decision)


def _add_rows(
    registered: ExperimentRegistered, states: Mapping[date, _State], registry: Registry
) -> None:
    days = sorted(states)
    history = [(day, (states[day].status, states[day].decision)) for day in days]
    for start, end, (status, decision) in _intervals(history):
        registry.experiments.append(
            {
                "experiment_id": registered.experiment_id,
                "valid_from_date": start,
                "experiment_name": registered.name,
                "description": registered.description,
                "status": status,
                "start_date": registered.start_date,
                "created_at": registered.created_at_utc,
                "valid_to_date": end,
                "decision": decision,
            }
        )
    for name in states[days[-1]].variants:
        versions = [
            (day, states[day].variants[name]) for day in days if name in states[day].variants
        ]
        for start, end, variant in _intervals(versions):
            registry.variants.append(
                {
                    "experiment_id": registered.experiment_id,
                    "variant_name": name,
                    "valid_from_date": start,
                    "is_control": variant.is_control,
                    "position": variant.position,
                    "status": variant.status,
                    "valid_to_date": end,
                }
            )


def _intervals(history: Iterable[tuple[date, T]]) -> list[tuple[date, date, T]]:
    """Turn (first day, value) into (first day, day after the last, value); join equal values."""
    changes: list[tuple[date, T]] = []
    for day, value in history:
        if not changes or changes[-1][1] != value:
            changes.append((day, value))
    ends = [day for day, _ in changes[1:]] + [END_OF_TIME]
    return [(day, end, value) for (day, value), end in zip(changes, ends, strict=True)]
