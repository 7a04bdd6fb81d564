"""Examine each part of an installation: ok or fail, with the remedy. Nothing is changed."""

import http.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import dagster as dg

from mab_pipeline.alerts.conditions import HELD_BACK, KINDS
from mab_pipeline.allocation.gate import Failure
from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.checks.finders import Subject
from mab_pipeline.ingestion.late_data import (
    Arrivals,
    find_arrivals,
    newest_due_day,
    newest_published_day,
    plan_runs,
)
from mab_pipeline.ingestion.undecided import load_command, run_command
from mab_pipeline.ingestion.unplaced import unplaced_files
from mab_pipeline.ingestion.waiting_files import journaled, waiting
from mab_pipeline.jobs import DAILY_ALLOCATION
from mab_pipeline.operations.pull_sources import state_of_sources
from mab_pipeline.recovery.home import what_is_missing
from mab_pipeline.resources import Platform, inbox_fault
from mab_pipeline.runs.failures import cause_of
from mab_pipeline.sensors import ATTEMPTS, failed_attempts
from mab_pipeline.sources.config import sources_path
from mab_pipeline.sources.dropped import (
    broken_exports,
    dropped_exports,
    folders_without_mapping,
)
from mab_store.days import Days
from mab_store.errors import MabError, NotPublishedError
from mab_store.how_many import how_many
from mab_store.lateness import newest_day_past_deadline
from mab_store.warehouse.publication_loss import Loss, Published, publication_loss, published_days

