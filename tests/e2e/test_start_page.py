"""docs/START.md: its commands as printed, in a copy of the checkout, and the output that it shows.

The ports of `make up` are free ones, and the date of `mab replay` is the one that the demo prints.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from mab_store.settings import Settings
from tests.integration.api.servers import free_port

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "START.md").read_text("utf-8")
BLOCK = re.compile(r"```(bash|text)\n(.*?)```", re.DOTALL)
COMMANDS = [
    line for kind, text in BLOCK.findall(PAGE) if kind == "bash" for line in text.splitlines()
]
PATIENCE_SECONDS = 600
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of this checkout, as it is now, with the environment of this test as its .venv."""
    folder = tmp_path_factory.mktemp("start") / "mab"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    for path in Path(sys.prefix).iterdir():
        (folder / ".venv" / path.name).symlink_to(path)
    (folder / ".venv" / ".installed").unlink(missing_ok=True)
    (folder / ".venv" / ".installed").touch()
    return folder


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    ours = {name.upper() for name in Settings.model_fields} | {"DAGSTER_HOME", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    names = ("MAB_DAGSTER_PORT", "API_PORT", "MAB_DASHBOARD_PORT")
    ports = {name: str(free_port()) for name in names}
    return kept | ports | {"COLUMNS": "100", "no_proxy": "127.0.0.1"}


@pytest.fixture(scope="module")
def said(checkout, environment) -> dict[str, tuple[int, str]]:
    """Run each command but `make up`, in the page's order; return exit code and output of each."""
    found: dict[str, tuple[int, str]] = {}
    before = "true"
    for command in COMMANDS:
        if command == "make up":
            continue
        if command.startswith("source "):
            before = command
            continue
        done = subprocess.run(
            ["bash", "-c", f"{before} && {of_yesterday(command)}"],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_SECONDS,
        )
        found[command] = done.returncode, done.stdout + done.stderr
    return found


def of_yesterday(command: str) -> str:
    return re.sub(r"--date \S+", f"--date {YESTERDAY}", command)


def test_every_command_ends_as_the_page_says(said):
    assert len(said) >= 5
    for command, (code, text) in said.items():
        expected = 1 if "doctor" in command else 0  # four experiments are held back
        assert code == expected, (command, text)
    assert "its exit code is then 1" in PAGE


def test_the_demo_prints_the_command_that_the_page_takes_from_it(said):
    command = next(command for command in COMMANDS if command.startswith("mab replay"))
    assert of_yesterday(command) in said["make demo"][1]


def test_each_output_that_the_page_shows_is_printed_but_for_its_numbers(said):
    printed = shape("\n".join(text for _, text in said.values()))
    shown = [text for kind, text in BLOCK.findall(PAGE) if kind == "text"]
    assert len(shown) >= 3
    for text in shown:
        for part in filter(str.strip, text.split("…")):
            for line in [part] if "because" in part else part.splitlines():
                assert shape(line) in printed, line


def shape(text: str) -> str:
    """Return a text without its numbers, ids and line breaks."""
    text = re.sub(r"alc_[0-9a-f]+", "alc_#", text)
    return " ".join(re.sub(r"\d[\d.,-]*", "#", text).split())


@pytest.fixture(scope="module")
def up(said, checkout, environment) -> Iterator[subprocess.Popen[bytes]]:
    assert said
    log = (checkout / "up.log").open("wb")
    with (
        log,
        subprocess.Popen(
            ["make", "up"],
            cwd=checkout,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            started = psutil.Process(process.pid).children(recursive=True)
            os.killpg(process.pid, signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(60)
            for left in started:
                with suppress(psutil.NoSuchProcess):
                    left.kill()


def test_the_addresses_of_the_page_answer(up, checkout, environment):
    settings = {"3000": "MAB_DAGSTER_PORT", "8000": "API_PORT", "8501": "MAB_DASHBOARD_PORT"}
    ports = {port: environment[name] for port, name in settings.items()}
    found = re.findall(
        r"<(http://127\.0\.0\.1:(\d+)\S*)>|`curl (http://127\.0\.0\.1:(\d+)\S+)`", PAGE
    )
    urls = [(first or second).replace(a or b, ports[a or b]) for first, a, second, b in found]
    assert len(urls) == 4
    for url in urls:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not answers(url):
            assert up.poll() is None, (checkout / "up.log").read_text()
            assert time.monotonic() < deadline, url
            time.sleep(0.5)


def answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url, timeout=30) as reply:
        return bool(reply.status == 200 and reply.read())
    return False
