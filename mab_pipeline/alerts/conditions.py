"""Alert conditions: notices about finished runs and about a late publication.

A notice belongs to a cause; each cause sends at most one alert an hour, with the number of its
notices. Findings come from the check's evaluation in the run: an alert says the same as the
Dagster UI.
"""

import re
import textwrap
from collections.abc import Iterator
from datetime import datetime

import dagster as dg
from pydantic import BaseModel, ConfigDict

from mab_pipeline.assets.source_record import PREFIX, is_source_check
from mab_pipeline.ingestion.late_data import newest_due_day, newest_published_day
from mab_pipeline.resources import Platform
from mab_pipeline.runs.failures import cause_of, failed_checks, first_found, name_of
from mab_pipeline.runs.liveness import days_name
from mab_store.experiments.schemas import experiment_id_of
from mab_store.lateness import deadline_hours, newest_day_past_deadline

# Checks that are an alert of their own kind: cause, title and remedy.
KINDS = {
    "publication.feeds_are_alive": (
        "data_gap",
        "Data stopped",
        (
            "find out why the export brings nothing for these experiments and hand in the missing "
            "files; until then each keeps its last publication. Finish one that is over."
        ),
    ),
    "publication.variants_are_complete": (
        "variant_gap",
        "Part of the data is missing",
        (
            "see whether the export renamed a variant or damages its rows (rejection_reason in "
            "validated_metrics). Hand in a corrected file, or retire the variant and add its new "
            "name; until then each of these experiments keeps its last publication. If the data "
            "are correct, run `mab run --accept-variant-gap`."
        ),
    ),
    "publication.traffic_follows_shares": (
        "sample_ratio",
        "The traffic does not follow the published shares",
        (
            "see whether the delivery still reads the newest allocation of these experiments, "
            "applies its shares or buckets, and reports every impression; nothing is held back."
        ),
    ),
    "daily_metrics.few_rows_are_rejected": (
        "rejected_rows",
        "Rows were rejected",
        (
            "see rejection_reason in validated_metrics, fix the export, and hand in a corrected "
            "file for the day; the inbox sensor loads it."
        ),
    ),
}
LONGEST = 600
LATE = "publication_late"
REFUSED = "publication_refused"
HELD_BACK = (
    "see the findings on the check's page in the Dagster UI; the experiments that it names keep "
    "their last publication until it passes."
)


class Notice(BaseModel):
    """One fact for an alert.

    Attributes:
        cause: Its kind, with a suffix if alerts of one kind are counted apart.
        text: The event, as a sentence.
        remedy: The next step.
        days: The days that it concerns, in words.
        run_id: The run that it was found in; None if it is about no run.
        experiments: The experiments that it concerns; empty if it concerns all.
    """

    model_config = ConfigDict(frozen=True)

    cause: str
    text: str
    remedy: str
    days: str = ""
    run_id: str | None = None
    experiments: tuple[str, ...] = ()


def notices_of_run(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[Notice]:
    """Yield the notices of a finished run: its failure, and the findings of its checks.

    If a blocking check stopped the run, the check's notice reports it. Warnings without a kind of
    their own stay in the UI.
    """
    days = days_name(run)
    job = "materialization" if run.job_name.startswith("__") else run.job_name  # from the UI
    failure = cause_of(instance, run) if run.status == dg.DagsterRunStatus.FAILURE else None
    if failure and not failure.is_check:
        yield Notice(
            cause=REFUSED if failure.is_refusal else f"run_failure/{job}",
            text=f"{job}{_of(days)} failed. {_line(failure.reason)}",
            remedy=failure.remedy,
            days=days,
            run_id=run.run_id,
        )
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    for check in failed_checks(entry.dagster_event for entry in entries if entry.dagster_event):
        name = name_of(check)
        kind = _of_source(name) if is_source_check(name) else KINDS.get(name)
        if kind is None and check.severity != dg.AssetCheckSeverity.ERROR:
            continue
        other = (f"check_failure/{name}", f"{name}{_of(days)} failed", HELD_BACK)
        cause, title, remedy = kind or other
        if check.blocking and failure:
            remedy = failure.remedy
        experiments = check.metadata.get("experiments")
        yield Notice(
            cause=cause,
            text=f"{title}: {_line(first_found(check))}.",
            remedy=remedy,
            days=days,
            run_id=run.run_id,
            experiments=tuple(map(_id, _list(experiments and experiments.value))),
        )


def late_publication_notice(
    platform: Platform, instance: dg.DagsterInstance, now: datetime
) -> Notice | None:
    """Return a notice if the newest due day is not published by its deadline.

    A day counts as published when its publication ran, also if it had nothing to publish. As long
    as nothing was ever published, or no experiment runs, nothing is late.
    """
    newest = newest_published_day(platform)
    if newest is None:
        return None
    due = newest_due_day(platform, newest_day_past_deadline(now, settings=platform.settings))
    if due is None or newest >= due:
        return None
    ran = dg.AssetRecordsFilter(dg.AssetKey("publication"), asset_partitions=[str(due)])
    if instance.fetch_materializations(ran, limit=1).records:
        return None
    hours = deadline_hours(platform.settings)
    return Notice(
        cause=LATE,
        text=f"{due} is not published, {hours} hours after its end; readers are served {newest}.",
        remedy=f"see whether the daemon runs and whether a run failed (`mab doctor`), then run "
        f"`mab run --date {due}`.",
        days=str(due),
    )


def _of_source(name: str) -> tuple[str, str, str]:
    """Return how the check of a source is told; each source is a cause of its own."""
    source = name.partition(".")[0].removeprefix(PREFIX)
    remedy = (
        f"see `mab sources check {source}`. The day was decided without it; later runs pull it "
        "again for lookback_days, and `mab sources pull` at any time."
    )
    return f"source/{source}", f"The source {source} brought nothing", remedy


def _id(experiment: object) -> str:
    """Return the id of an experiment that a check names; earlier versions stored the id itself."""
    name = str(experiment)
    return name if re.fullmatch(r"exp_[0-9a-f]{12}", name) else experiment_id_of(name)


def _line(text: str) -> str:
    """Shorten a message to one line of a chat."""
    return textwrap.shorten(text, LONGEST, placeholder=" …")


def _of(days: str) -> str:
    return f" of {days}" if days else ""


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
