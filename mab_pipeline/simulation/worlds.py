"""Worlds: true click-through rates and traffic by day, as a TOML file describes them."""

import tomllib
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mab_store.errors import UsageError
from mab_store.plain_text import plain

FloatArray = npt.NDArray[np.float64]

WEEK = 7
_SUM_TOLERANCE = 1e-9

Number = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Day = Annotated[int, Field(ge=1)]
Traffic = Annotated[int, Field(ge=0, le=10**9)]
Spread = Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)]
Trend = Annotated[float, Field(ge=-1, le=100, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)


class Change(_Table):
    """New rates from a day on."""

    day: Day
    rates: list[Rate]


class World(_Table):
    """True rates of an experiment, and its traffic.

    Attributes:
        name: Letters, digits, `_` and `-`.
        description: One sentence for the reader of a table.
        days: Days with traffic, 1 to 1,000.
        traffic: Impressions of a day, or of each of seven days, in turn from day 1.
        rates: True click-through rate of each variant, 0 to 1, or one for each day.
        changes: New rates of all variants from a day on; only with rates that are numbers.
        joins: First day of each variant; 1 if it is there from the beginning.
        trend: Relative gain of the rates by the last day, for all variants or for each:
            1 doubles them, evenly day by day.
        weekday: Factor of all rates on each of seven days, in turn from day 1.
        late: Shares of the clicks that are reported on the same day, one day later, and so on.
        day_spread: Standard deviation of a random factor of each day, common to all variants.
        arm_spread: The same of a factor of each variant and day of its own.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
    description: Annotated[str, Field(max_length=300)] = ""
    days: Annotated[int, Field(ge=1, le=1000)] = 60
    traffic: Traffic | Annotated[list[Traffic], Field(min_length=WEEK, max_length=WEEK)]
    rates: Annotated[list[Rate | list[Rate]], Field(min_length=2, max_length=100)]
    changes: list[Change] = []
    joins: list[Day] | None = None
    trend: Trend | list[Trend] = 0.0
    weekday: Annotated[list[Number], Field(min_length=WEEK, max_length=WEEK)] | None = None
    late: Annotated[list[Rate], Field(min_length=1, max_length=60)] = [1.0]
    day_spread: Spread = 0.0
    arm_spread: Spread = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, values in (("joins", self.joins), ("trend", self.trend)):
            if isinstance(values, list) and len(values) != len(self.rates):
                raise ValueError(f"{name} must have {len(self.rates)} values, one for each rate")
        for column in self.rates:
            if isinstance(column, list) and len(column) != self.days:
                raise ValueError(f"rates by day must have {self.days} values, not {len(column)}")
        self._check_changes()
        if abs(sum(self.late) - 1.0) > _SUM_TOLERANCE:
            raise ValueError(f"late must sum to 1, not to {sum(self.late):g}")
        if self.joins and min(self.joins) > 1:
            raise ValueError("joins: at least one variant must be there on day 1")
        if (highest := float(np.nanmax(self.daily_rates()))) > 1.0:
            raise ValueError(f"rates, with trend and weekday, reach {highest:g}; at most 1")
        return self

    def _check_changes(self) -> None:
        for change in self.changes:
            if len(change.rates) != len(self.rates):
                raise ValueError(f"changes: day {change.day} must have {len(self.rates)} rates")
            if change.day > self.days:
                raise ValueError(f"changes: day {change.day} is after the last day, {self.days}")
        if self.changes and any(isinstance(column, list) for column in self.rates):
            raise ValueError("changes go with rates that are numbers, not with rates by day")

    def daily_rates(self) -> FloatArray:
        """Return the true rates, shape `(n_days, n_arms)`; NaN before a variant joined."""
        columns = [np.broadcast_to(np.asarray(rate, float), self.days) for rate in self.rates]
        rates: FloatArray = np.column_stack(columns)
        for change in sorted(self.changes, key=lambda change: change.day):
            rates[change.day - 1 :] = change.rates
        progress = np.linspace(0.0, 1.0, self.days)[:, None]
        rates = rates * (1.0 + progress * np.atleast_1d(self.trend))
        if self.weekday:
            rates *= np.asarray(self.weekday)[np.arange(self.days) % WEEK, None]
        if self.joins:
            rates[np.arange(1, self.days + 1)[:, None] < np.asarray(self.joins)] = np.nan
        return rates

    def daily_traffic(self) -> npt.NDArray[np.int64]:
        """Return the impressions of each day, shape `(n_days,)`."""
        week = self.traffic if isinstance(self.traffic, list) else [self.traffic] * WEEK
        return np.asarray(week, np.int64)[np.arange(self.days) % WEEK]


def catalogue_text() -> str:
    """Return the built-in catalogue as the TOML that it is."""
    return files("mab_pipeline.simulation").joinpath("catalogue.toml").read_text("utf-8")


def load_worlds(path: Path | None = None) -> list[World]:
    """Read worlds from a TOML file, or the built-in catalogue.

    Args:
        path: A file with `[[world]]` tables.

    Raises:
        UsageError: The file cannot be read, or a world cannot be used; the message names it.
    """
    source = "the built-in catalogue" if path is None else str(path)
    try:
        text = catalogue_text() if path is None else path.read_text("utf-8-sig")
        content = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{source} cannot be read: {error.strerror}. Check the path.") from None
    except (ValueError, RecursionError) as error:  # also a number of 5,000 digits, or deep nesting
        raise UsageError(
            f"{source} is not TOML: {error}. `mab simulate --print-worlds` prints an example."
        ) from None
    tables = content.pop("world", None)
    if content or not isinstance(tables, list) or not tables:
        extra = f" and has {', '.join(content)}" if content else ""
        raise UsageError(
            f"{source} must consist of [[world]] tables{extra}. "
            "`mab simulate --print-worlds` prints an example."
        )
    worlds = [_world(table, f"{source}, world {place}") for place, table in enumerate(tables, 1)]
    name, count = Counter(world.name for world in worlds).most_common(1)[0]
    if count > 1:
        raise UsageError(f"{source} has {count} worlds named {name}. Give each its own name.")
    return worlds


def _world(table: Any, place: str) -> World:
    try:
        return World.model_validate(table)
    except ValidationError as error:
        fault = error.errors()[0]
        # A union names each of its members; the field and the place in it are enough.
        where = [str(part) for part in fault["loc"][:1]]
        name = f" ({table['name']})" if isinstance(table, dict) and "name" in table else ""
        field = f"{where[0]}: " if where else ""
        message = fault["msg"].removeprefix("Value error, ")
        raise UsageError(f"{place}{plain(name)[:80]}: {field}{message}.") from None
