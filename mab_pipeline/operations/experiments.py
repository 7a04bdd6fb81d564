"""Register, list and change experiments, by the same events as the API.

The inbox is read, so an experiment is listed from the moment it is registered. Dagster is not
needed.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mab_pipeline.resources import inbox_fault, open_inbox
from mab_store.clock import utc_now
from mab_store.errors import HomeError, NotRegisteredError, UsageError
from mab_store.experiments.events import Registry, fold_events, true_on, validation_faults
from mab_store.experiments.registration import Change, Registration, change, register
from mab_store.experiments.schemas import (
    ChangeSpec,
    ExperimentChanged,
    ExperimentSpec,
    experiment_id_of,
)
from mab_store.files.inbox import Inbox
from mab_store.files.inbox_file import InboxFile
from mab_store.settings import Settings

Model = TypeVar("Model", bound=BaseModel)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Listed:
    """An experiment as it is today, and what is ahead.

    Attributes:
        row: Its row of `experiments` that is valid today.
        variants: Its rows of `variants` that are valid today, by position.
        changes: Its valid changes, in order; the last ones may begin tomorrow.
        errors: Event files of it that could not be used, with the reason.
    """

    row: Row
    variants: list[Row]
    changes: list[ExperimentChanged]
    errors: dict[str, str]

    def ahead(self, today: date) -> list[ExperimentChanged]:
        """Return the changes that are not in force yet."""
        return [event for event in self.changes if event.effective_date > today]


def create(settings: Settings, body: Row) -> Registration:
    """Register an experiment.

    Args:
        settings: The settings.
        body: Fields of `ExperimentSpec`.

    Raises:
        UsageError: The body is no registration; the message names each fault.
        ConflictError: A different experiment has the name, or a name is not acceptable.
        InboxError: The inbox cannot be written.
    """
    return register(_inbox(settings), _parsed(ExperimentSpec, body), now=utc_now())


def change_experiment(settings: Settings, experiment: str, body: Row) -> Change:
    """Change an experiment from tomorrow on.

    Args:
        settings: The settings.
        experiment: Its id or name.
        body: Fields of `ChangeSpec`.

    Raises:
        UsageError: The body is no change; the message names each fault.
        NotRegisteredError: There is no such experiment.
        ConflictError: The change contradicts earlier events.
        InboxError: The inbox cannot be written.
    """
    spec, inbox = _parsed(ChangeSpec, body), _inbox(settings)
    experiment_id = find_experiment(settings, experiment).row["experiment_id"]
    return change(inbox, experiment_id, spec, now=utc_now())


def find_experiment(settings: Settings, experiment: str) -> Listed:
    """Return the experiment with this id or name.

    Raises:
        NotRegisteredError: There is none.
    """
    inbox = _inbox(settings)
    held = set(inbox.experiment_ids())
    for experiment_id in (experiment, experiment_id_of(experiment)):
        if experiment_id in held and (found := _listed(inbox, inbox.event_files(experiment_id))):
            return found
    raise NotRegisteredError(
        f"No experiment {experiment!r} is registered, by id or name. `mab experiments list` shows "
        "those that are."
    )


def list_experiments(settings: Settings) -> list[Listed]:
    """Return all registered experiments, by name."""
    inbox = _inbox(settings)
    folders: dict[str, list[InboxFile]] = defaultdict(list)
    for file in inbox.experiment_files():
        folders[file.source_file.split("/")[1]].append(file)
    found = filter(None, (_listed(inbox, files) for files in folders.values()))
    return sorted(found, key=lambda listed: str(listed.row["experiment_name"]))


def _listed(inbox: Inbox, files: Iterable[InboxFile]) -> Listed | None:
    registry: Registry = fold_events({file.source_file: inbox.read(file) for file in files})
    if not registry.experiments:
        return None
    row, variants = true_on(registry, utc_now().date())
    return Listed(row, variants, list(registry.changes.values()), registry.errors)


def changes_in_words(
    changes: Sequence[ExperimentChanged], *, is_brief: bool = False
) -> Iterator[str]:
    """Yield what each change does and when; by whom and why too, unless it is to be brief."""
    for event in changes:
        what = [f"status {event.status}"] if event.status else []
        what += [f"adds {name}" for name in event.add_variants]
        what += [f"retires {name}" for name in event.retire_variants]
        if event.decision is not None:
            what.append(options_in_words(event.decision.to_json()))
        by = f", by {event.changed_by}" if event.changed_by and not is_brief else ""
        why = f": {event.reason}" if event.reason and not is_brief else ""
        yield f"from {event.effective_date} on: {', '.join(what)}{by}{why}"


def options_in_words(text: str | None) -> str:
    """Name an experiment's own options of the rule.

    Args:
        text: The options as `experiments.decision` has them; None if there are none.
    """
    if text is None:
        return "options of the installation"
    own = json.loads(text)
    # Its preset asks for 28 days, but the windows of all experiments are summed at once.
    windows = (
        " (with the windows of the installation)" if own.get("decision_preset") == "robust" else ""
    )
    given = ", ".join(f"{name.upper()}={value}" for name, value in own.items())
    return f"options of its own: {given}{windows}"


def _inbox(settings: Settings) -> Inbox:
    if fault := inbox_fault(settings):
        raise HomeError(fault)
    return open_inbox(settings)


def _parsed(model: type[Model], body: Row) -> Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        text = validation_faults(error).replace("Value error, ", "")
        raise UsageError(f"{text}. Correct it and run it again; nothing was stored.") from None
