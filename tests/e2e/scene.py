"""The home that the browser finds: real experiments, one day loaded but not decided yet.

What belongs here: making it. What does not: starting anything on it (`services.py`).

The day to decide is loaded, as `refresh_day` does it, so that the inbox sensor finds nothing to do:
whoever clicks decides it.
"""

import csv
import json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mab_pipeline.operations.dagster_home import prepare_home
from mab_pipeline.operations.demo import sample_rows
from mab_pipeline.operations.ingest import Intake
from mab_pipeline.operations.run import run_days
from mab_pipeline.resources import build_platform
from mab_store.days import Days
from mab_store.settings import Settings, load_settings

DAYS = 7
# Those of the sample that have counts from its first day on.
EXPERIMENTS = ("asos_329386", "asos_530a76", "asos_54a85a", "asos_65c732", "asos_adea31")
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Scene:
    """A home and its day.

    Attributes:
        home: MAB_HOME.
        first: First day with data.
        day: Day to decide; the days before are decided.
    """

    home: Path
    first: date
    day: date

    @property
    def environment(self) -> dict[str, str]:
        """Return the settings of whatever runs on it."""
        # The schedule is on; its hour is the one that is farthest away.
        hour = (datetime.now(UTC).hour + 12) % 24
        return {
            "MAB_HOME": str(self.home),
            "MAB_SCHEDULE_HOUR": str(hour),
            "MAB_AUTOMATION": "on",
            "API_HOST": "127.0.0.1",
            "API_REFRESH_SECONDS": "1",
        }


def make_scene(home: Path) -> Scene:
    """Put the sample into the inbox; decide its days but the last, and load that one."""
    day = datetime.now(UTC).date() - ONE_DAY
    scene = Scene(home, first=day - (DAYS - 1) * ONE_DAY, day=day)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", *(field.upper() for field in Settings.model_fields)):
            patch.delenv(name, raising=False)
        for name, value in scene.environment.items():
            patch.setenv(name, value)
        patch.setenv("DAGSTER_HOME", str(home / "dagster"))
        settings = load_settings(_env_file=None)
        prepare_home(settings)
        platform = build_platform(settings)
        intake = Intake(platform.inbox, scene.first, platform.clock())
        for path in _write_exports(home.parent, scene.first):
            intake.add(path)
        run_days(platform, Days(scene.first, day))
        loaded = ["experiments", "raw_metrics", "daily_metrics"]
        run_days(platform, Days(day, day + ONE_DAY), assets=loaded)
    return scene


def _write_exports(folder: Path, first: date) -> tuple[Path, Path]:
    """Write what the experiments' owner and the export job would hand over."""
    rows = [row for row in sample_rows() if row["experiment"] in EXPERIMENTS]
    variants = {
        name: {r["variant"] for r in rows if r["experiment"] == name} for name in EXPERIMENTS
    }
    bodies = [
        {
            "name": name,
            "variants": [{"name": v, "is_control": v == "control"} for v in sorted(names)],
        }
        for name, names in variants.items()
    ]
    experiments, metrics = folder / "experiments.json", folder / "gam-export.csv"
    experiments.write_text(json.dumps(bodies), "utf-8")
    with metrics.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "experiment", "variant_name", "impressions", "clicks"])
        for row in rows:
            if int(row["day"]) <= DAYS:
                day = first + (int(row["day"]) - 1) * ONE_DAY
                counts = row["impressions"], row["clicks"]
                writer.writerow([day, row["experiment"], row["variant"], *counts])
    return experiments, metrics
