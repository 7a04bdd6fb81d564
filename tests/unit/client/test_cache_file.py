"""The kept list: whole or not there, whatever happens while it is written."""

import os

import pytest

from mab_client.cache_file import CacheFile, Kept
from mab_client.document import DocumentError

KEPT = Kept('"v1"', '{"experiments": []}', 1_700_000_000.0)


def test_it_reads_what_it_wrote_and_when_that_was_confirmed(tmp_path):
    cache = CacheFile(tmp_path / "new" / "folder" / "mab.json")
    assert cache.read() is None
    cache.write(KEPT)
    assert cache.read() == KEPT
    cache.confirm(1_700_000_060.0)
    assert cache.read() == KEPT._replace(confirmed_at=1_700_000_060.0)


def test_only_its_user_may_read_it(tmp_path):
    CacheFile(tmp_path / "mab.json").write(KEPT)
    assert (tmp_path / "mab.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", b"null", b'{"etag": 1, "body": 2}'])
def test_a_damaged_file_is_said_to_be_one(tmp_path, content):
    path = tmp_path / "mab.json"
    path.write_bytes(content)
    with pytest.raises(DocumentError, match="damaged"):
        CacheFile(path).read()


def test_a_write_that_fails_leaves_the_old_list_and_no_rest(tmp_path, monkeypatch):
    cache = CacheFile(tmp_path / "mab.json")
    cache.write(KEPT)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        cache.write(KEPT._replace(body="other"))
    assert cache.read() == KEPT
    assert [path.name for path in tmp_path.iterdir()] == ["mab.json"]
