"""What `make e2e` needs: a home with a day to decide, the services of `make up`, a browser.

On a failure the screen, the text of the page and the services' last words are kept and printed.
MAB_E2E_SCREENSHOTS names the folder of the pictures (`make screenshots`: docs/img).
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.e2e.scene import Scene, make_scene
from tests.e2e.services import Services, running

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_MS = 600_000  # of a busy machine; what is there is seen at once
SIZE = {"width": 1440, "height": 720}
LOG_TAIL = 4000


@pytest.fixture(scope="session")
def chromium() -> str:
    """Return the browser's program."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.exit("make e2e needs Chromium; on Debian: apt-get install chromium", returncode=1)
    return found


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Return the folder of the pictures."""
    wanted = os.environ.get("MAB_E2E_SCREENSHOTS")
    folder = Path(wanted) if wanted else tmp_path_factory.mktemp("pictures")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def scene(chromium, tmp_path_factory) -> Scene:
    """A home in which the day that just ended is loaded, and decided up to the day before."""
    assert chromium  # without it there is nothing to prepare for
    return make_scene(tmp_path_factory.mktemp("e2e") / "home")


@pytest.fixture(scope="session")
def services(scene) -> Iterator[Services]:
    with running(scene) as services:
        yield services


@pytest.fixture(scope="session")
def browser(chromium) -> Iterator[Browser]:
    """Return the one browser of all modules: Playwright cannot be started twice at a time."""
    expect.set_options(timeout=TIMEOUT_MS)
    options = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def page(browser, services) -> Page:
    """The tab that shows the services; nothing waits longer than TIMEOUT_MS."""
    assert services
    context = browser.new_context(
        viewport=SIZE, locale="en-US", timezone_id="UTC", reduced_motion="reduce"
    )
    page = context.new_page()
    page.set_default_timeout(TIMEOUT_MS)
    return page


@pytest.fixture
def picture(page, pictures) -> Callable[[str], None]:
    """Take a picture: `picture("lineage")`."""

    def take(name: str) -> None:
        page.mouse.move(0, 0)  # no tooltip over it
        page.screenshot(path=pictures / f"{name}.png")

    return take


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed:
        for name, text in _evidence(item, call.when):
            report.sections.append((name, text))
    return report


def _evidence(item: pytest.Item, when: str) -> Iterator[tuple[str, str]]:
    """Keep what the browser showed and the services wrote; yield what is printed of it."""
    known = getattr(item, "funcargs", {})
    services, page = known.get("services"), known.get("page")
    if page is not None:
        folder = known["scene"].home.parent
        picture, text = (folder / f"{item.name}-{when}.{kind}" for kind in ("png", "txt"))
        page.screenshot(path=picture)
        text.write_text(page.inner_text("body"), "utf-8")
        yield "page", f"{page.url}\nkept in {picture} and {text}"
    if services is not None:
        yield f"the end of {services.log}", services.tail(LOG_TAIL)
