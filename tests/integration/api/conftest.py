"""What the tests of the API share: a published home and a client, in this process."""

import io
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from mab_api.app import create_app
from mab_api.snapshot.worker import Read
from mab_store.settings import Settings
from tests.integration.api.homes import YESTERDAY, Home
from tests.integration.api.reading import reading_elsewhere
from tests.integration.api.servers import DEADLINE_SECONDS


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch, tmp_path):
    """No setting in the environment and no `.env` in the working folder."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


class Api:
    """A running app, its client and what it logs."""

    def __init__(self, home: Home, *, is_dev: bool, read: Read) -> None:
        self.home = home
        self._log = io.BytesIO()
        self.app = create_app(
            home.settings, clock=home.clock, is_dev=is_dev, log_stream=self._log, read=read
        )
        self.client = TestClient(
            self.app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False
        )

    @property
    def log(self) -> io.BytesIO:
        """What it logged until now."""
        self.app.state.serving.lines.flush()
        return self._log

    def refresh(self) -> bool:
        """Look for a new publication now."""
        return self.app.state.serving.refresher.poll()

    def get(self, path: str, **kwargs):
        return self.client.get(path, **kwargs)

    def post(self, path: str, **kwargs):
        return self.client.post(path, **kwargs)


@pytest.fixture(scope="session")
def read() -> Iterator[Read]:
    """Return what reads published copies, in a process of its own."""
    with reading_elsewhere() as reading:
        yield reading


@pytest.fixture
def start(read) -> Iterator[Callable[..., Api]]:
    """Start the API on a home; it looks for publications only when told to."""
    with ExitStack() as stack:

        def starting(home: Home, *, is_dev: bool = True) -> Api:
            api = Api(home, is_dev=is_dev, read=read)
            stack.enter_context(api.client)
            assert api.app.state.serving.refresher.looked.wait(DEADLINE_SECONDS)
            return api

        yield starting


@pytest.fixture(scope="session")
def templates(tmp_path_factory) -> dict[str, Home]:
    """Homes that are made once and copied for each test."""
    folder = tmp_path_factory.mktemp("templates")
    empty = Home(folder / "empty", api_refresh_seconds=3600)
    empty.register()
    published = empty.clone(folder / "published")
    published.publish()
    ten_days = empty.clone(folder / "ten_days")
    for offset in range(9, -1, -1):
        ten_days.clock.now += timedelta(minutes=1)
        ten_days.publish(YESTERDAY - timedelta(days=offset))
    return {"empty": empty, "published": published, "ten_days": ten_days}


@pytest.fixture
def home(templates, tmp_path) -> Home:
    """Three experiments of three variants, nothing published."""
    return templates["empty"].clone(tmp_path / "home")


@pytest.fixture
def published(templates, tmp_path) -> Home:
    """The same, published for yesterday."""
    return templates["published"].clone(tmp_path / "published")


@pytest.fixture
def api(published, start) -> Api:
    """An API in dev mode on the published home."""
    return start(published)
