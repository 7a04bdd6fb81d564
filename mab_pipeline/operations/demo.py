"""Place the sample in the inbox so that its last day is yesterday.

The placement is read from the inbox: a second demo, on the same day or later, finds the first.
"""

import csv
import io
from collections import defaultdict
from collections.abc import Iterable
from datetime import date, timedelta
from importlib.resources import files

from mab_pipeline.resources import Platform
from mab_store.errors import FileInInboxError, UsageError
from mab_store.experiments.registration import register
from mab_store.experiments.schemas import ExperimentSpec, VariantSpec

FILE_NAME = "asos_sample.csv"
SampleRow = dict[str, str]


def sample_rows() -> list[SampleRow]:
    """Return the rows of the sample: experiment, variant, day (from 1), impressions, clicks."""
    text = files("mab_pipeline.sample").joinpath(FILE_NAME).read_text("utf-8")
    return list(csv.DictReader(io.StringIO(text)))


def place_sample(platform: Platform, until: date | None) -> tuple[date, date]:
    """Put the sample into the inbox; existing files stay unchanged.

    Args:
        platform: The shared resources.
        until: The sample's last day; yesterday if None.

    Returns:
        First and last day of the sample.

    Raises:
        UsageError: The sample lies elsewhere already, or does not fit between MAB_START_DATE and
            yesterday.
    """
    rows = sample_rows()
    length = max(int(row["day"]) for row in rows)
    last = _last_day(platform, until)
    first = last - timedelta(days=length - 1)
    if first < platform.settings.mab_start_date:
        earliest = platform.settings.mab_start_date + timedelta(days=length - 1)
        raise UsageError(
            f"--until {last} places the sample's {length} days before MAB_START_DATE; the earliest "
            f"is {earliest}."
        )
    by_experiment = _grouped(rows, "experiment")
    for name, part in by_experiment.items():
        register(platform.inbox, _spec(name, part), now=platform.clock())
    for day, part in sorted(_grouped(rows, "day").items(), key=lambda item: -int(item[0])):
        # The last day is written first: the placement is known even after a crash.
        metric_date = first + timedelta(days=int(day) - 1)
        try:
            platform.inbox.write(f"metrics/{metric_date}/{FILE_NAME}", _encode(part))
        except FileInInboxError:
            continue  # an earlier demo wrote it
    return first, last


def _last_day(platform: Platform, until: date | None) -> date:
    yesterday = platform.clock().date() - timedelta(days=1)
    if until is not None and until > yesterday:
        raise UsageError(f"--until {until} is not over yet (UTC); the newest is {yesterday}.")
    placed = [
        day
        for day in platform.inbox.metric_days()
        if any(
            file.path.name == FILE_NAME
            for file in platform.inbox.metric_files(day, day + timedelta(days=1))
        )
    ]
    if placed and until not in {None, placed[-1]}:
        raise UsageError(
            f"The sample's last day lies on {placed[-1]} already, not on {until}. "
            "Start again with --fresh."
        )
    return placed[-1] if placed else until or yesterday


def _spec(name: str, rows: Iterable[SampleRow]) -> ExperimentSpec:
    variants = sorted({row["variant"] for row in rows}, key=lambda v: (v != "control", v))
    return ExperimentSpec(
        name=name,
        description="From the ASOS Digital Experiments Dataset (arXiv:2111.10198).",
        variants=[VariantSpec(name=v, is_control=v == "control") for v in variants],
    )


def _encode(rows: Iterable[SampleRow]) -> bytes:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["experiment", "variant_name", "impressions", "clicks"])
    writer.writerows(
        [row["experiment"], row["variant"], row["impressions"], row["clicks"]] for row in rows
    )
    return buffer.getvalue().encode()


def _grouped(rows: Iterable[SampleRow], key: str) -> dict[str, list[SampleRow]]:
    groups: dict[str, list[SampleRow]] = defaultdict(list)
    for row in rows:
        groups[row[key]].append(row)
    return groups
