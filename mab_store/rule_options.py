"""The options of the rule: their values, and the presets that set several of them.

An option at its first value leaves the rule as the brief has it (docs/adr/0022).
"""

from collections.abc import Mapping
from typing import Literal

Switch = Literal["on", "off"]
ShortWindow = Literal["prior", "keep"]
Estimate = Literal["pooled", "day_effects"]
Prior = Literal["fixed", "own_rate"]
Preset = Literal["brief", "safe", "robust"]

_SAFE: Mapping[str, object] = {"burn_in": "on", "exploration": 0.02, "short_window": "keep"}

PRESETS: Mapping[str, Mapping[str, object]] = {
    "brief": {},
    "safe": _SAFE,
    "robust": {
        **_SAFE,
        "estimate": "day_effects",
        "default_window_days": 28,
        "prior": "own_rate",
    },
}
"""What each preset sets, by field of `Settings`; a value that is set explicitly wins."""
