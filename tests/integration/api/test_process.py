"""The API as a process: how it starts and refuses to, what it holds open, how it dies."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from mab_store.experiments.schemas import experiment_id_of
from mab_store.files.parsers import read_metrics
from tests.integration.api.homes import YESTERDAY
from tests.integration.api.servers import DEADLINE_SECONDS, ROOT, free_port, serving, wait_until_up
from tests.python_path import python_path

FIRST = experiment_id_of("experiment_000")
KILLS = 20
CLI = "from mab_pipeline.cli.main import main; main()"


FORKER = """
import os, sys
from mab_api.__main__ import main
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.environ["API_PORT"], sys.argv = line.strip(), ["mab api", "--dev"]
        os._exit(main())
    print(child, flush=True)
    os.waitpid(child, 0)
"""


@contextmanager
def forking(home):
    """Start servers that have imported everything already, one after the other."""
    environment = os.environ | {"PYTHONPATH": python_path(ROOT), "MAB_HOME": str(home)}
    parent = subprocess.Popen(
        [sys.executable, "-c", FORKER],
        env=environment,
        cwd=home,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    def start() -> tuple[str, int]:
        port = free_port()
        parent.stdin.write(f"{port}\n")
        parent.stdin.flush()
        pid = int(parent.stdout.readline())
        wait_until_up(f"http://127.0.0.1:{port}")
        return f"http://127.0.0.1:{port}", pid

    try:
        yield start
    finally:
        parent.stdin.close()
        parent.wait(DEADLINE_SECONDS)


def outcome(tmp_path, *command: str, **environment: str) -> subprocess.CompletedProcess:
    """Run a command that is expected to end by itself."""
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | {"PYTHONPATH": python_path(ROOT), "MAB_HOME": str(tmp_path)} | environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def handles_of(pid: int, *, below: Path) -> dict[str, int]:
    """Return the access mode of every file below a folder that a process has open."""
    process, held = Path(f"/proc/{pid}"), {}
    for handle in (process / "fd").iterdir():
        try:
            target = str(handle.readlink())
            info = (process / "fdinfo" / handle.name).read_text()
        except FileNotFoundError:
            continue  # a socket that was closed since the folder was listed
        if target.startswith(f"{below}/"):
            held[target] = int(info.split("flags:")[1].split()[0], 8) & os.O_ACCMODE
    return held


def test_dev_mode_refuses_to_listen_on_another_address_than_this_machine(tmp_path):
    for host in ("0.0.0.0", "::"):
        done = outcome(tmp_path, "-c", CLI, "api", "--dev", API_HOST=host)
        assert done.returncode == 2
        assert done.stderr.startswith(f"mab: API_HOST={host}: with --dev every client may write")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("API_REFRESH_SECONDS", "0"),
        ("API_PORT", "http"),
        ("API_READ_KEYS", "plain-key"),
        ("API_READ_KEYS", ","),
        ("API_WRITE_KEYS", " , ,"),
        ("API_WRITE_KEYS", "ab" * 32 + ",short"),
    ],
)
@pytest.mark.parametrize("command", [("-m", "mab_api"), ("-m", "uvicorn", "mab_api.asgi:app")])
def test_a_bad_setting_stops_it_with_one_sentence_that_shows_no_key(
    tmp_path, command, setting, value
):
    done = outcome(tmp_path, *command, **{setting: value})
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"mab: Settings: {setting}=")
    assert ("KEYS" in setting) == ("***" in line)
    assert "plain-key" not in line


def test_snowflake_without_its_settings_stops_it_with_one_sentence(tmp_path):
    done = outcome(tmp_path, "-m", "mab_api", MAB_ENGINE="snowflake", SNOWFLAKE_ACCOUNT="x")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("mab: Settings: MAB_ENGINE=snowflake also needs SNOWFLAKE_WAREHOUSE, ")
    assert "SNOWFLAKE_USER" in line


def test_a_port_that_is_taken_is_said_and_exits_with_1(published):
    with serving(published.settings.mab_home) as server:
        done = outcome(published.settings.mab_home, "-m", "mab_api", API_PORT=str(server.port))
    assert done.returncode == 1
    assert "address already in use" in done.stderr


def test_uvicorn_serves_the_app_read_only(published, tmp_path):
    program = (
        "import sys, uvicorn; from mab_store.settings import load_settings; "
        "uvicorn.run('mab_api.asgi:app', port=load_settings().api_port)"
    )
    with serving(published.settings.mab_home, command=("-c", program)) as server:
        server.wait_for(f"/experiments/{FIRST}/allocation")
        assert (
            httpx.post(f"{server.url}/experiments", json={}, timeout=DEADLINE_SECONDS).status_code
            == 403
        )
        assert "uvicorn.access" not in server.log.read_text()
        assert "GET /experiments" not in server.log.read_text()
    assert tmp_path


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
def test_it_holds_no_handle_on_the_warehouse_and_none_that_could_write_a_copy(published):
    home = published.settings.mab_home
    with serving(home, "--dev") as server:
        server.wait_for(f"/experiments/{FIRST}/history")
        held = handles_of(server.process.pid, below=home)
    assert held == {str(home / "published" / "serving-1.duckdb"): os.O_RDONLY}


def test_it_serves_from_a_home_that_it_may_not_write(published):
    home = published.settings.mab_home
    before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
    with serving(home) as server:
        server.wait_for(f"/experiments/{FIRST}/allocation")
        server.wait_for(f"/experiments/{FIRST}/history")
        server.wait_for(f"/experiments/{FIRST}/allocations")
    assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before


def test_a_publication_is_served_within_the_refresh_interval(published):
    with serving(published.settings.mab_home) as server:
        old = server.wait_for(f"/experiments/{FIRST}/allocation").headers["etag"]
        published.clock.now = published.clock.now.replace(hour=11)
        published.publish(YESTERDAY.replace(day=10))
        for _ in range(1000):
            answer = server.wait_for(f"/experiments/{FIRST}/allocation")
            if answer.headers["etag"] != old:
                break
        assert answer.json()["as_of_date"] == "2026-03-10"


def test_a_kill_right_after_a_202_loses_nothing(published):
    home = published.settings.mab_home
    receipts = []
    with forking(home) as start:
        for number in range(KILLS):
            row = {"variant_name": "control", "impressions": 1000 + number, "clicks": number}
            body = {"date": "2026-03-09", "metrics": [row]}
            url, pid = start()
            answer = httpx.post(
                f"{url}/experiments/{FIRST}/metrics", json=body, timeout=DEADLINE_SECONDS
            )
            os.kill(pid, signal.SIGKILL)
            assert answer.status_code == 202
            receipts.append((answer.json()["submission_id"], row))
    folder = home / "inbox" / "metrics" / "2026-03-09"
    assert len(list(folder.iterdir())) == KILLS
    for submission_id, row in receipts:
        path = folder / f"post-{submission_id}.json"
        parsed = read_metrics(path.name, path.read_bytes(), metric_date=YESTERDAY)
        assert parsed.rows["clicks"].to_pylist() == [str(row["clicks"])]
        assert json.loads(path.read_bytes())["metrics"] == [row]
