"""How soon the dashboard's overview is on the screen, in a real browser (Chromium)."""

import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
from playwright.sync_api import Browser, sync_playwright

from tests.bench.rows import Row
from tests.integration.api.homes import YESTERDAY, Home
from tests.integration.api.servers import serving

EXPERIMENTS = 1_000
ROUNDS = 5
MOST_SECONDS = 2.0
FRESH_SECONDS = 21.0
"""After which the dashboard asks the API again."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def run() -> list[Row]:
    """Measure everything of this module."""
    name = f"the overview's first row after the API's answer, {EXPERIMENTS:,} experiments"
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        return [Row(name, f"< {MOST_SECONDS:g} s", "no Chromium here", None)]
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder) / "home")
        home.invent(EXPERIMENTS)
        for offset in (1, 0):
            home.clock.now += timedelta(minutes=1)
            home.publish(YESTERDAY - timedelta(days=offset))
        after, whole = _measured(program, home, Path(folder) / "desk")
    text = f"{after:.2f} s ({whole:.2f} s from the click, with the browser's start of the page)"
    return [Row(name, f"< {MOST_SECONDS:g} s", text, after < MOST_SECONDS)]


def _measured(program: str, home: Home, desk: Path) -> tuple[float, float]:
    """Return the median seconds from the API's answer, and from the request of the page."""
    args = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with serving(home.settings.mab_home) as api:
        api.wait_for("/readyz")
        with (
            _relay(api.url) as (url, answered),
            serving(
                desk,
                command=("-m", "mab_dashboard"),
                port_setting="MAB_DASHBOARD_PORT",
                MAB_API_URL=url,
            ) as shown,
            sync_playwright() as playwright,
        ):
            browser = playwright.chromium.launch(executable_path=program, args=args)
            rounds = [_first_row(browser, shown.url, answered) for _ in range(ROUNDS + 1)]
            browser.close()
    after, whole = zip(*rounds[1:], strict=True)  # the first round warms up
    return statistics.median(after), statistics.median(whole)


def _first_row(browser: Browser, url: str, answered: list[float]) -> tuple[float, float]:
    """Open the overview in a window of its own, when the list that is kept has expired."""
    time.sleep(FRESH_SECONDS)
    count, page = len(answered), browser.new_context().new_page()
    page.set_default_timeout(120_000)
    started = time.monotonic()
    page.goto(url)
    page.locator(".mab .row:not(.head)").first.wait_for()
    seen = time.monotonic()
    assert len(answered) == count + 1
    page.context.close()
    return seen - answered[-1], seen - started


@contextmanager
def _relay(api: str) -> Iterator[tuple[str, list[float]]]:
    """Pass requests on to the API, and note when each answer was whole."""
    answered: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            found = httpx.get(f"{api}{self.path}", timeout=60)
            answered.append(time.monotonic())
            self.send_response(found.status_code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(found.content)))
            self.end_headers()
            self.wfile.write(found.content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", answered
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
