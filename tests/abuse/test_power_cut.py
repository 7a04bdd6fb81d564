"""A power cut right after an answer: what was acknowledged is on the disk, and all names above it.

The kernel tells what was waited for: the server runs under strace, and of each file the folders
that were made for it must be synchronised before the first byte of the answer leaves. Beside it,
the same is asked of the writers themselves, for machines that have no strace.
"""

import os
import re
import shutil
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from upath import UPath

from mab_store import atomic_files as files
from mab_store.experiments.schemas import experiment_id_of
from mab_store.files.inbox import Inbox
from tests.integration.api.servers import DEADLINE_SECONDS, serving

CALLS = "fsync,mkdir,mkdirat,link,linkat,write,writev,sendto,sendmsg"
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
BODY = {"name": "checkout", "variants": [{"name": "control", "is_control": True}, {"name": "b"}]}
METRICS = f"/experiments/{experiment_id_of('checkout')}/metrics"
STRACE = shutil.which("strace")
_LINE = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(.*)$")


def counts(day: date) -> dict[str, object]:
    rows = [{"variant_name": "control", "impressions": 10, "clicks": 1}]
    return {"date": str(day), "metrics": rows}


def calls(log: Path) -> list[tuple[str, str]]:
    """Return the calls of all threads in the order in which they ended: name and arguments."""
    begun: dict[str, str] = {}
    ended = []
    for line in log.read_text("utf-8", "replace").splitlines():
        if not (found := _LINE.match(line)):
            continue
        process, name, rest = found.groups()
        if rest.endswith("<unfinished ...>"):
            begun[process] = rest
        else:
            ended.append((name, begun.pop(process, "") + rest))
    return ended


def synced_before(log: Path, answer: str) -> set[str]:
    """Return the paths that were synchronised before the first such answer began to leave."""
    paths: set[str] = set()
    for name, arguments in calls(log):
        # A call that another thread's interrupted is on two lines: the path ends the first.
        if name == "fsync" and (found := re.search(r"\(\d+<(.*?)>", arguments)):
            paths.add(found[1])
        elif name in {"write", "writev", "sendto", "sendmsg"} and answer in arguments:
            return paths
    raise AssertionError(f"no {answer} in {log}")


@pytest.fixture(scope="module")
def traced(tmp_path_factory) -> tuple[Path, Path]:
    """Post to a server in a home that has no inbox yet; return the home and what strace saw."""
    home, log = tmp_path_factory.mktemp("power") / "home", tmp_path_factory.mktemp("trace") / "log"
    home.mkdir()
    tracer = [STRACE, "-D", "-f", "-y", "-s", "64", "-o", str(log), "-e", f"trace={CALLS}"]
    server = [sys.executable, "-m", "mab_api", "--dev"]
    launch = f"import os; os.execv({STRACE!r}, {[*tracer, *server]!r})"
    with serving(home, command=("-c", launch)) as api:
        first = httpx.post(f"{api.url}/experiments", json=BODY, timeout=DEADLINE_SECONDS)
        second = httpx.post(api.url + METRICS, json=counts(YESTERDAY), timeout=DEADLINE_SECONDS)
        assert (first.status_code, second.status_code) == (201, 202), second.text
    return home, log


# `make test` needs nothing but Python; .ci/run installs what this needs, and so runs all of it.
@pytest.mark.skipif(STRACE is None, reason="strace, which watches the server, is not here")
@pytest.mark.parametrize(
    ("answer", "folder"),
    [
        ("HTTP/1.1 201", f"inbox/experiments/{experiment_id_of('checkout')}"),
        ("HTTP/1.1 202", f"inbox/metrics/{YESTERDAY}"),
    ],
)
def test_every_new_name_up_to_the_inbox_is_on_the_disk_before_the_answer(traced, answer, folder):
    home, log = traced
    synced = synced_before(log, answer)
    file = next((home / folder).iterdir())
    assert any(path.startswith(str(file.parent / ".")) for path in synced), "the bytes"
    for parent in (file.parent, file.parent.parent, home / "inbox", home):
        assert str(parent) in synced, f"{parent} holds a new name"


@pytest.fixture
def synced(monkeypatch) -> list[Path]:
    """Record what is synchronised, in this process; the disk is waited for all the same."""
    paths: list[Path] = []
    real = os.fsync

    def watching(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        real(descriptor)

    monkeypatch.setattr("mab_store.atomic_files.os.fsync", watching)
    monkeypatch.setattr(files, "_lasting", set())
    return paths


def test_a_writer_waits_for_the_bytes_the_name_and_every_folder_above_it(synced, tmp_path):
    inbox = Inbox(UPath(tmp_path / "a/b/inbox"), max_file_bytes=1 << 20)
    inbox.write("metrics/2025-01-02/x.csv", b"1")
    day = tmp_path / "a/b/inbox/metrics/2025-01-02"
    above = [day.parent, *day.parents[1:5]]
    assert above[-1] == tmp_path
    *folders, staged, last = synced
    assert folders == above[::-1]
    assert staged.parent == day
    assert last == day


@pytest.mark.parametrize("made_by", ["this process", "another process"])
def test_folders_that_are_there_are_waited_for_once(synced, tmp_path, made_by):
    root = tmp_path / "inbox"
    day = root / "metrics/2025-01-02"
    inbox = Inbox(UPath(root), max_file_bytes=1 << 20)
    if made_by == "another process":  # which may not have waited for the disk yet
        day.mkdir(parents=True)
        inbox.write("metrics/2025-01-02/x.csv", b"1")
        assert [root, day.parent] == synced[:2]
    else:
        inbox.write("metrics/2025-01-02/x.csv", b"1")
    synced.clear()
    inbox.write("metrics/2025-01-02/y.csv", b"1")
    assert len(synced) == 2
    assert synced[-1] == day
    day.rename(tmp_path / "aside")
    inbox.write("metrics/2025-01-02/z.csv", b"1")
    assert day.parent in synced


def test_a_folder_that_cannot_be_made_is_an_error_and_not_a_loop(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="loop"):
        files.make_folders(tmp_path / "loop" / "inbox")


@pytest.mark.parametrize("name", ["x" * 251 + ".csv", "\U0001f642" * 62 + ".csv"])
def test_the_longest_name_that_the_disk_takes_is_written(tmp_path, name):
    files.write_atomically(tmp_path / name, b"1")
    assert [path.name for path in tmp_path.iterdir()] == [name]
