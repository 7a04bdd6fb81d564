"""The published list, checked once and laid out so that an assignment is two look-ups."""

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from mab_client.buckets import BUCKETS

Source = Literal["allocation", "sticky", "control", "default"]


class DocumentError(ValueError):
    """A document that is not a list of allocations."""


class Assignment(NamedTuple):
    """The variant that a session sees.

    Attributes:
        experiment_id: The experiment's id; the name asked for if the client does not know
            it.
        variant: The variant's name; None if nothing is known and no default was given.
        source: `allocation` (its bucket says so), `sticky` (the session had it before), `control`
            (the session's name could not be hashed) or `default` (the client does not know the
            experiment).
        allocation_id: The published decision behind it; None for a default.
    """

    experiment_id: str
    variant: str | None
    source: Source
    allocation_id: str | None = None


class Experiment(NamedTuple):
    """One experiment's allocation.

    Attributes:
        experiment_id: Salt of the hash.
        name: Its name.
        variants: The possible assignments by the variant's name: every live variant, with or
            without buckets.
        places: 100 assignments, one for each bucket.
        control: The assignment to the control.
    """

    experiment_id: str
    name: str
    variants: dict[str, Assignment]
    places: tuple[Assignment, ...]
    control: Assignment


class Document(NamedTuple):
    """All experiments of a publication.

    Attributes:
        by_key: The experiments by id, and by name where no id is spelled like it.
        experiments: How many there are.
        refused: Why an experiment was left out, by its place or id.
    """

    by_key: dict[str, Experiment]
    experiments: int
    refused: dict[str, str]

    @classmethod
    def of(cls, body: bytes | str, before: "Document | None" = None) -> "Document":
        """Read the answer of `GET /allocations`.

        Args:
            body: The answer.
            before: The document until now: what cannot be read today stays as it was there.

        Raises:
            DocumentError: It is not JSON, or not the whole list of experiments.
        """
        experiments: dict[str, Experiment] = {}
        refused: dict[str, str] = {}
        for place, given in enumerate(_listed(body)):
            try:
                experiment = _experiment(given)
            except (KeyError, TypeError, ValueError) as error:
                key = _id_of(given) or f"number {place}"
                refused[key] = f"{type(error).__name__}: {error}"
                held = before.by_key.get(key) if before else None
                if held is not None:
                    experiments[held.experiment_id] = held
            else:
                experiments[experiment.experiment_id] = experiment
        by_name = {experiment.name: experiment for experiment in experiments.values()}
        return cls(by_name | experiments, len(experiments), refused)


def _listed(body: bytes | str) -> list[Any]:
    try:
        document = json.loads(body)
        listed, cursor = document["experiments"], document.get("next_cursor")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DocumentError(f"not a list of allocations: {error}") from None
    if not isinstance(listed, list):
        raise DocumentError("not a list of allocations: `experiments` is no list")
    if cursor is not None:
        raise DocumentError("not the whole list of allocations: there is a next page")
    return listed


def _id_of(given: object) -> str | None:
    found = given.get("experiment_id") if isinstance(given, Mapping) else None
    return found if isinstance(found, str) else None


def _experiment(given: Mapping[str, Any]) -> Experiment:
    """Read one experiment; keys that later versions add are ignored."""
    experiment_id, allocation_id = _text(given, "experiment_id"), _text(given, "allocation_id")
    variants: dict[str, Assignment] = {}
    places: list[Assignment | None] = [None] * BUCKETS
    controls = []
    for entry in given["allocations"]:
        name = _text(entry, "variant_name")
        if name in variants:
            raise ValueError(f"{name!r} is listed twice")
        variants[name] = Assignment(experiment_id, name, "allocation", allocation_id)
        if entry["is_control"] is True:
            controls.append(name)
        for first, last in entry["buckets"]:
            if not (type(first) is type(last) is int and 0 <= first <= last < BUCKETS):
                raise ValueError(f"[{first!r}, {last!r}] is no range of buckets")
            for number in range(first, last + 1):
                if places[number] is not None:
                    raise ValueError(f"bucket {number} belongs to two variants")
                places[number] = variants[name]
    whole = tuple(place for place in places if place is not None)
    if len(whole) < BUCKETS:
        raise ValueError(f"{BUCKETS - len(whole)} buckets belong to no variant")
    (control,) = controls
    return Experiment(
        experiment_id,
        _text(given, "experiment_name"),
        variants,
        whole,
        variants[control]._replace(source="control"),
    )


def _text(given: Mapping[str, Any], key: str) -> str:
    value = given[key]
    if not isinstance(value, str) or not value:
        raise TypeError(f"{key} is no text")
    return value
