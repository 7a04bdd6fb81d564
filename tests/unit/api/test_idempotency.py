import hashlib
import json
from collections import Counter
from datetime import date, timedelta

import pytest
from upath import UPath

from mab_api.idempotency import Keys
from mab_store.files.inbox import Inbox


class CountingInbox(Inbox):
    """An inbox that counts what it is asked for."""

    def __init__(self, root) -> None:
        super().__init__(UPath(root), max_file_bytes=1 << 20)
        self.asked = Counter()

    def _children(self, folder):
        self.asked["listed"] += 1
        return super()._children(folder)

    def payload(self, source_file):
        self.asked["read"] += 1
        return super().payload(source_file)

    def write(self, source_file, payload):
        self.asked["written"] += 1
        return super().write(source_file, payload)


@pytest.fixture
def inbox(tmp_path):
    return CountingInbox(tmp_path)


def digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def fill(inbox: Inbox, days: int) -> None:
    """Put a day's folder with a few submissions for each of some days."""
    for offset in range(days):
        day = date(2026, 1, 1) + timedelta(days=offset)
        for name in (f"post-{digest(str(day))}", f"post-sub_{offset:032x}", "counts"):
            inbox.write(f"metrics/{day}/{name}.json", json.dumps({"n": str(day)}).encode())


@pytest.mark.parametrize("days", [1, 30, 90])
def test_a_key_takes_the_same_file_operations_however_many_days_there_are(inbox, days):
    fill(inbox, days)
    keys = Keys(inbox)
    keys.first({"n": 0}, digest("zero"))
    for document, key, expected in [
        ({"n": 1}, "one", {"read": 1, "written": 1}),
        ({"n": 2}, "one", {"read": 1}),
    ]:
        inbox.asked.clear()
        assert keys.first(document, digest(key)) == {"n": 1}
        assert inbox.asked == expected
    again = Keys(inbox)  # another process
    inbox.asked.clear()
    assert again.first({"n": 3}, digest("one")) == {"n": 1}
    assert inbox.asked == {"read": 2}, "the mark that all keys are known, and the key"


def test_keys_of_before_there_was_an_index_are_known_once_it_is_made(inbox):
    fill(inbox, 3)
    keys = Keys(inbox)
    assert keys.first({"n": "new"}, digest("2026-01-02")) == {"n": "2026-01-02"}
    files = sorted(str(path) for path in (inbox.root / "idempotency").rglob("*.json"))
    assert len(files) == 3 + 1, "a file for each key, none for other submissions, and the mark"


def test_an_index_that_was_cut_short_is_made_to_its_end(inbox):
    fill(inbox, 3)
    Keys(inbox).first({}, digest("x"))
    (inbox.root / "idempotency" / "indexed.json").unlink()
    lost = digest("2026-01-03")
    (inbox.root / "idempotency" / lost[:2] / f"{lost}.json").unlink()
    assert Keys(inbox).first({"n": "new"}, lost) == {"n": "2026-01-03"}


def test_a_key_that_another_process_takes_in_this_moment_is_theirs(inbox, monkeypatch):
    mine, theirs = Keys(inbox), Keys(Inbox(inbox.root, max_file_bytes=1 << 20))
    mine.first({}, digest("x"))
    write = inbox.write

    def late(source_file, payload):
        theirs.first({"n": "theirs"}, digest("key"))
        write(source_file, payload)

    monkeypatch.setattr(inbox, "write", late)
    assert mine.first({"n": "mine"}, digest("key")) == {"n": "theirs"}


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff"])
def test_a_file_of_a_key_that_is_no_submission_is_nobodys(inbox, content):
    name = digest("key")
    inbox.write(f"idempotency/{name[:2]}/{name}.json", content)
    assert Keys(inbox).first({"n": 1}, name) == {}
