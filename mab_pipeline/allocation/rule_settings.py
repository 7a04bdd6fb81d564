"""The settings that decide a result, as they are recorded beside it."""

import json
from dataclasses import MISSING, dataclass, fields, replace
from typing import Self

from mab_store.rule_options import PRESETS, Estimate, Prior, ShortWindow, Switch
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

    def with_own_options(self, text: str | None) -> Self:
        """Return the settings of an experiment that has options of its own.

        Args:
            text: Its options as `experiments.decision` has them; None if it has none.

        Notes:
            With a preset the other options are those of the preset, not the installation's. The
            windows are always the installation's: they are summed for all experiments at once.
        """
        if text is None:
            return self
        own = json.loads(text)
        preset = own.pop("decision_preset", None)
        if preset is not None:
            options = {f.name: f.default for f in fields(self) if f.default is not MISSING}
            given = {name: v for name, v in PRESETS[preset].items() if name in options}
            own = options | given | own
        return replace(self, **own)

    @property
    def window_parameters(self) -> dict[str, object]:
        """Parameters of `sql/assets/windowed_aggregates.sql`."""
        return {
            "default_window_days": self.default_window_days,
            "max_window_days": self.max_window_days,
            "min_impressions": self.min_impressions,
        }
