"""The built site: complete, and no page asks another host (`make docs-site` builds it first)."""

import re
import threading
import tomllib
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which
from urllib.parse import unquote

import pytest
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[2]
SITE = ROOT / "build" / "site"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
FOREIGN = re.compile(r"^(?:https?:)?//")
# Zensical's script fetches these from another host if a page has such an element.
FETCHING = {"mermaid", "glightbox", "pyodide", "md-source", "md-typeset__gallery"}


class Loads(HTMLParser):
    """The addresses that a browser loads with a page, and the classes of its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.classes: set[str] = set()
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        self.classes.update(values.get("class", "").split())
        self.ids.add(values.get("id", ""))
        if values.get("rel") != "canonical" and LOADED.get(tag) in values:
            self.addresses.append(values[LOADED[tag]])


def html() -> list[Path]:
    return sorted(SITE.rglob("*.html"))


def nav(entries) -> list[str]:
    """The pages that the navigation names."""
    return [
        page
        for entry in entries
        for value in entry.values()
        for page in ([value] if isinstance(value, str) else nav(value))
    ]


def test_each_page_of_the_navigation_is_built():
    named = nav(tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["nav"])
    assert len(named) > 15
    for page in named:
        folder = page.removesuffix(".md").removesuffix("README").removesuffix("index")
        assert (SITE / folder / "index.html").is_file(), page


@pytest.mark.parametrize("path", html(), ids=lambda path: path.relative_to(SITE).as_posix())
def test_a_page_loads_nothing_from_another_host(path):
    page = Loads(path.read_text("utf-8"))
    assert page.addresses
    assert not [address for address in page.addresses if FOREIGN.match(address)]
    assert not page.classes & FETCHING


def test_no_link_leads_to_a_file_that_is_not_there():
    links = 0
    for path in html():
        for target in re.findall(r'(?:href|src)="([^"#?]+)[^"]*"', path.read_text("utf-8")):
            if re.match(r"^(?:[a-z]+:|//)", target):
                continue
            links += 1
            # 404.html is served for any address, so its own links begin at the root
            start = SITE if target.startswith("/") else path.parent
            found = start / unquote(target.lstrip("/"))
            assert (found / "index.html" if found.is_dir() else found).is_file(), (path, target)
    assert links > 1000


def test_no_style_sheet_loads_from_another_host():
    sheets = list(SITE.rglob("*.css"))
    assert sheets
    for path in sheets:
        text = path.read_text("utf-8")
        assert not re.findall(r"url\(\s*['\"]?(?:https?:)?//", text), path
        assert not re.findall(r"@import[^;]*//", text), path


def test_the_detector_of_this_file_finds_what_it_looks_for():
    page = Loads('<link href="https://a/b.css"><script src="//c/d.js"></script><p class="mermaid">')
    assert [bool(FOREIGN.match(address)) for address in page.addresses] == [True, True]
    assert page.classes & FETCHING


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture(scope="module")
def address():
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(SITE)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_browser_that_reads_and_searches_asks_no_other_host(address):
    program = next(filter(None, map(which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium; on Debian: apt-get install chromium")
    asked: list[str] = []
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: errors.append(str(error)))
        for path in ("", "START/", "CONCEPTS/", "ERD/", "API/", "adr/"):
            page.goto(f"{address}/{path}", wait_until="networkidle")
            assert page.locator("h1").first.is_visible()
        page.goto(f"{address}/CONCEPTS/", wait_until="networkidle")
        pictures = page.locator("article img")
        assert pictures.count() >= 4
        assert pictures.evaluate_all("all => all.every(one => one.naturalWidth > 0)")
        page.keyboard.press("/")
        page.wait_for_function("document.activeElement?.shadowRoot")  # the search is open
        page.keyboard.type("variant gap")
        page.get_by_text("Variant gaps").first.wait_for()
        browser.close()
    assert not errors
    assert not [url for url in asked if not url.startswith((address, "data:", "blob:"))]
