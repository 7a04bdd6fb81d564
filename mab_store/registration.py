"""Registering and changing experiments: the one way to add an event of ours to the inbox.

What belongs here: writing event files, and refusing what contradicts what is there. What does not:
folding events into tables (`experiment_events.py`).
"""

from datetime import UTC, datetime
from typing import NamedTuple

from mab_store.contracts import (
    ExperimentChanged,
    ExperimentRegistered,
    ExperimentSpec,
    experiment_id_of,
)
from mab_store.errors import ConflictError, FileInInboxError, UnreadableFileError
from mab_store.experiment_events import parse_event
from mab_store.inbox import Inbox


class Registration(NamedTuple):
    """What came of a registration.

    Attributes:
        event: The registration that holds.
        is_new: Whether it was added by this call.
    """

    event: ExperimentRegistered
    is_new: bool


def register(inbox: Inbox, spec: ExperimentSpec, *, now: datetime) -> Registration:
    """Register an experiment; the same body again changes nothing.

    Args:
        inbox: Where the event file goes.
        spec: What the owner registers.
        now: The time, as naive UTC.

    Raises:
        ConflictError: The name is taken by an experiment with another body.
        InboxError: The inbox cannot be written.
    """
    experiment_id = experiment_id_of(spec.name)
    held = registered(inbox, experiment_id)
    if held is None:
        event = ExperimentRegistered(
            **spec.model_dump(), experiment_id=experiment_id, created_at=now.replace(tzinfo=UTC)
        )
        payload = event.model_dump_json(indent=2, exclude_none=True).encode()
        try:
            inbox.write(f"experiments/{experiment_id}/registered.json", payload)
        except FileInInboxError:  # somebody registered it in this very moment
            held = registered(inbox, experiment_id)
        else:
            return Registration(event, is_new=True)
    if held is None or held.spec != spec:
        raise ConflictError(
            f"The experiment {spec.name!r} ({experiment_id}) is registered already with another "
            "body. Choose another name, or change it by an event."
        )
    return Registration(held, is_new=False)


def registered(inbox: Inbox, experiment_id: str) -> ExperimentRegistered | None:
    """Return the registration of an experiment that holds: the first; None where there is none."""
    events = []
    for file in inbox.event_files(experiment_id):
        content = inbox.read(file)
        try:
            event = parse_event(file.source_file, content.payload or b"")
        except UnreadableFileError:
            continue  # the pipeline quarantines it, with its name and why
        if isinstance(event, ExperimentRegistered):
            events.append((event.created_at_utc, file.source_file, event))
    return min(events)[2] if events else None


def record_change(inbox: Inbox, change: ExperimentChanged) -> str:
    """Add a change of an experiment; it is true from the day after it was made.

    Returns:
        The event file's name below the inbox.

    Raises:
        ConflictError: No such experiment is registered.
        InboxError: The inbox cannot be written, or holds a change of that moment already.
    """
    if registered(inbox, change.experiment_id) is None:
        raise ConflictError(
            f"No experiment {change.experiment_id} is registered. Register it first."
        )
    name = (
        f"experiments/{change.experiment_id}/changed-{change.created_at_utc:%Y%m%dT%H%M%S%f}.json"
    )
    inbox.write(name, change.model_dump_json(indent=2, exclude_none=True).encode())
    return name
