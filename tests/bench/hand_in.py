"""Invented experiments and their counts of the last days, in the inbox of a home."""

from datetime import timedelta
from pathlib import Path

from mab_pipeline.resources import Platform, build_platform
from mab_store.experiments.registration import register
from mab_store.experiments.schemas import ExperimentSpec, VariantSpec
from mab_store.settings import load_settings

VARIANTS = 4
HISTORY_DAYS = 31


def hand_in(home: Path, *, experiments: int) -> Platform:
    """Register experiments of 4 variants and hand in the counts of the last days."""
    platform = build_platform(load_settings(mab_home=home))
    names = [f"variant_{index}" for index in range(VARIANTS)]
    variants = [VariantSpec(name=name, is_control=name == names[0]) for name in names]
    lines = ["experiment,variant_name,impressions,clicks"]
    for number in range(experiments):
        spec = ExperimentSpec(name=f"experiment {number}", variants=variants)
        register(platform.inbox, spec, now=platform.clock())
        lines += [
            f"experiment {number},{name},{1000 + number % 977},{10 + (number + index) % 17}"
            for index, name in enumerate(names)
        ]
    payload = "\n".join(lines).encode()
    today = platform.clock().date()
    for number in range(1, HISTORY_DAYS + 1):
        platform.inbox.write(f"metrics/{today - timedelta(days=number)}/gam.csv", payload)
    return platform
