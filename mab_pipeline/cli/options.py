"""Options that several verbs share."""

from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mab_store.settings import Settings

if TYPE_CHECKING:
    from mab_pipeline.resources import Platform

DAY = ["%Y-%m-%d"]
Day = Annotated[datetime | None, typer.Option("--date", formats=DAY, help="Day of the data (UTC).")]
AsOfDate = Annotated[
    datetime | None,
    typer.Option("--date", formats=DAY, help="As-of date: last day of the evidence (UTC)."),
]
Experiment = Annotated[str, typer.Argument(help="Experiment id or name.")]
AcceptLoss = Annotated[
    bool,
    typer.Option(
        "--accept-loss", help="Publish although readers lose experiments or days served now."
    ),
]


def to_date(value: datetime | None) -> date | None:
    """Return the day of an option, which Typer gives as a moment."""
    return value.date() if value else None


def prepared(settings: Settings, *, makes_inbox: bool = False) -> "Platform":
    """Create the folders of MAB_HOME and open the shared resources."""
    from mab_pipeline.operations.dagster_home import prepared_platform

    return prepared_platform(settings, makes_inbox=makes_inbox)
