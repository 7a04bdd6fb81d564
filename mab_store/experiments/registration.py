"""Register and change experiments: write event files, refuse those that contradict earlier ones."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple

from mab_store.errors import (
    ConflictError,
    FileInInboxError,
    NewNameError,
    NotRegisteredError,
    UnreadableFileError,
)
from mab_store.experiments.events import Registry, fold_events, parse_event, true_on
from mab_store.experiments.schemas import (
    ChangeSpec,
    ExperimentChanged,
    ExperimentRegistered,
    ExperimentSpec,
    Place,
    experiment_id_of,
    new_name_faults,
)
from mab_store.files.inbox import Inbox
from mab_store.files.inbox_file import Content

_NUMBERED = re.compile(r"changed-(\d{1,9})\.json", re.ASCII)


class Registration(NamedTuple):
    """Outcome of a registration.

    Attributes:
        event: The registration that counts.
        is_new: Whether it was added by this call.
    """

    event: ExperimentRegistered
    is_new: bool


class Change(NamedTuple):
    """Outcome of a change.

    Attributes:
        event: The change that counts.
        source_file: Its file, below the inbox.
        is_new: Whether it was added by this call.
        registry: The rows of the experiment, including the change.
    """

    event: ExperimentChanged
    source_file: str
    is_new: bool
    registry: Registry


def register(inbox: Inbox, spec: ExperimentSpec, *, now: datetime) -> Registration:
    """Register an experiment; the same body again changes nothing.

    Args:
        inbox: Takes the event file.
        spec: The owner's registration.
        now: The time, as naive UTC.

    Raises:
        NewNameError: A new name in it is not acceptable.
        ConflictError: An experiment with a different body has this name.
        InboxError: The inbox cannot be written.
    """
    experiment_id = experiment_id_of(spec.name)
    held = registered(inbox, experiment_id)
    if held is None:
        _check_new_names(
            {("name",): spec.name}
            | {("variants", place, "name"): v.name for place, v in enumerate(spec.variants)}
        )
        event = ExperimentRegistered(
            **spec.model_dump(), experiment_id=experiment_id, created_at=now.replace(tzinfo=UTC)
        )
        payload = event.model_dump_json(indent=2, exclude_none=True).encode()
        try:
            inbox.write(f"experiments/{experiment_id}/registered.json", payload)
        except FileInInboxError:  # another process registered it at the same moment
            held = registered(inbox, experiment_id)
        else:
            return Registration(event, is_new=True)
    if held is None or held.spec != spec:
        raise ConflictError(
            f"The experiment {spec.name!r} ({experiment_id}) is already registered with a "
            "different body. Choose another name, or change the experiment by an event."
        )
    return Registration(held, is_new=False)


def registered(inbox: Inbox, experiment_id: str) -> ExperimentRegistered | None:
    """Return the first registration of an experiment, which counts; None if there is none."""
    events = []
    for file in inbox.event_files(experiment_id):
        content = inbox.read(file)
        try:
            event = parse_event(file.source_file, content.payload or b"")
        except UnreadableFileError:
            continue  # the pipeline quarantines it and reports its name and the reason
        if isinstance(event, ExperimentRegistered):
            events.append((event.created_at_utc, file.source_file, event))
    return min(events)[2] if events else None


def change(inbox: Inbox, experiment_id: str, spec: ChangeSpec, *, now: datetime) -> Change:
    """Change an experiment from tomorrow on; an equal change that is in force is not added again.

    Changes are numbered and each number is used once. Of two simultaneous changes the later one is
    therefore judged against the experiment as the earlier one left it.

    Args:
        inbox: Takes the event file.
        experiment_id: The experiment.
        spec: The owner's change.
        now: The time, as naive UTC.

    Raises:
        NewNameError: The new name of an added variant is not acceptable.
        NotRegisteredError: No such experiment is registered.
        ConflictError: The change contradicts the experiment's events.
        InboxError: The inbox cannot be written.
    """
    contents = _contents(inbox, experiment_id)
    before = fold_events(contents)
    if not before.experiments:
        raise NotRegisteredError(f"No experiment {experiment_id} is registered. Register it first.")
    if _holds(before, spec, day=now.date() + timedelta(days=1)):
        for source_file, event in reversed(before.changes.items()):
            if event.asks_the_same_as(spec):
                return Change(event, source_file, is_new=False, registry=before)
    known = {row["variant_name"] for row in before.variants}
    _check_new_names(
        {
            ("add_variants", place): name
            for place, name in enumerate(spec.add_variants)
            if name not in known
        }
    )
    moment = _after_the_last(before, now)
    event = ExperimentChanged(
        **spec.model_dump(), experiment_id=experiment_id, created_at=moment.replace(tzinfo=UTC)
    )
    payload = event.model_dump_json(indent=2, exclude_defaults=True).encode()
    source_file = f"experiments/{experiment_id}/changed-{_next_number(contents):04}.json"
    after = fold_events(contents | {source_file: Content(len(payload), "", payload)})
    for name in after.errors.keys() - before.errors.keys():
        other = "" if name == source_file else f"conflicts with {name}, which then "
        raise ConflictError(f"The change {other}{after.errors[name]}.")
    try:
        inbox.write(source_file, payload)
    except FileInInboxError:  # another process changed it at the same moment
        return change(inbox, experiment_id, spec, now=now)
    return Change(event, source_file, is_new=True, registry=after)


def _after_the_last(registry: Registry, now: datetime) -> datetime:
    """Return `now`, or just after the last change of the day if the clock is behind that."""
    today = [
        event.created_at_utc
        for event in registry.changes.values()
        if event.created_at_utc.date() == now.date()
    ]
    after = max(today, default=datetime.min) + timedelta(microseconds=1)  # noqa: DTZ901  # naive UTC
    return max(now, after) if after.date() == now.date() else now


def events_of(inbox: Inbox, experiment_id: str) -> Registry:
    """Return the folded events of one experiment."""
    return fold_events(_contents(inbox, experiment_id))


def _contents(inbox: Inbox, experiment_id: str) -> dict[str, Content]:
    return {file.source_file: inbox.read(file) for file in inbox.event_files(experiment_id)}


def _check_new_names(names: Mapping[Place, str]) -> None:
    if faults := new_name_faults(names):
        raise NewNameError(faults)


def _next_number(source_files: Iterable[str]) -> int:
    names = (name.rpartition("/")[2] for name in source_files)
    numbers = [int(found[1]) for name in names if (found := _NUMBERED.fullmatch(name))]
    return max(numbers, default=0) + 1


def _holds(registry: Registry, spec: ChangeSpec, *, day: date) -> bool:
    """Return whether everything that a change asks for holds on a day."""
    experiment, variants = true_on(registry, day)
    active = {row["variant_name"] for row in variants if row["status"] == "active"}
    return (
        spec.status in {None, experiment["status"]}
        and active.issuperset(spec.add_variants)
        and active.isdisjoint(spec.retire_variants)
        and (spec.decision is None or spec.decision.to_json() == experiment["decision"])
    )
