"""The Dagster UI as a person uses it: where to click, and what to read.

What belongs here: addresses, buttons, waiting for what they lead to. What does not: what must be
true (the tests). Written for the pinned Dagster; texts and roles before anything else.
"""

import re
from datetime import date

from playwright.sync_api import Locator, Page, expect

_ENDED = re.compile("^(Success|Failure|Canceled)$")


class DagsterUi:
    """A browser tab on the Dagster UI.

    Attributes:
        page: The tab.
        url: Address of the UI.
    """

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url

    def open_lineage(self) -> None:
        """Show the lineage of everything, with its groups open."""
        self.page.goto(f"{self.url}/asset-groups")
        closed = self.page.locator("svg").get_by_role("img", name="unfold_more")
        closed.or_(self.assets).first.wait_for()
        if closed.first.is_visible():  # the browser remembers groups that were opened before
            self.page.keyboard.press("Alt+e")
            self.assets.first.wait_for()

    def make_room(self) -> None:
        """Hide what stands beside the lineage, and let it fill the page: for a picture."""
        jump = self.page.get_by_placeholder("Jump to…")
        jump.locator("xpath=ancestor::*[.//button][1]").get_by_role("button").click()
        expect(jump).to_be_hidden()
        navigation = self.page.get_by_role("button", name="Hide navigation")
        navigation.click()
        expect(navigation).to_be_hidden()
        size = self.page.viewport_size
        assert size
        self.page.mouse.dblclick(size["width"] - 250, size["height"] - 50)  # zoom to fit
        self.page.wait_for_timeout(1000)  # it glides

    @property
    def assets(self) -> Locator:
        """The names of the assets in the lineage; a long one has … in its middle."""
        return self.page.locator("svg [class*='AssetNode_assetName']")

    @property
    def green_assets(self) -> Locator:
        """The assets of the lineage all of whose days are materialised."""
        return self.page.locator("svg [style*='background-green']")

    def materialise(self, day: date) -> str:
        """Materialise all assets of a day by clicking; return how the run ended."""
        run = self._launch(str(day), "Launch 1 run")
        self.page.goto(f"{self.url}{run}")
        ended = self.page.get_by_text(_ENDED).first
        ended.wait_for()
        return ended.inner_text()

    def backfill(self, first: date, last: date) -> str:
        """Materialise all assets of a range of days by clicking; return the backfill's id."""
        return self._launch(f"[{first}...{last}]", "Launch backfill").rsplit("/", 1)[-1]

    def _launch(self, days: str, button: str) -> str:
        """Choose days in the dialog and launch; return the address of what was launched."""
        self._materialize.click()
        dialog = self.page.get_by_role("dialog")
        chosen = dialog.locator("input[type=text]").first
        chosen.fill(days)
        chosen.press("Enter")
        launch = dialog.get_by_role("button", name=button)
        expect(launch).to_be_enabled()
        launch.click()
        address = self.page.get_by_role("link", name="View", exact=True).get_attribute("href")
        assert address
        return address

    def open_checks(self, asset: str) -> Locator:
        """Show the checks of an asset; return what the list says of each one that is well."""
        self.page.goto(f"{self.url}/assets/{asset}?view=checks")
        return self.page.get_by_text("Succeeded", exact=True)

    def open_day(self, asset: str, day: date) -> None:
        """Show a day of an asset, with its metadata."""
        self.page.goto(f"{self.url}/assets/{asset}?view=partitions&partition={day}")

    def open_sensor(self, name: str) -> None:
        """Show a sensor."""
        self.page.goto(f"{self.url}/locations/mab/sensors/{name}")

    def open_automation(self) -> None:
        """Show schedules and sensors."""
        self.page.goto(f"{self.url}/automation")

    def switch_of(self, name: str) -> Locator:
        """The switch of a schedule or sensor; checked where it runs."""
        row = self.page.locator("[data-index]").filter(has=self.page.get_by_text(name, exact=True))
        return row.get_by_role("checkbox").last

    @property
    def _materialize(self) -> Locator:
        return self.page.get_by_role("button", name="Materialize all")
