"""The shapes of bodies, as OpenAPI shows them: one pydantic model per body.

Answers are encoded elsewhere, from published data: their models document them, and tests compare
the two. The body of a POST is validated by its model (those of an experiment and of a change are
in `mab_store.experiments.schemas`).
"""

import re
from datetime import date, datetime
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    model_validator,
)

from mab_api.evidence_schemas import Overview
from mab_api.shapes import (
    Count,
    DataSource,
    HeldBack,
    Metrics,
    Percentage,
    Posterior,
    Probability,
    Shape,
)
from mab_store.experiments.schemas import ExperimentSpec


def _iso_day(value: object) -> object:
    """Refuse a count of seconds since 1970, which pydantic would take for a day."""
    if not isinstance(value, str):
        return value
    if not _DAY.fullmatch(value):
        raise ValueError("must be a day, YYYY-MM-DD")
    return date.fromisoformat(value)


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
Day = Annotated[date, BeforeValidator(_iso_day)]
Status = Literal["running", "paused", "finished"]
Bucket = Annotated[int, Field(ge=0, le=99)]


class Problem(Shape):
    """Every error: RFC 9457, `application/problem+json`."""

    type: Annotated[str, Field(pattern="^urn:mab:problem:[a-z-]+$")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    request_id: str
    errors: list["Fault"] | None = None


class Fault(Shape):
    """An invalid place in the request."""

    pointer: Annotated[str, Field(description="JSON pointer (RFC 6901).")]
    detail: str


class VariantAllocation(Shape):
    """A variant's share of the traffic, and the evidence for it."""

    variant_name: str
    is_control: bool
    allocation_percentage: Percentage
    metrics: Metrics
    data_source: DataSource
    window_days: int
    probability_best: Probability
    posterior: Posterior
    buckets: Annotated[
        list[Annotated[list[Bucket], Field(min_length=2, max_length=2)]],
        Field(description="Inclusive ranges of 0..99; see `/experiments/{id}/assignment`."),
    ]


class Allocation(Shape):
    """The shares of a day's sessions."""

    experiment_id: str
    experiment_name: str
    computed_at: datetime
    algorithm: str
    window_days: Annotated[int, Field(description="The widest window that a variant needed.")]
    allocations: list[VariantAllocation]
    allocation_id: str
    as_of_date: Annotated[date, Field(description="Last day of the evidence.")]
    effective_date: Annotated[date, Field(description="Day of the shares: as_of_date + 1.")]
    is_stale: Annotated[bool, Field(description="A newer one is overdue.")]
    is_frozen: Annotated[bool, Field(description="Paused or finished: it does not change.")]
    status: Status
    published_at: datetime
    data_through: Annotated[date | None, Field(description="Last day with accepted impressions.")]
    held_back: HeldBack | None


class AllocationList(Shape):
    """Allocations of all running and paused experiments."""

    experiments: list[Allocation]
    next_cursor: Annotated[None, Field(description="Always null: the list is complete.")]


class RegisteredVariant(Shape):
    """A variant of a registered experiment."""

    name: str
    is_control: bool
    status: Literal["active", "retired"]


class Experiment(Shape):
    """A registered experiment."""

    experiment_id: Annotated[str, Field(pattern="^exp_[0-9a-f]{12}$")]
    name: str
    description: str | None
    start_date: date | None
    variants: list[RegisteredVariant]
    status: Status
    decision: Annotated[
        dict[str, str | float] | None,
        Field(description="Options of the rule that it has of its own; null if it has none."),
    ]
    created_at: datetime


class ChangedExperiment(Experiment):
    """An experiment with a change applied."""

    effective_date: Annotated[date, Field(description="First day of this state.")]


class Change(Shape):
    """A change, its author and its time; parts that did not change are null or empty."""

    changed_at: datetime
    effective_date: Annotated[date, Field(description="First day on which it holds.")]
    changed_by: Annotated[str | None, Field(description="Null if a file names no author.")]
    reason: str | None
    status: Status | None
    add_variants: list[str]
    retire_variants: list[str]
    decision: Annotated[
        dict[str, str | float] | None,
        Field(description="Options of the rule that replace the experiment's own from then on."),
    ]
    source_file: Annotated[str, Field(description="The event's file, below the inbox.")]


class ChangeList(Shape):
    """A page of changes, oldest first."""

    experiment_id: str
    experiment_name: str
    changes: list[Change]
    next_cursor: str | None


class ListedExperiment(Experiment):
    """An experiment in a list."""

    overview: Annotated[
        Overview | None, Field(description="Null until an allocation of it is published.")
    ]


class ExperimentList(Shape):
    """A page of experiments, by name."""

    experiments: list[ListedExperiment]
    next_cursor: str | None


class Assignment(Shape):
    """Which variant a session sees."""

    experiment_id: str
    session_id: str
    bucket: Bucket
    variant_name: str
    allocation_id: str


class DayMetrics(Shape):
    """Accepted counts of a variant on a day."""

    date: date
    variant_name: str
    impressions: Count
    clicks: Count
    ctr: Probability | None
    received_at: datetime


class History(Shape):
    """A page of accepted counts, oldest first."""

    experiment_id: str
    experiment_name: str
    history: list[DayMetrics]
    next_cursor: str | None


class Publication(Shape):
    """A published allocation of a day."""

    as_of_date: date
    effective_date: date
    published_at: datetime
    was_live: Annotated[bool, Field(description="The effective date was not yet past.")]
    allocation_id: str
    computed_at: datetime
    algorithm: str
    window_days: int
    data_through: date | None
    allocations: list[VariantAllocation]


class PublicationHistory(Shape):
    """A page of publications, oldest first."""

    experiment_id: str
    experiment_name: str
    publications: list[Publication]
    next_cursor: str | None


def _in_this_century(day: date) -> date:
    """Refuse a year in which no experiment can begin."""
    if not 2000 <= day.year < 2100:
        raise ValueError("must lie in the years 2000 to 2099")
    return day


class NewExperiment(ExperimentSpec):
    """Body of `POST /experiments`; files in the inbox may hold other start dates."""

    start_date: Annotated[Day, AfterValidator(_in_this_century)] | None = None


class VariantCounts(Shape):
    """Counts of a variant on the day: integers, written without a decimal point."""

    variant_name: Annotated[str, Field(min_length=1, max_length=200)]
    impressions: Count
    clicks: Annotated[Count, Field(description="At most the impressions.")]

    @model_validator(mode="after")
    def _clicks_fit(self) -> Self:
        if self.clicks > self.impressions:
            raise ValueError("clicks must not exceed impressions")
        return self


class MetricsSubmission(Shape):
    """Body of `POST /experiments/{id}/metrics`: the counts of one day."""

    date: Annotated[Day, Field(description="Day of the counts (UTC), today at the latest.")]
    metrics: Annotated[list[VariantCounts], Field(min_length=1, max_length=1000)]

    @model_validator(mode="after")
    def _names_a_variant_once(self) -> Self:
        names = [counts.variant_name for counts in self.metrics]
        if len(set(names)) < len(names):
            raise ValueError("metrics must not name a variant twice")
        return self


class Receipt(Shape):
    """The submission is on disk; the next run of the pipeline reads it."""

    submission_id: str
    received_at: datetime
    experiment_id: str
    date: date


class Health(Shape):
    """The process answers."""

    status: Literal["ok"]


class RefusedCopy(Shape):
    """A newer copy that lost served data."""

    version: str
    reason: Annotated[str, Field(description="The data that it lost.")]


class Readiness(Shape):
    """Allocations are served."""

    status: Literal["ready"]
    experiments: Annotated[int, Field(ge=0)]
    published_at: datetime | None
    stale_seconds: Annotated[float, Field(ge=0, description="Since the last good refresh.")]
    refused: Annotated[
        RefusedCopy | None, Field(description="A newer copy that is not served, or null.")
    ]
