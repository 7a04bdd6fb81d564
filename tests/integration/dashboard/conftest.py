"""What the tests of the dashboard share: real APIs in this process, and a reader of pages."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import streamlit as st
import uvicorn
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest

import mab_dashboard
from mab_api.app import create_app
from mab_pipeline.allocation.publish import serve
from mab_store.settings import Settings
from tests.integration.api.homes import NOW, YESTERDAY, Home
from tests.integration.api.reading import reading_elsewhere

APP = Path(mab_dashboard.__file__).with_name("app.py")
DEADLINE_SECONDS = 120.0
KEY = "a read key"
HOSTILE = ("<img src=x onerror=alert(1)>", '=HYPERLINK("http://x")', "ansi \x1b[31m **b** :smile:")


@contextmanager
def serving(home: Home, *, read: Callable) -> Iterator[str]:
    """Serve a home on a free port in a thread of this process; yield its address."""
    is_open = not home.settings.api_read_keys
    app = create_app(home.settings, clock=home.clock, is_dev=is_open, read=read)
    config = uvicorn.Config(app, port=0, log_level="critical", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    refresher = app.state.serving.refresher
    assert refresher.looked.wait(DEADLINE_SECONDS)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(DEADLINE_SECONDS)


def _received(row: tuple[str, str, str]) -> dict[str, object]:
    variant, shown, clicks = row
    return {
        "metric_date": YESTERDAY,
        "source_file": f"metrics/{YESTERDAY}/{variant[0]}.csv",
        "row_number": 1,
        "received_at": NOW,
        "experiment": HOSTILE[0],
        "variant_name": variant,
        "impressions": shown,
        "clicks": clicks,
    }


def hostile_home(root: Path) -> Home:
    """Return a home whose names are markup, formulas and escapes, as an older version took them."""
    home = Home(root)
    home.invent(1, variants=3)
    (experiment_id,) = home.variants
    with home.platform.warehouse.transaction() as transaction:
        execute = transaction._connection.execute
        execute("update experiments set experiment_name = ?", [HOSTILE[0]])
        for old, new in zip(home.variants[experiment_id], HOSTILE, strict=True):
            execute("update variants set variant_name = ? where variant_name = ?", [new, old])
    home.variants[experiment_id] = list(HOSTILE)
    home._append("raw_metrics", [*map(_received, [(HOSTILE[1], "=1+1", "1"), ("lost", "2", "1")])])
    home.publish(YESTERDAY)
    with home.platform.warehouse.transaction() as transaction:
        counted = """replace(analysis, '"rejected_rows":0', '"rejected_rows":2')"""
        transaction._connection.execute(f"update analysis set analysis = {counted}")
    serve(home.platform)
    return home


@pytest.fixture(scope="module")
def addresses(tmp_path_factory) -> Iterator[dict[str, str]]:
    """Addresses of APIs by the state of their home."""
    folder = tmp_path_factory.mktemp("dashboards")
    empty = Home(folder / "empty", api_refresh_seconds=3600)
    registered = empty.clone(folder / "registered")
    registered.register(2)
    full = empty.clone(folder / "full")
    full.invent(30)
    for offset in (4, 3, 0):
        full.clock.now += timedelta(minutes=1)
        full.publish(YESTERDAY - timedelta(days=offset))
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    shut = registered.clone(folder / "shut", api_read_keys=digest)
    shut.publish(YESTERDAY)
    with reading_elsewhere() as read:
        homes = {"empty": empty, "unpublished": registered, "full": full, "shut": shut}
        homes["hostile"] = hostile_home(folder / "hostile")
        servers = [serving(home, read=read) for home in homes.values()]
        yield {
            **dict(zip(homes, (server.__enter__() for server in servers), strict=True)),
            "away": "http://127.0.0.1:9",
        }
        for server in servers:
            server.__exit__(None, None, None)


class Page:
    """A page as Streamlit would show it."""

    def __init__(self, test: AppTest) -> None:
        self.test = test

    def run(self) -> "Page":
        """Run the script again, and check that no trace is shown."""
        self.test.run()
        assert not self.test.exception, [error.value for error in self.test.exception]
        return self

    @property
    def text(self) -> str:
        """All the HTML that the page holds."""
        return "\n".join(element.proto.body for element in self.test.get("html"))

    @property
    def words(self) -> list[str]:
        """The labels of all widgets."""
        kinds = ("button", "selectbox", "slider", "number_input", "text_input", "toggle")
        found = [element.label for kind in kinds for element in self.test.get(kind)]
        return found + [element.label for element in self.test.expander]

    @property
    def buttons(self) -> list[str]:
        """The labels of all buttons."""
        return [button.label for button in self.test.button]


@pytest.fixture(scope="module", autouse=True)
def _components_are_looked_for_once() -> Iterator[None]:
    """Each run of a page asks all installed packages for components of Streamlit: two seconds."""
    found = manifest_scanner.scan_component_manifests()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", lambda: found)
        yield


@pytest.fixture
def open_page(addresses, monkeypatch, tmp_path) -> Callable[..., Page]:
    """Open a page of the dashboard: `open_page("full", page="experiment")`."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)

    def opening(api: str, *, now: datetime = NOW, **query: str) -> Page:
        monkeypatch.setenv("MAB_API_URL", addresses[api])
        st.cache_data.clear()
        monkeypatch.setattr("mab_dashboard.view.utc_now", lambda: now.replace(tzinfo=UTC))
        test = AppTest.from_file(str(APP), default_timeout=DEADLINE_SECONDS)
        for name, value in query.items():
            test.query_params[name] = value
        return Page(test).run()

    return opening
