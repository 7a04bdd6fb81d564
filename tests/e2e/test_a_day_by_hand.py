"""A data engineer's day in a real browser: look, materialise, check, and see it served.

The tests stand in the order of the day; each can be run alone.
"""

from fnmatch import fnmatch
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from mab_pipeline.assets.source_files import inbox_sources
from mab_pipeline.checks.definitions import CHECKS
from mab_pipeline.runs.liveness import RANGE_END_TAG, RANGE_START_TAG
from mab_pipeline.schedules import schedules
from mab_pipeline.sensors import sensors
from mab_store.experiments.schemas import experiment_id_of
from mab_store.settings import load_settings
from tests.e2e.dagster_ui import DagsterUi
from tests.e2e.scene import DAYS, EXPERIMENTS, ONE_DAY

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


def test_the_days_begin_with_the_first_that_has_data(ui, services, scene):
    query = '{ assetNodeOrError(assetKey: {path: ["allocations"]}) '
    node = ask(services, query + "{ ... on AssetNode { partitionKeys } } }")["assetNodeOrError"]
    days = [str(scene.first + number * ONE_DAY) for number in range(DAYS)]
    assert node["partitionKeys"] == days

    ui.open_day("allocations", scene.first)
    expect(ui.page.get_by_text(str(scene.first), exact=True).first).to_be_visible()


def test_a_sensor_says_what_it_does_and_no_tag_of_ours_is_shown(ui, services):
    ui.open_sensor("inbox_sensor")
    expect(ui.page.get_by_text("Looks every 30 seconds for files in the inbox")).to_be_visible()

    query = "{ runsOrError { ... on Runs { results { tags { key } } } } }"
    runs = ask(services, query)["runsOrError"]["results"]
    keys = {tag["key"] for run in runs for tag in run["tags"]}
    assert runs
    assert [key for key in keys if "mab" in key] == []


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


@pytest.fixture(scope="module")
def decided(materialised, services, scene):
    """Return what is served once the day that was materialised is."""
    assert materialised
    services.wait_until(
        lambda: {body["as_of_date"] for body in served(services).values()} == {str(scene.day)},
        f"the API serves {scene.day}",
    )
    return served(services)


def test_its_page_shows_the_shares_and_what_is_served_by_name(decided, ui, scene, picture):
    assert decided
    ui.open_day("allocations", scene.day)
    for text in ("plot_of_the_day", "served_now", f"{scene.day}: newest", EXPERIMENTS[0]):
        expect(ui.page.get_by_text(text, exact=True).first).to_be_visible()
    expect(ui.page.get_by_text("█").first).to_be_visible()  # in place, behind no button
    assert "exp_" not in ui.page.inner_text("body")
    picture("allocations")


def test_its_allocation_is_then_served(materialised, decided, services, scene):
    _, before = materialised
    assert {body["as_of_date"] for body in before.values()} == {str(scene.day - ONE_DAY)}
    assert set(decided) == set(EXPERIMENTS)
    for name in EXPERIMENTS:
        url = f"{services.api}/experiments/{experiment_id_of(name)}/allocation"
        body = httpx.get(url, timeout=10).raise_for_status().json()
        assert body["effective_date"] == str(scene.day + ONE_DAY)
        shares = [row["allocation_percentage"] for row in body["allocations"]]
        assert round(sum(shares), 2) == 100


def test_a_range_up_to_the_newest_day_is_one_run_by_clicking(ui, services, scene, decided):
    first = scene.day - 2 * ONE_DAY
    ui.open_lineage()
    backfill = ui.backfill(first, scene.day)

    run = the_run_of(services, backfill)
    assert days_of(run) == (str(first), str(scene.day))
    assert served(services) == decided
    for day in (first, scene.day):
        ui.open_day("publication", day)
        expect(ui.page.get_by_text("held_back_of_the_day", exact=True)).to_be_visible()


def test_a_backfill_of_the_job_is_one_run_whatever_its_range(services, scene, decided):
    """On the lineage an older range also takes the days whose windows see it, in a second run."""
    days = [scene.first + number * ONE_DAY for number in (1, 2, 3)]
    answer = ask(
        services,
        "mutation ($days: [String!]!) { launchPartitionBackfill(backfillParams: {selector: "
        '{partitionSetName: "daily_allocation_partition_set", repositorySelector: '
        '{repositoryName: "__repository__", repositoryLocationName: "mab"}}, '
        "partitionNames: $days}) { ... on LaunchBackfillSuccess { backfillId } "
        "... on Error { message } } }",
        days=[str(day) for day in days],
    )
    assert "backfillId" in answer["launchPartitionBackfill"], answer

    run = the_run_of(services, answer["launchPartitionBackfill"]["backfillId"])
    assert days_of(run) == (str(days[0]), str(days[-1]))
    assert served(services) == decided


def the_run_of(services, backfill: str) -> dict:
    """Wait until a backfill is over; return its one run, which made every asset."""

    def status() -> str:
        query = "query ($id: String!) { partitionBackfillOrError(backfillId: $id) "
        query += "{ ... on PartitionBackfill { status } ... on Error { message } } }"
        return ask(services, query, id=backfill)["partitionBackfillOrError"]["status"]

    services.wait_until(lambda: status().startswith("COMPLETED"), f"backfill {backfill} is over")
    query = 'query ($id: String!) { runsOrError(filter: {tags: [{key: "dagster/backfill", '
    query += "value: $id}]}) { ... on Runs { results { status tags { key value } "
    query += "assets { key { path } } } } } }"
    (run,) = ask(services, query, id=backfill)["runsOrError"]["results"]
    assert run["status"] == "SUCCESS"
    assert {asset["key"]["path"][-1] for asset in run["assets"]} == set(ASSETS)
    return run


def days_of(run: dict) -> tuple[str, str]:
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    return tags[RANGE_START_TAG], tags[RANGE_END_TAG]


def ask(services, query: str, **variables: object) -> dict:
    """Ask Dagster as its UI does."""
    asked = {"query": query, "variables": variables}
    answer = httpx.post(f"{services.dagster}/graphql", json=asked, timeout=600).json()
    assert "errors" not in answer, answer
    return answer["data"]


def test_the_api_draws_its_documentation_without_the_internet(page, services, picture):
    hosts = set()
    page.on("request", lambda request: hosts.add(urlsplit(request.url).hostname))
    page.goto(f"{services.api}/docs")

    operations = httpx.get(f"{services.api}/openapi.json", timeout=10).json()["paths"]
    count = sum(len(methods) for methods in operations.values())
    expect(page.locator(".opblock")).to_have_count(count)
    picture("api")
    page.goto(f"{services.api}/redoc")
    expect(page.locator("h1").first).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert hosts - {None} == {"127.0.0.1"}
