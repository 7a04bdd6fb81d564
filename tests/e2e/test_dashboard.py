"""An analyst's hour with the dashboard in a real browser, on the published decisions of a home."""

import csv
import io
import re
import struct
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from mab_dashboard.view import FRESH_SECONDS
from mab_store.experiments.schemas import experiment_id_of
from tests.integration.api.homes import YESTERDAY, Home
from tests.integration.api.servers import Server, serving

COUNT = 1000
NAME = "experiment_000007"
FIRST = experiment_id_of(NAME)
TIMEOUT_MS = 600_000  # of a busy machine; what is there is seen at once
DRAWN = ".mab .row:not(.head), .mab h2, .mab .verdict"
WHAT_IF = f"?page=what_if&experiment={FIRST}"
PLACES = (
    "",
    f"?page=experiment&experiment={FIRST}",
    "?page=quality",
    f"?page=quality&experiment={FIRST}",
    WHAT_IF,
)
GRAVE = {"serious", "critical"}


@dataclass
class Desk:
    """The browser, the dashboard's address, and the API behind it.

    Attributes:
        browser: The browser.
        url: Address of the dashboard.
        home: The home that the API serves.
        port: Port of the API.
        api: The running API.
        foreign: Hosts other than this machine that a page asked.
    """

    browser: Browser
    url: str
    home: Path
    port: int
    api: ExitStack
    foreign: set[str] = field(default_factory=set)

    def open(self, query: str = "", **options: object) -> Page:
        """Open a place in a window of its own."""
        sizes = {"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce"}
        page = self.browser.new_context(**(sizes | options)).new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.on("request", lambda request: self._note(request.url))
        page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
        page.goto(f"{self.url}/{query}")
        page.get_by_role("heading", name="mab").wait_for()
        return page

    def start_api(self) -> None:
        """Start the API on its port."""
        server = self.api.enter_context(serving(self.home, port=self.port))
        server.wait_for("/readyz")

    def _note(self, url: str) -> None:
        host = urlsplit(url).hostname
        if host not in {"127.0.0.1", None}:
            self.foreign.add(host or "")


@pytest.fixture(scope="module")
def desk(browser, tmp_path_factory) -> Iterator[Desk]:
    """A thousand experiments, three published days, the API, the dashboard and a browser."""
    expect.set_options(timeout=TIMEOUT_MS)
    folder = tmp_path_factory.mktemp("dashboard")
    home = Home(folder / "home")
    home.invent(COUNT)
    for offset in (4, 3, 0):
        home.clock.now += timedelta(minutes=1)
        home.publish(YESTERDAY - timedelta(days=offset))
    with ExitStack() as stack:
        api = stack.enter_context(ExitStack())
        server: Server = api.enter_context(serving(home.settings.mab_home))
        server.wait_for("/readyz")
        shown = stack.enter_context(_dashboard(folder, server.url))
        yield Desk(browser, shown.url, home.settings.mab_home, server.port, api)


def _dashboard(folder: Path, api: str) -> AbstractContextManager[Server]:
    """Start `python -m mab_dashboard`."""
    return serving(
        folder / "desk",
        command=("-m", "mab_dashboard"),
        port_setting="MAB_DASHBOARD_PORT",
        MAB_API_URL=api,
    )


def test_a_thousand_experiments_are_searched_and_one_is_opened(desk):
    overview = desk.open()
    expect(overview.get_by_text("1–25 of 1,000")).to_be_visible()
    overview.get_by_label("Search").fill(NAME)
    overview.get_by_label("Search").press("Enter")
    expect(overview.locator("[class*='st-key-open_'] button")).to_have_count(1)
    overview.get_by_role("button", name=NAME).click()
    expect(overview.get_by_role("heading", name=NAME)).to_be_visible()
    assert f"experiment={FIRST}" in overview.url


def test_another_day_is_chosen_and_a_new_window_shows_the_same_link(desk):
    day = YESTERDAY - timedelta(days=3)
    page = desk.open(f"?page=experiment&experiment={FIRST}")
    command = page.locator("[data-testid='stCode']")
    expect(command).to_contain_text(f"--date {YESTERDAY}")
    page.locator("[data-testid='stDateInput'] button").first.click()
    page.get_by_role("button", name=f"{day:%A, %B} {day.day}, {day.year}").click()
    expect(command).to_contain_text(f"--date {day}")
    page.wait_for_url(re.compile(f"date={day}"))
    again = desk.open(page.url.removeprefix(f"{desk.url}/"))
    expect(again.locator("[data-testid='stCode']")).to_contain_text(f"--date {day}")


def test_the_csv_behind_a_chart_holds_its_numbers(desk):
    page = desk.open(f"?page=experiment&experiment={FIRST}")
    page.get_by_text("Table: Published shares per day").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").first.click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    by_day: dict[str, float] = {}
    for row in rows:
        by_day[row["date"]] = by_day.get(row["date"], 0) + float(row["share"])
    assert len(by_day) == 5
    assert {round(total, 2) for total in by_day.values()} == {100.0}


@pytest.mark.parametrize("place", [f"?page=experiment&experiment={FIRST}", WHAT_IF])
def test_the_picture_of_a_chart_is_a_png_of_sensible_size(desk, place):
    page = desk.open(place)
    page.get_by_text("Table: Published shares per day").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download PNG").first.click()
    assert download.value.suggested_filename.endswith(".png")
    picture = Path(download.value.path()).read_bytes()
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", picture[16:24])
    assert 1500 < width < 4000
    assert 500 < height < 2000
    assert len(picture) > 10_000


def test_what_if_changes_with_a_preset_and_simulates(desk):
    page = desk.open(WHAT_IF)
    expect(page.get_by_text("The settings are those of the published decision.")).to_be_visible()
    page.get_by_label("Preset").click()
    page.get_by_role("option", name="safe").click()
    expect(page.get_by_text("EXPLORATION 0.0 → 0.02")).to_be_visible()
    page.get_by_role("button", name="Simulate").click()
    expect(page.get_by_text("Advice of today's counts:")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("query", PLACES)
def test_axe_finds_no_serious_fault(desk, query, scheme):
    page = desk.open(query, color_scheme=scheme)
    page.locator(DRAWN).first.wait_for()
    page.locator("[data-testid='stApp'][data-test-script-state='notRunning']").wait_for()
    found = Axe().run(page).response["violations"]
    assert [item["id"] for item in found if item["impact"] in GRAVE] == []
    background = page.locator("[data-testid='stApp']").evaluate(
        "element => getComputedStyle(element).backgroundColor.match(/[0-9]+/g)[0]"
    )
    assert (int(background) < 128) is (scheme == "dark")


@pytest.mark.parametrize("query", PLACES)
def test_a_phone_shows_it_without_scrolling_sideways(desk, query):
    page = desk.open(query, viewport={"width": 390, "height": 844})
    page.locator(DRAWN).first.wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("[data-testid='stMain']").evaluate("e => e.scrollWidth") <= 390


def test_the_api_is_killed_and_comes_back(desk):
    desk.api.close()
    time.sleep(FRESH_SECONDS + 1)  # the list that an earlier test has opened is kept so long
    page = desk.open("?lang=pt")
    expect(page.get_by_text("A API não responde")).to_be_visible()
    expect(page.get_by_text("Traceback")).to_have_count(0)
    desk.start_api()
    page.get_by_role("button", name="Tentar de novo").click()
    expect(page.get_by_role("button", name="experiment_000000")).to_be_visible()


def test_no_page_asked_another_host(desk):
    assert desk.foreign == set()
