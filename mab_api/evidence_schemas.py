"""Models of the answers that explain a number: overview, daily counts, quality, explanation."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import Field

from mab_api.analysis_schemas import Interval, StopAdvice
from mab_api.shapes import (
    Count,
    DataSource,
    HeldBack,
    Messages,
    Metrics,
    Percentage,
    Posterior,
    Probability,
    Shape,
)


class Leader(Shape):
    """The variant with the highest probability to be the best."""

    variant_name: str
    probability_best: Probability
    expected_loss: float
    probability_beats_control: Probability | None
    lift: float | None
    lift_interval: Interval | None


class Share(Shape):
    """A variant's share on the effective date and before."""

    variant_name: str
    is_control: bool
    allocation_percentage: Percentage
    previous_percentage: Annotated[
        Percentage | None, Field(description="Of the publication before; null if it had none.")
    ]
    data_source: DataSource


class OverviewHold(HeldBack):
    """Why a newer allocation is not served, also as codes."""

    messages: Messages


class Overview(Shape):
    """The summary of an experiment in a list."""

    advice: Annotated[StopAdvice | None, Field(description="Null without an analysis.")]
    leader: Leader | None
    as_of_date: date
    effective_date: date
    published_at: datetime
    data_through: date | None
    fresh_until: Annotated[
        datetime | None, Field(description="Stale after this moment; null if it is frozen.")
    ]
    held_back: OverviewHold | None
    days: Annotated[Count, Field(description="Days with accepted counts.")]
    impressions: Annotated[Count, Field(description="Accepted impressions of all days.")]
    rejected_rows: Annotated[
        Count | None, Field(description="Of the analysed as-of date; null if it is not known.")
    ]
    shares: list[Share]


class Counted(Shape):
    """Accepted counts of a variant on a day, and the file that they came from."""

    variant_name: str
    impressions: Count
    clicks: Count
    ctr: Probability | None
    source_file: Annotated[str, Field(description="Below the inbox.")]
    received_at: datetime


class CountedDay(Shape):
    """Accepted counts of a day."""

    date: date
    variants: list[Counted]


class Daily(Shape):
    """A page of days with accepted counts, oldest first."""

    experiment_id: str
    experiment_name: str
    days: list[CountedDay]
    next_cursor: str | None


class FileVerdict(Shape):
    """Rows of a file with the same verdict."""

    source_file: Annotated[str, Field(description="Below the inbox.")]
    received_at: datetime
    verdict: Annotated[str, Field(description="accepted, superseded, or why they are rejected.")]
    row_count: Count
    variant_name: Annotated[str | None, Field(description="The first of them by name.")]


class QualityDay(Shape):
    """Rows of a day: received = accepted + superseded + rejected."""

    date: date
    received: Count
    accepted: Count
    superseded: Count
    rejected: Count
    files: list[FileVerdict]


class Quality(Shape):
    """A page of days with received rows, oldest first."""

    experiment_id: str
    experiment_name: str
    days: list[QualityDay]
    next_cursor: str | None


class ReceivedRow(Shape):
    """A row as it was received, and its verdict."""

    date: date
    source_file: Annotated[str, Field(description="Below the inbox.")]
    row_number: Annotated[Count, Field(description="From 1; 0 for a file that has no rows.")]
    received_at: datetime
    verdict: Annotated[str, Field(description="accepted, superseded, or why it is rejected.")]
    experiment: Annotated[str | None, Field(description="As received, like the next three.")]
    variant_name: str | None
    impressions: str | None
    clicks: str | None
    error: Annotated[str | None, Field(description="Why the file cannot be read.")]


class Rows(Shape):
    """A page of received rows, by day, file and place."""

    experiment_id: str
    experiment_name: str
    rows: list[ReceivedRow]
    next_cursor: str | None


class ExplainedVariant(Shape):
    """A variant's share and the evidence for it."""

    variant_name: str
    allocation_percentage: Percentage
    probability_best: Probability
    metrics: Metrics
    posterior: Posterior
    data_source: DataSource
    window_days: int
    default_window_impressions: Count | None
    max_window_impressions: Count | None
    window_reason: str


class ExplainedDay(Shape):
    """Accepted counts of a day of the longest window."""

    date: date
    is_in_default_window: bool
    variants: list[Counted]


class NotCounted(Shape):
    """Rows of the longest window that do not count."""

    variant_name: str | None
    verdict: str
    row_count: Count
    first_date: date
    last_date: date
    text: str


class ExplainedChange(Shape):
    """A change by the owner that explains a share or the lack of one."""

    variant_name: Annotated[str | None, Field(description="Null: of the experiment itself.")]
    status: str
    valid_from_date: date
    text: str


class ExplainedHold(Shape):
    """A finding of the gate."""

    held_at: datetime
    reason: str
    detail: str
    messages: Messages


class Explanation(Shape):
    """How each variant got its share: what `mab explain` says, as data."""

    experiment_id: str
    experiment_name: str
    as_of_date: date
    effective_date: date
    allocation_id: str
    computed_at: datetime
    published_at: datetime | None
    versions: Annotated[list[str], Field(description="Decisions of the day, last published first.")]
    reason: str
    algorithm: str
    samples: Annotated[Count, Field(description="Draws; 0 if the exact value is used.")]
    seed: Annotated[str, Field(description="63 bits, more than a number of JavaScript holds.")]
    settings: dict[str, Any]
    variants: list[ExplainedVariant]
    days: list[ExplainedDay]
    not_counted: list[NotCounted]
    changes: list[ExplainedChange]
    holds: list[ExplainedHold]
    replay_command: str
