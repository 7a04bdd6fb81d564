"""Pydantic models of experiment events: an event file, or a body of `POST` and `PATCH`."""

import hashlib
import json
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from mab_store.plain_text import fault_of_new_name
from mab_store.rule_options import Estimate, Preset, Prior, ShortWindow, Switch

MAX_VARIANTS = 100
Place = tuple[str | int, ...]


def _printable(text: str) -> str:
    if text != text.strip():
        raise ValueError("must not begin or end with white space")
    if text.isascii() and text.isprintable():
        return text  # as all but a few are, in a tenth of the time
    if any(unicodedata.category(character) in {"Cc", "Cs"} for character in text):
        raise ValueError("must not contain control characters")
    return text


def _new_name(text: str) -> str:
    if fault := fault_of_new_name(text):
        raise ValueError(fault)
    return text


def _on_the_calendar(stamp: datetime) -> datetime:
    """Refuse a time whose UTC value or following day a datetime cannot represent."""
    if not 1900 < stamp.year < 9999:
        raise ValueError("must lie in the years 1901 to 9998")
    return stamp


# An existing name has this shape. A new name has to satisfy more: `new_name_faults`.
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_printable)]
NewName = Annotated[Name, AfterValidator(_new_name)]
ExperimentId = Annotated[str, Field(pattern=r"^exp_[0-9a-f]{12}$")]


def experiment_id_of(name: str) -> str:
    """Return the experiment's id: the same name gives the same id everywhere."""
    return "exp_" + hashlib.sha256(name.encode()).hexdigest()[:12]


def new_name_faults(names: Mapping[Place, str]) -> dict[Place, str]:
    """Return the faults of new names, by their place in a body; empty if all are acceptable."""
    faults = ((place, fault_of_new_name(name)) for place, name in names.items())
    return {place: fault for place, fault in faults if fault}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class VariantSpec(_Body):
    """A variant as its owner names it."""

    name: Name
    is_control: bool = False


Part = Annotated[float, Field(ge=0, le=1, strict=True, allow_inf_nan=False)]


class DecisionSpec(_Body):
    """Options of the rule that an experiment has of its own (docs/adr/0022).

    Those that are left out are the installation's; with a preset, the preset's.
    """

    decision_preset: Preset | None = None
    burn_in: Switch | None = None
    exploration: Part | None = None
    control_min_allocation: Part | None = None
    short_window: ShortWindow | None = None
    estimate: Estimate | None = None
    prior: Prior | None = None

    def to_json(self) -> str | None:
        """Return the options as canonical JSON; None if there are none."""
        own = self.model_dump(exclude_none=True)
        return json.dumps(own, sort_keys=True, separators=(",", ":")) if own else None


class ExperimentSpec(_Body):
    """Body of `POST /experiments`: the experiment to register."""

    name: Name
    description: Annotated[str, Field(max_length=2000)] | None = None
    start_date: date | None = None
    decision: DecisionSpec | None = None
    variants: Annotated[list[VariantSpec], Field(min_length=2, max_length=MAX_VARIANTS)]

    @model_validator(mode="after")
    def _variants_make_sense(self) -> Self:
        names = [variant.name for variant in self.variants]
        if len(set(names)) < len(names):
            raise ValueError("variant names must be distinct")
        controls = sum(variant.is_control for variant in self.variants)
        if controls != 1:
            raise ValueError(f"exactly one variant must be the control, not {controls}")
        return self


class _Event(_Body):
    experiment_id: ExperimentId
    created_at: Annotated[AwareDatetime, AfterValidator(_on_the_calendar)]

    @property
    def created_at_utc(self) -> datetime:
        """When the event was made, as naive UTC, the warehouse's form of a time."""
        return self.created_at.astimezone(UTC).replace(tzinfo=None)


class ExperimentRegistered(ExperimentSpec, _Event):
    """First event of an experiment; valid from the beginning of time."""

    @model_validator(mode="after")
    def _id_follows_from_name(self) -> Self:
        if self.experiment_id != experiment_id_of(self.name):
            raise ValueError(
                f"experiment_id must be {experiment_id_of(self.name)}, the hash of the name"
            )
        return self

    @property
    def spec(self) -> ExperimentSpec:
        """The registration without its time; two registrations conflict if these differ."""
        return ExperimentSpec(**self.model_dump(exclude={"experiment_id", "created_at"}))


class _Change(_Body):
    """A change of an experiment and its reason; never of the name, as the id follows from it."""

    reason: Annotated[str, Field(max_length=2000)] | None = None
    status: Literal["running", "paused", "finished"] | None = None
    add_variants: Annotated[list[Name], Field(max_length=MAX_VARIANTS)] = []
    retire_variants: Annotated[list[Name], Field(max_length=MAX_VARIANTS)] = []
    decision: Annotated[
        DecisionSpec | None,
        Field(description="Replaces the experiment's own options; {} removes them."),
    ] = None

    @model_validator(mode="before")
    @classmethod
    def _renames_nothing(cls, document: Any) -> Any:
        if isinstance(document, dict) and "name" in document:
            raise ValueError(
                "an experiment is never renamed, since its id and its sessions' buckets follow "
                "from the name; leave `name` out, or register another experiment"
            )
        return document

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        changes = (self.status, self.add_variants, self.retire_variants)
        if not any(changes) and self.decision is None:
            raise ValueError("must set status, add_variants, retire_variants or decision")
        names = [*self.add_variants, *self.retire_variants]
        if len(set(names)) < len(names):
            raise ValueError("must not name a variant twice")
        return self


class ChangeSpec(_Change):
    """Body of `PATCH /experiments/{id}`: a change that takes effect tomorrow."""

    changed_by: NewName


class ExperimentChanged(_Change, _Event):
    """A later event of an experiment; valid from the day after it was made.

    A file dropped by hand may lack `changed_by`; our own writers always set it.
    """

    changed_by: Annotated[str, Field(max_length=200)] | None = None

    @property
    def effective_date(self) -> date:
        """First day (UTC) on which it is valid."""
        return self.created_at_utc.date() + timedelta(days=1)

    def asks_the_same_as(self, spec: ChangeSpec) -> bool:
        """Return whether it is the same change, whatever its time."""
        return self.model_dump(exclude={"experiment_id", "created_at"}) == spec.model_dump()


ExperimentEvent = ExperimentRegistered | ExperimentChanged
