"""What the tests of sources share: a home, a web server that misbehaves on demand, a database."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mab_pipeline.resources import Platform, build_platform
from mab_pipeline.sources.config import find_source
from mab_pipeline.sources.pull import Pulled, Puller
from mab_store.settings import load_settings

DAY = date(2025, 3, 19)
TOKEN = "s3cr3t-t0ken/with+signs"
HEADER = "experiment,variant,impressions,clicks\n"
ROWS = HEADER + "cta,control,1000,10\ncta,variant_a,1000,20\n"


class Home:
    """A MAB_HOME with sources, and pulls without Dagster."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.folder = folder
        self.settings = load_settings(mab_home=folder, _env_file=None, **settings)
        self.platform: Platform = build_platform(self.settings)

    def pull(self, table: str, *days: date, late: tuple[date, ...] = ()) -> Pulled:
        """Write a source called `ads`, then pull it."""
        (self.folder / "sources.toml").write_text(f"[sources.ads]\n{table}\n", "utf-8")
        source = find_source(self.settings, "ads")
        return Puller(self.platform, source).pull(days or (DAY,), late=late)

    def failure(self, table: str) -> str:
        """Return why a pull brought nothing; nothing is stored then."""
        pulled = self.pull(table)
        assert self.files() == []
        return pulled.failed[DAY]

    def files(self) -> list[str]:
        """Return the metrics files of the inbox by name."""
        inbox = self.folder / "inbox"
        found = (inbox / "metrics").rglob("*")
        return sorted(str(path.relative_to(inbox)) for path in found if path.is_file())

    def text(self, name: str) -> str:
        return (self.folder / "inbox" / name).read_text()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.answer(self)

    def log_message(self, *_):
        """Say nothing."""


class Web(ThreadingHTTPServer):
    """A web server that answers what the test says.

    Attributes:
        status: The status.
        body: The body.
        headers: Further headers.
        drip: Pause between the bytes of the body; 0: it is sent at once [s].
        asked: Path and Authorization of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.is_over = threading.Event()
        self.reset()

    def reset(self) -> None:
        self.status, self.body, self.drip = 200, ROWS.encode(), 0.0
        self.headers: dict[str, str] = {"Content-Type": "text/csv"}
        self.asked: list[tuple[str, str | None]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append((request.path, request.headers["Authorization"]))
        request.send_response(self.status)
        for name, value in self.headers.items():
            request.send_header(name, value)
        request.end_headers()
        if not self.drip:
            request.wfile.write(self.body)
            return
        for byte in self.body:
            request.wfile.write(bytes([byte]))
            if self.is_over.wait(self.drip):
                return

    def handle_error(self, *_: object) -> None:
        """A client that went away is no error of the test."""


@contextmanager
def serving() -> Iterator[Web]:
    """Serve until the block ends."""
    web = Web()
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        web.is_over.set()
        web.shutdown()
        web.server_close()
        thread.join()


def sqlite_database(path: Path, *days: str) -> Path:
    """Make a database with a table `counts`, the sample's rows on each day."""
    with sqlite3.connect(path) as connection:
        connection.execute("create table counts (day, experiment, variant, impressions, clicks)")
        for day in days:
            connection.execute("insert into counts values (?, 'cta', 'control', 1000, 10)", [day])
            connection.execute("insert into counts values (?, 'cta', 'variant_a', 1000, 20)", [day])
    return path


def sql_source(path: Path) -> str:
    return (
        f'kind = "sql"\nurl = "sqlite:///{path}"\nretries = 0\n'
        'query = "select * from counts where day = :day"'
    )
