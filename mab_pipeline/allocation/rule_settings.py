"""The settings that decide a result, as they are recorded beside it."""

import json
from dataclasses import dataclass, fields
from typing import Self

from mab_store.rule_options import Estimate, Prior, ShortWindow, Switch
from mab_store.settings import Settings


@dataclass(frozen=True, slots=True)
class RuleSettings:
    """The settings that decide a result; each is recorded beside it.

    Attributes are those of `Settings` of the same names; `seed_base` is MAB_SEED. Those with a
    default are the options of the rule, and the default is the brief's rule.
    """

    default_window_days: int
    max_window_days: int
    min_impressions: int
    prior_alpha: float
    prior_beta: float
    allocation_method: str
    thompson_samples: int
    seed_base: int
    burn_in: Switch = "off"
    exploration: float = 0.0
    control_min_allocation: float = 0.0
    short_window: ShortWindow = "prior"
    estimate: Estimate = "pooled"
    prior: Prior = "fixed"

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take the deciding settings out of all settings."""
        names = [field.name for field in fields(cls) if field.name != "seed_base"]
        values = {name: getattr(settings, name) for name in names}
        return cls(seed_base=settings.mab_seed, **values)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read the settings that an allocation recorded; options that it lacks are the brief's."""
        return cls(**json.loads(text))

    def to_json(self) -> str:
        """Return the settings as canonical JSON: the same settings give the same text.

        Options at the brief's value are left out, as in the records from before there were any.
        """
        values = {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
        return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def window_parameters(self) -> dict[str, object]:
        """Parameters of `sql/assets/windowed_aggregates.sql`."""
        return {
            "default_window_days": self.default_window_days,
            "max_window_days": self.max_window_days,
            "min_impressions": self.min_impressions,
        }
