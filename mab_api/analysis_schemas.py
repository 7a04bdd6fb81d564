"""Models of the answer of `GET /experiments/{id}/analysis`, for the OpenAPI document."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from mab_api.shapes import Count, Messages, Probability, Shape

Verdict = Literal["keep_running", "safe_to_stop", "winner", "data_problem"]
Interval = Annotated[list[float], Field(min_length=2, max_length=2)]


class Estimate(Shape):
    """A number with its standard error."""

    estimate: float
    standard_error: Annotated[float, Field(ge=0)]


class VariantAnalysis(Shape):
    """One variant; comparisons with the control are null for the control and without one."""

    variant_name: str
    mean: Probability
    credible_interval: Annotated[Interval, Field(description="95 % interval of the click rate.")]
    probability_best: Probability
    probability_beats_control: Probability | None
    lift: Annotated[float | None, Field(description="mean / the control's mean - 1")]
    lift_interval: Annotated[Interval | None, Field(description="95 % interval of the lift.")]
    expected_loss: Annotated[float, Field(description="Clicks per impression lost by choosing it.")]
    difference: Annotated[
        Estimate | None,
        Field(description="Rate less the control's, day by day: right although shares moved."),
    ]
    rate_over_all_traffic: Annotated[
        Estimate | None, Field(description="By inverse probability; null without exploration.")
    ]


class SampleRatio(Shape):
    """Whether the impressions follow the published shares."""

    p_value: Annotated[Probability | None, Field(description="Below 0.001 they do not.")]
    days: Annotated[int, Field(ge=0)]
    observed: list[float]
    expected: list[float]
    note: Annotated[
        str,
        Field(
            description="Why it was not tested, or which variants were counted as one; else empty."
        ),
    ]
    messages: Messages


class StopAdvice(Shape):
    """Whether the experiment may stop; nothing acts on it."""

    verdict: Verdict
    variant_name: Annotated[str | None, Field(description="The variant to choose.")]
    reason: str
    error_rate: Annotated[
        str | None, Field(description="How often the rule of this verdict is wrong, as measured.")
    ]
    messages: Messages


class Analysis(Shape):
    """Intervals, checks and the stop advice of an allocation, made at its publication."""

    experiment_id: str
    experiment_name: str
    as_of_date: Annotated[date, Field(description="Last day of the evidence.")]
    analysed_at: datetime
    allocation_id: str
    is_published: Annotated[bool, Field(description="False: the allocation was held back.")]
    variants: list[VariantAnalysis]
    control: str | None
    first_day: Annotated[date | None, Field(description="First day of the evidence of all days.")]
    days: Annotated[int, Field(ge=0)]
    value_remaining: Annotated[
        float, Field(description="Relative gain that another variant may still bring, at 95 %.")
    ]
    overdispersion: Annotated[float | None, Field(description="phi across days; 1 is chance.")]
    rate_note: str
    sample_ratio: SampleRatio
    advice: StopAdvice
    rejected_rows: Annotated[
        Count | None,
        Field(description="Of the as-of date; null in an analysis of an older version."),
    ]
