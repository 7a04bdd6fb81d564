"""The steps of a run on a test's world, called directly: a tenth of the time of a Dagster run.

What belongs here: what the assets do to the tables. What does not: what Dagster adds, such as
checks that stop a run, metadata and events; tests of those use `World.run`.
"""

from datetime import date, timedelta
from itertools import count
from typing import Any

from mab_pipeline.allocation.publish import Order, PublicationReport, publish
from mab_pipeline.allocation.rule_settings import RuleSettings
from mab_pipeline.assets.allocations import allocate
from mab_pipeline.ingestion.file_ledger import LoadReport
from mab_pipeline.ingestion.loaders import load_daily_metrics, load_experiments, load_raw_metrics
from mab_pipeline.resources import Platform
from mab_store.days import Days
from tests.integration.conftest import World

_RUNS = count(1)


def days_of(first: str, last: str | None = None) -> Days:
    """Return the days from the first to the last."""
    return Days(date.fromisoformat(first), date.fromisoformat(last or first) + timedelta(days=1))


def load(world: World, first: str, last: str | None = None) -> LoadReport:
    """Load the registry and the files of these days."""
    platform, days = world.platform, days_of(first, last)
    load_experiments(platform)
    report = load_raw_metrics(platform, days)
    with platform.warehouse.transaction() as transaction:
        platform.journal.write_missing(transaction)
    load_daily_metrics(platform, days)
    return report


def decide(world: World, first: str, last: str | None = None) -> None:
    """Load these days, and decide them."""
    load(world, first, last)
    decide_on_what_is_loaded(world.platform, days_of(first, last))


def decide_on_what_is_loaded(platform: Platform, days: Days) -> None:
    """Make the windows of these days and decide them."""
    parameters = days.parameters | RuleSettings.of(platform.settings).window_parameters
    with platform.warehouse.transaction() as transaction:
        transaction.execute("assets/windowed_aggregates", parameters)
    allocate(platform, days, run_id="decided")
    with platform.warehouse.transaction() as transaction:
        platform.journal.write_missing(transaction)


def publish_days(
    world: World, first: str, last: str | None = None, **options: Any
) -> PublicationReport:
    """Publish these days as they are decided; a run has an id of its own."""
    order = Order(**{"run_id": f"run-{next(_RUNS)}", **options})
    return publish(world.platform, days_of(first, last), order)


def run(world: World, first: str, last: str | None = None, **options: Any) -> PublicationReport:
    """Load, decide and publish these days."""
    decide(world, first, last)
    return publish_days(world, first, last, **options)