API_TIMEOUT_SECONDS = 3
SENSOR_DAEMON = "SENSOR"
# The next run repairs these before it checks them; waiting files are a finding of the inbox.
REPAIRED_BY_THE_NEXT_RUN = {
    "windowed_aggregates.window_days_are_loaded",
    "allocations.windows_are_fresh",
    "allocations.every_running_variant_has_a_row",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one part.

    Attributes:
        part: The part.
        is_ok: False only if a person has to act. A fault that repairs itself is ok; the detail
            names it.
        detail: The state in words.
        remedy: The action to take; empty if there is none.
        experiments: Ids of the experiments that are affected; empty if all are.
    """

    part: str
    is_ok: bool
    detail: str
    remedy: str = ""
    experiments: tuple[str, ...] = ()


def examine(
    platform: Platform, instance: dg.DagsterInstance, *, with_api: bool = True
) -> Iterator[Finding]:
    """Examine every part in turn; a part that cannot be examined is a finding too.

    Args:
        platform: The shared resources.
        instance: Dagster's records.
        with_api: Whether an API is expected on API_HOST and API_PORT.
    """
    looks: list[tuple[str, Callable[[], Finding]]] = [
        ("inbox", lambda: _inbox(platform, instance)),
        ("inbox days", lambda: _inbox_days(platform)),
        ("exports", lambda: _exports(platform)),
        ("waiting files", lambda: _waiting(platform)),
        ("warehouse", lambda: _warehouse(platform)),
        ("runs", lambda: _runs(instance)),
        ("checks", lambda: _checks(platform, instance)),
        ("publication", lambda: _publication(platform)),
    ]
    if sources_path(platform.settings).exists():
        looks.append(("sources", lambda: _sources(platform, instance)))
    if with_api:
        looks.append(("api", lambda: _api(platform)))
    yield Finding("settings", is_ok=True, detail=f"MAB_HOME is {platform.settings.mab_home}")
    yield _alerts(platform)
    for part, look in looks:
        try:
            yield look()
        except (MabError, OSError) as error:
            yield Finding(part, is_ok=False, detail=str(error), remedy="See the sentence before.")


def _alerts(platform: Platform) -> Finding:
    """Report whether alerts are sent; off is ok, since it can be meant."""
    settings = platform.settings
    if settings.mab_automation == "off":
        detail = "off, as MAB_AUTOMATION is off"
    elif settings.alert_webhook_url is None:
        detail = "off; set ALERT_WEBHOOK_URL to have failures sent there"
    else:
        detail = "the daemon posts them to ALERT_WEBHOOK_URL"
    return Finding("alerts", is_ok=True, detail=detail)


def _inbox(platform: Platform, instance: dg.DagsterInstance) -> Finding:
    """Report waiting files and the commands that load them; a running daemon needs none."""
    if fault := inbox_fault(platform.settings):
        detail, _, remedy = fault.partition(". ")
        return Finding("inbox", is_ok=False, detail=detail, remedy=remedy)
    arrivals = find_arrivals(platform)
    waiting = len(arrivals.metrics) + len(arrivals.events)
    if not waiting:
        return Finding("inbox", is_ok=True, detail="every file is loaded")
    names = [*arrivals.events, *arrivals.metrics][:3]
    detail = f"{how_many(waiting, 'file')} not loaded, such as {', '.join(names)}"
    if _sensor_takes(platform, instance, arrivals):
        return Finding("inbox", is_ok=True, detail=f"{detail}; the daemon's sensor takes them")
    plan = plan_runs(platform, arrivals)
    commands = [run_command(_days(*plan.decide))] if plan.decide else []
    commands += [load_command(_days(*plan.audit))] if plan.audit else []
    return Finding(
        "inbox",
        is_ok=False,
        detail=detail,
        remedy=f"Run {', then '.join(f'`{command}`' for command in commands)}; or start the "
        "daemon: its sensor does that.",
    )


def _inbox_days(platform: Platform) -> Finding:
    unplaced = unplaced_files(platform)
    if not unplaced:
        return Finding("inbox days", is_ok=True, detail="every file lies in a day that is taken")
    (first, reason), *_ = unplaced.items()
    return Finding(
        "inbox days",
        is_ok=False,
        detail=f"{how_many(len(unplaced), 'file')} in no day taken: {first.source_file} {reason}",
        remedy="The asset raw_metrics names each one: move it, or take it away.",
    )


def _exports(platform: Platform) -> Finding:
    """Name the dropped exports that a person has to look at."""
    if broken := broken_exports(platform):
        (first, reason), *_ = broken.items()
        return Finding(
            "exports",
            is_ok=False,
            detail=f"{len(broken)} cannot be imported: {first} {reason}",
            remedy="Correct the export or its mapping, put it back into its folder, and delete it "
            "from broken/.",
        )
    if faults := folders_without_mapping(platform):
        return Finding("exports", is_ok=False, detail=faults[0], remedy="Then run it again.")
    waiting = len(dropped_exports(platform))
    detail = f"{waiting} wait for the next run" if waiting else "none waits"
    return Finding("exports", is_ok=True, detail=detail)


def _sensor_takes(platform: Platform, instance: dg.DagsterInstance, arrivals: Arrivals) -> bool:
    """Return whether a running daemon will load these files by itself."""
    if platform.settings.mab_automation == "off":
        return False
    statuses = instance.get_daemon_statuses(daemon_types=[SENSOR_DAEMON])
    if not statuses[SENSOR_DAEMON].healthy:
        return False
    return failed_attempts(instance, arrivals) < ATTEMPTS


def _days(first: date, last: date) -> Days:
    return Days(first, last + timedelta(days=1))


def _waiting(platform: Platform) -> Finding:
    """Report files that wait until the other files of their day are back."""
    held = waiting(platform.inbox, journaled(platform.journal.read("inbox_files")))
    if not held:
        return Finding("waiting files", is_ok=True, detail="none")
    days = sorted({str(row.metric_date) for row in held})
    return Finding(
        "waiting files",
        is_ok=False,
        detail=f"not counted yet: {held[0].source_file}, which {held[0].error}; files in all: "
        f"{len(held)}, days: {len(days)} ({', '.join(days[:3])})",
        remedy=f"Put back the missing files, then run `mab run --date {days[0]}`.",
    )


def _warehouse(platform: Platform) -> Finding:
    if missing := what_is_missing(platform):
        is_automatic = platform.settings.rebuilds_by_itself
        detail = missing + (" The next run does it first." if is_automatic else "")
        remedy = "" if is_automatic else "Run `mab rebuild`."
        return Finding("warehouse", is_ok=is_automatic, detail=detail, remedy=remedy)
    with platform.warehouse.transaction() as transaction:
        (row,) = transaction.fetch_arrow("checks/publication_newest_day").to_pylist()
        (doubled,) = transaction.fetch_arrow("journal/doubled_decisions").to_pylist()
        days = published_days(transaction)
    if doubled["doubled_count"]:
        return Finding(
            "warehouse",
            is_ok=False,
            detail=f"holds {doubled['doubled_count']} decisions more than once",
            remedy="Run `mab rebuild`: it keeps the first of each.",
        )
    if loss := _lost_by_readers(platform, days):
        return Finding(
            "warehouse",
            is_ok=False,
            detail=f"lacks published allocations, so nothing new is published: {loss}",
            remedy="Run `mab rebuild`. If the loss is meant: `mab run --accept-loss`.",
            experiments=loss.experiments + loss.shortened,
        )
    return Finding("warehouse", is_ok=True, detail=f"opens; newest decided day {row['newest_day']}")


def _lost_by_readers(platform: Platform, days: Mapping[str, Published]) -> Loss:
    try:
        with platform.warehouse.published() as copy:
            return publication_loss(published_days(copy), days)
    except NotPublishedError:
        return Loss()


def _runs(instance: dg.DagsterInstance) -> Finding:
    daily = instance.get_runs(dg.RunsFilter(job_name=DAILY_ALLOCATION), limit=1)
    runs = daily or instance.get_runs(limit=1)  # runs started by hand in the UI have no job
    if not runs:
        return Finding(
            "runs",
            is_ok=False,
            detail="no run yet",
            remedy="Run `mab run` or `mab demo`.",
        )
    status = runs[0].status.value.lower()
    detail = f"the last one ({runs[0].run_id}) is {status}"
    if runs[0].status == dg.DagsterRunStatus.FAILURE:
        cause = cause_of(instance, runs[0])
        return Finding(
            "runs",
            is_ok=False,
            detail=detail,
            remedy=f"{cause.reason} To do: {cause.remedy}",
        )
    return Finding("runs", is_ok=True, detail=detail)


def _checks(platform: Platform, instance: dg.DagsterInstance) -> Finding:
    """Evaluate the checks on the newest decided day as the next run would, without warnings.

    The records of the last run do not suffice: it may have been partial, a rebuild, or be deleted.
    """
    if what_is_missing(platform):
        return Finding("checks", is_ok=True, detail="not evaluated: the warehouse is damaged")
    with platform.warehouse.transaction() as transaction:
        (row,) = transaction.fetch_arrow("checks/publication_newest_day").to_pylist()
    newest = row["newest_day"]
    if newest is None:
        return Finding("checks", is_ok=True, detail="no day is decided yet")
    failed: dict[str, list[Failure]] = {}
    for asset, checks in CHECKS.items():
        with Subject.opened(platform, _days(newest, newest), instance, asset) as subject:
            for check in checks:
                name = f"{asset}.{check.name}"
                is_looked_at = not check.is_warning and name not in REPAIRED_BY_THE_NEXT_RUN
                if is_looked_at and (failures := check.find(subject)):
                    failed[name] = failures
    if not failed:
        return Finding("checks", is_ok=True, detail=f"none fails on {newest}")
    named = {failure.experiment_id for failures in failed.values() for failure in failures}
    first = next(iter(failed.values()))[0]
    return Finding(
        "checks",
        is_ok=False,
        detail=f"fail on {newest}: {', '.join(failed)}; {first.detail}",
        remedy=_remedy_of_checks(set(failed)),
        experiments=tuple(sorted(filter(None, named))),
    )


def _remedy_of_checks(names: set[str]) -> str:
    """Return the remedies of failed checks, in the words of the alerts."""
    remedies = {KINDS[name][2] if name in KINDS else HELD_BACK for name in names}
    return " ".join(f"{remedy[0].upper()}{remedy[1:]}" for remedy in sorted(remedies))


def _sources(platform: Platform, instance: dg.DagsterInstance) -> Finding:
    """Report the days that the newest pull of each source did not bring."""
    detail, remedy = state_of_sources(platform.settings, instance)
    return Finding("sources", is_ok=not remedy, detail=detail, remedy=remedy)


def _publication(platform: Platform) -> Finding:
    """Examine the published copy. A held back day counts as decided; its check reports it."""
    with platform.warehouse.published() as copy:
        name = copy.name
        (row,) = copy.fetch_arrow("checks/publication_newest_day").to_pylist()
    due_by_now = newest_day_past_deadline(platform.clock(), settings=platform.settings)
    due, decided = newest_due_day(platform, due_by_now), row["newest_day"]
    detail = f"{name} serves decisions up to {newest_published_day(platform)}"
    if due and (decided is None or decided < due):
        return Finding(
            "publication",
            is_ok=False,
            detail=f"{detail}, {due} is due",
            remedy=f"Run `mab run --date {due}`.",
        )
    if due != due_by_now:
        detail += "; no experiment runs, so nothing newer is due"
    return Finding("publication", is_ok=True, detail=detail)


def _api(platform: Platform) -> Finding:
    settings = platform.settings
    host = "127.0.0.1" if settings.api_host == "0.0.0.0" else settings.api_host  # noqa: S104  # compared
    address = f"{host}:{settings.api_port}"
    try:
        connection = http.client.HTTPConnection(
            host, settings.api_port, timeout=API_TIMEOUT_SECONDS
        )
        connection.request("GET", "/readyz")
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return Finding(
            "api",
            is_ok=False,
            detail=f"no answer on {address} ({error})",
            remedy="Start it with `mab api`, or leave it out with --no-api.",
        )
    if status != http.HTTPStatus.OK:
        return Finding(
            "api",
            is_ok=False,
            detail=f"/readyz on {address} answers {status}",
            remedy="It has nothing to serve yet; see its log.",
        )
    return Finding("api", is_ok=True, detail=f"ready on {address}")
