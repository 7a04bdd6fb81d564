"""The `mab …` commands in the blocks of the pages in docs/, run as printed on the demo's home.

What a reader fills in is in FILLED; what is not run is in NOT_RUN, with the reason.
"""

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import sqlalchemy
from typer.testing import CliRunner

from mab_pipeline.cli.main import app
from mab_store.errors import MabError
from mab_store.settings import Settings
from tests.integration.api.servers import free_port

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BLOCK = re.compile(r"(?:<!-- ([^>]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)
TESTED_ELSEWHERE = {
    "START.md": "tests/e2e/test_start_page.py",
    "YOUR_DATA.md": "tests/integration/sources/test_your_data_page.py",
    "API.md": "tests/integration/api/test_docs_page.py",
}
PAGES = ["EVERY_DAY.md", "SOURCES.md", "FAQ.md", "DASHBOARD.md"]  # in the order of the run
NOT_RUN = {
    "source .venv/bin/activate": "the test is inside the environment",
    "make up": "tests/e2e/test_start_page.py runs it",
}
SERVES = {"mab api": "/readyz", "mab dashboard": "/"}  # until stopped; the path answers when ready
ENDS_WITH = {"mab doctor": 1}  # no API is running then, and four of the demo's are held back
ADDED = {
    "mab import": ["--yes"],  # no terminal to ask on
    "mab simulate": ["--reps", "10"],  # 200 repetitions take half a minute
}
PATIENCE_SECONDS = 600
LAST = datetime.now(UTC).date() - timedelta(days=1)
FILLED = {
    "2026-11-01": str(LAST - timedelta(days=2)),
    "2026-11-20": str(LAST - timedelta(days=1)),
    "2026-11-22": str(LAST),
}
COUNTS = {"control": (9_000, 270), "variant_a": (9_100, 310), "variant_b": (9_200, 280)}


def blocks(page: str) -> list[tuple[str, str]]:
    return [(kind, text) for _, kind, text in BLOCK.findall((DOCS / page).read_text("utf-8"))]


def commands(page: str) -> list[str]:
    """Return the commands of a page's blocks, without their comments."""
    return [
        shlex.join(shlex.split(line.removeprefix("$ "), comments=True))
        for kind, text in blocks(page)
        for line in text.replace("\\\n", " ").splitlines()
        if kind in {"bash", "sh", "console"} or re.match(r"(\$ )?(mab|make) ", line)
    ]


def example(page: str, kind: str, part: str) -> str:
    """Return the one block of this kind that has this part in it."""
    (text,) = (text for found, text in blocks(page) if found == kind and part in text)
    return text


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command ended with, and what it wrote to stdout and stderr."""

    code: int
    text: str


class Crm(BaseHTTPRequestHandler):
    """The HTTP service of docs/SOURCES.md."""

    def do_GET(self) -> None:
        is_known = self.headers["Authorization"] == "Bearer secret"
        rows = [
            {"subject": name, "impressions": 900 + clicks, "clicks": clicks}
            for name, clicks in (("plain", 40), ("question", 50))
        ]
        self.send_response(200 if is_known else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(rows if is_known else []).encode())

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def crm() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Crm)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def call(line: str) -> Printed:
    """Run a command in this process, as `main` does."""
    words = shlex.split(line)[1:]
    added = next((more for start, more in ADDED.items() if line.startswith(start)), [])
    result = CliRunner().invoke(app, [*words, *added])
    if isinstance(result.exception, MabError):
        return Printed(result.exception.exit_code, str(result.exception))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Printed(result.exit_code, result.output)


def serve(line: str, url: str) -> Printed:
    """Start a command, wait until the address answers, press Ctrl-C."""
    words = [Path(sys.executable).with_name("mab"), *shlex.split(line)[1:]]
    process = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    deadline = time.monotonic() + PATIENCE_SECONDS
    status = 0
    try:
        while status != httpx.codes.OK and time.monotonic() < deadline and process.poll() is None:
            with suppress(httpx.TransportError):
                status = httpx.get(url, timeout=10, trust_env=False).status_code
            time.sleep(0.1)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        out, _ = process.communicate()
    return Printed(0 if status == httpx.codes.OK else 1, out.decode())


def prepare(folder: Path, address: str) -> None:
    """Write what the pages take for granted: the reader's exports, sources and experiments."""
    gam = example("YOUR_DATA.md", "text", "Ad Manager report")
    for ago, printed in enumerate(("11/22/2025", "11/21/2025", "11/20/2025")):
        gam = gam.replace(printed, f"{LAST - timedelta(days=ago):%m/%d/%Y}")
    (folder / "gam.csv").write_text(gam, "utf-8")
    (folder / "experiments.json").write_text(example("EVERY_DAY.md", "json", '"variants"'), "utf-8")
    with (folder / "gam-export.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["date", "experiment", "variant_name", "impressions", "clicks"])
        for name, counts in COUNTS.items():
            writer.writerow([LAST, "homepage_cta_test", name, *counts])
    by_hand = folder / "home" / "inbox" / "metrics" / str(LAST) / "anything.json"
    body = example("EVERY_DAY.md", "json", '"metrics"')
    by_hand.write_text(body.replace("2026-11-22", str(LAST)), "utf-8")
    export = folder / "exports" / f"{LAST:%Y/%m/%d}" / "night.csv"
    export.parent.mkdir(parents=True)
    export.write_text(gam, "utf-8")
    sources = example("SOURCES.md", "toml", "[sources.ads]")
    for printed, ours in {
        "s3://exports": str(folder / "exports"),
        '"ad_manager"': '"homepage_cta"',  # `mab import gam.csv` keeps it under the experiment
        "https://crm.example": address,
    }.items():
        assert printed in sources
        sources = sources.replace(printed, ours)
    # The source on an account has its own suite: tests/snowflake/test_sources.py.
    sources, dropped = re.subn(r"\[sources\.shop\]\n.*?\n\n", "", sources, flags=re.DOTALL)
    assert dropped == 1
    (folder / "home" / "sources.toml").write_text(sources, "utf-8")
    engine = sqlalchemy.create_engine(f"sqlite:///{folder / 'ads.db'}")
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "create table ad_counts (day, experiment, variant, views, clicks)"
        )
        for variant, views, clicks in (("red", 700, 30), ("red", 100, 2), ("blue", 800, 40)):
            values = (str(LAST), "banner", variant, views, clicks)
            connection.exec_driver_sql("insert into ad_counts values (?, ?, ?, ?, ?)", values)
    engine.dispose()


@pytest.fixture(scope="module")
def said(tmp_path_factory) -> Iterator[dict[str, Printed]]:
    """Make the demo's home, then run each command of the pages; return what each printed."""
    folder = tmp_path_factory.mktemp("pages")
    ports = {"mab api": free_port(), "mab dashboard": free_port()}
    with pytest.MonkeyPatch.context() as patch, crm() as address:
        for name in ("DAGSTER_HOME", *(field.upper() for field in Settings.model_fields)):
            patch.delenv(name, raising=False)
        for name, value in {
            "MAB_HOME": str(folder / "home"),
            "API_PORT": str(ports["mab api"]),
            "MAB_DASHBOARD_PORT": str(ports["mab dashboard"]),
            "ADS_DATABASE_URL": f"sqlite:///{folder / 'ads.db'}",
            "CRM_TOKEN": "secret",
            "COLUMNS": "100",
            "no_proxy": "127.0.0.1",
        }.items():
            patch.setenv(name, value)
        patch.chdir(folder)
        done = {"mab demo": call("mab demo")}
        prepare(folder, address)
        for name, variants in (("newsletter", "plain question"), ("banner", "red blue")):
            control, other = variants.split()
            line = f"mab experiments create {name} --control {control} --variant {other}"
            done[line] = call(line)
        for line in (line for page in PAGES for line in commands(page)):
            if line in NOT_RUN:
                continue
            if line in SERVES:
                done[line] = serve(line, f"http://127.0.0.1:{ports[line]}{SERVES[line]}")
            else:
                done[line] = call(filled(line, done))
        yield done


def filled(line: str, done: dict[str, Printed]) -> str:
    """Put this test's days, and an id that `mab explain` showed, into a printed command."""
    for printed, ours in FILLED.items():
        line = line.replace(printed, ours)
    if "--allocation" in line:
        shown = done["mab explain asos_591c2c"].text
        (allocation,) = re.findall(r"^allocation (alc_\w+)", shown, re.MULTILINE)
        line = re.sub(r"--allocation \S+", f"--allocation {allocation}", line)
    return line


def test_every_page_with_a_command_is_run_by_a_test():
    for page, test in TESTED_ELSEWHERE.items():
        assert page in (ROOT / test).read_text("utf-8")
    others = {path.name for path in DOCS.glob("*.md")} - set(TESTED_ELSEWHERE)
    assert {page for page in others if commands(page)} == set(PAGES)


def test_every_command_of_the_pages_is_run_or_listed(said):
    printed = {line for page in PAGES for line in commands(page)}
    assert len(printed) >= 20
    assert printed - set(NOT_RUN) <= set(said)
    assert set(NOT_RUN) <= printed
    assert set(SERVES) | set(ENDS_WITH) <= printed


def test_every_command_ends_well(said):
    ends = {
        line: printed for line, printed in said.items() if printed.code != ENDS_WITH.get(line, 0)
    }
    assert ends == {}


@pytest.mark.parametrize(
    ("line", "part"),
    [
        ("mab run", "Published"),
        ("mab replay asos_329386 --date 2026-11-22", "the same, bit for bit: asos_329386"),
        ("mab replay --allocation ID", "the same, bit for bit: asos_591c2c"),
        ("mab replay homepage_cta_test --date 2026-11-22", "the same, bit for bit: homepage_cta"),
        ("mab prune --older-than 180d", "Nothing was changed; give --apply to drop it."),
        ("mab sources check", "banner"),
    ],
)
def test_a_command_does_what_its_comment_says(said, line, part):
    assert part in said[line].text, said[line].text


def test_no_command_says_1_days(said):
    """A count of one has its noun in the singular."""
    plural = re.compile(r"\b1 (?:\w+ )?(days|rows|files|allocations|experiments|were)\b")
    for line, printed in said.items():
        assert not plural.search(printed.text), (line, plural.search(printed.text))


def test_the_experiments_of_each_feed_are_published(said):
    bodies = json.loads(said["mab allocations --format json"].text)
    names = {body["experiment_name"] for body in bodies}
    assert {"homepage_cta", "homepage_cta_test", "newsletter", "banner"} <= names
