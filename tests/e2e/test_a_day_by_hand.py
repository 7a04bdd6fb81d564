"""A data engineer's day in a real browser: look, materialise, check, and see it served.

The tests stand in the order of the day; each can be run alone.
"""

from fnmatch import fnmatch
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from mab_pipeline.assets.inbox import inbox_sources
from mab_pipeline.checks import CHECKS
from mab_pipeline.schedules import schedules
from mab_pipeline.sensors import sensors
from mab_store.contracts import experiment_id_of
from mab_store.settings import load_settings
from tests.e2e.dagster_ui import DagsterUi
from tests.e2e.scene import EXPERIMENTS, ONE_DAY

ASSETS = (
    "experiments",
    "raw_metrics",
    "daily_metrics",
    "windowed_aggregates",
    "allocations",
    "publication",
)


@pytest.fixture(scope="module")
def ui(page, services):
    return DagsterUi(page, services.dagster)


def served(services):
    """Return what the CDP gets, by experiment."""
    answer = services.wait_for(f"{services.api}/allocations").json()
    return {body["experiment_name"]: body for body in answer["experiments"]}


@pytest.fixture(scope="module")
def materialised(ui, services, scene):
    """Materialise the day by clicking; return how the run ended and what was served before."""
    before = served(services)
    ui.open_lineage()
    return ui.materialise(scene.day), before


def test_the_lineage_shows_every_asset_from_the_inbox_to_the_publication(ui):
    ui.open_lineage()

    names = sorted([*ASSETS, *(source.key.path[-1] for source in inbox_sources())])
    expect(ui.assets).to_have_count(len(names))
    shown = sorted(ui.assets.all_inner_texts())
    pairs = zip(names, shown, strict=True)
    assert all(fnmatch(name, label.replace("…", "*")) for name, label in pairs), shown


def test_the_schedule_and_the_sensors_are_on(ui, picture):
    ui.open_automation()

    settings = load_settings(_env_file=None)
    names = [automation.name for automation in (*schedules(settings), *sensors(settings))]
    assert {"daily_allocation_schedule", "inbox_sensor"} <= set(names)
    for name in names:
        expect(ui.switch_of(name)).to_be_checked()
    picture("automation")


def test_a_day_is_materialised_by_clicking_and_the_lineage_turns_green(materialised, ui, picture):
    ended, _ = materialised
    assert ended == "Success"

    ui.open_lineage()
    expect(ui.green_assets).to_have_count(len(ASSETS))
    ui.make_room()
    picture("lineage")


@pytest.mark.parametrize("asset", ASSETS)
def test_its_checks_are_green(asset, materialised, ui, scene, picture):
    assert materialised
    green = ui.open_checks(asset)

    expect(green).to_have_count(len(CHECKS[asset]))
    expect(ui.page.get_by_text(str(scene.day), exact=True).first).to_be_visible()
    if asset == "allocations":
        picture("checks")


def test_its_allocation_is_then_served(materialised, services, scene):
    _, before = materialised
    assert {body["as_of_date"] for body in before.values()} == {str(scene.day - ONE_DAY)}

    services.wait_until(
        lambda: {body["as_of_date"] for body in served(services).values()} == {str(scene.day)},
        f"the API serves {scene.day}",
    )
    for name in EXPERIMENTS:
        url = f"{services.api}/experiments/{experiment_id_of(name)}/allocation"
        body = httpx.get(url, timeout=10).raise_for_status().json()
        assert body["effective_date"] == str(scene.day + ONE_DAY)
        shares = [row["allocation_percentage"] for row in body["allocations"]]
        assert round(sum(shares), 2) == 100


def test_the_api_draws_its_documentation_without_the_internet(page, services, picture):
    hosts = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(f"{services.api}/docs")

    operations = httpx.get(f"{services.api}/openapi.json", timeout=10).json()["paths"]
    count = sum(len(methods) for methods in operations.values())
    expect(page.locator(".opblock")).to_have_count(count)
    picture("api")
    assert hosts - {None} == {"127.0.0.1"}
