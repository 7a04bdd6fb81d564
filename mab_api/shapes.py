"""Parts of models that several bodies share."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0, lt=2**53)]
DataSource = Literal["default_window", "max_window", "prior"]
Percentage = Annotated[float, Field(ge=0, le=100)]
Probability = Annotated[float, Field(ge=0, le=1)]


class Shape(BaseModel):
    """A body, or a part of one: immutable, and nothing else is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Metrics(Shape):
    """The counts that the posterior used."""

    impressions: Count
    clicks: Count
    ctr: Annotated[Probability | None, Field(description="clicks / impressions; null for 0/0.")]


class Posterior(Shape):
    """Parameters of the variant's Beta posterior."""

    alpha: Annotated[float, Field(gt=0)]
    beta: Annotated[float, Field(gt=0)]


class Message(Shape):
    """A sentence, or a part of one, for those who say it in another language."""

    code: str
    parameters: Annotated[dict[str, str], Field(description="As the sentence has them.")]


Messages = Annotated[
    list[Message],
    Field(description="The same as codes; none if a sentence is not known."),
]


class HeldBack(Shape):
    """Why a newer allocation is not served."""

    reason: str
    detail: str
