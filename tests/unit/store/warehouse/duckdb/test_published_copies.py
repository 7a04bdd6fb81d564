import json
from contextlib import closing

import duckdb
import pytest

from mab_store.errors import NotPublishedError
from mab_store.warehouse.duckdb import published_copies as published
from mab_store.warehouse.duckdb.published_copies import (
    COPIES_KEPT,
    POINTER,
    current_copy,
    next_copy_name,
    open_copy,
    point_to,
)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "published"
    folder.mkdir()
    return folder


def make_copy(folder, name: str, *, value: int = 1) -> None:
    with duckdb.connect(folder / name) as connection:
        connection.execute("create table numbers as select ?::bigint as value", [value])


def read_value(monkeypatch, tmp_path, folder) -> int:
    (tmp_path / "numbers.sql").write_text("select value from numbers where value > :least;")
    with closing(open_copy(current_copy(folder))) as copy:
        # Only now: opening a copy reads SQL of its own.
        monkeypatch.setattr("mab_store.warehouse.sql_loader.SQL_ROOT", tmp_path)
        return copy.fetch_arrow("numbers", {"least": 0}).to_pylist()[0]["value"]


def copies(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("serving-*"))


def test_the_pointer_says_which_copy_is_read(monkeypatch, tmp_path, folder):
    make_copy(folder, "serving-1.duckdb", value=11)
    make_copy(folder, "serving-2.duckdb", value=22)
    point_to(folder, "serving-2.duckdb")
    assert json.loads((folder / POINTER).read_text()) == {"file": "serving-2.duckdb"}
    assert current_copy(folder) == folder / "serving-2.duckdb"
    assert read_value(monkeypatch, tmp_path, folder) == 22


def test_a_copy_that_the_pointer_does_not_name_is_not_read(folder):
    make_copy(folder, "serving-1.duckdb")
    point_to(folder, "serving-1.duckdb")
    make_copy(folder, "serving-2.duckdb")  # complete, but not yet pointed to
    assert current_copy(folder).name == "serving-1.duckdb"


def test_a_copy_is_read_only(folder):
    make_copy(folder, "serving-1.duckdb")
    point_to(folder, "serving-1.duckdb")
    with (
        closing(open_copy(current_copy(folder))) as copy,
        pytest.raises(duckdb.Error, match="read-only"),
    ):
        copy._connection.execute("delete from numbers")


def test_numbers_of_copies_only_grow_and_count_as_numbers(folder):
    assert next_copy_name(folder) == "serving-1.duckdb"
    for name in [
        "serving-2.duckdb",
        "serving-10.duckdb",
        "serving-9.duckdb.part",
        "serving-x.duckdb",
    ]:
        (folder / name).touch()
    assert next_copy_name(folder) == "serving-11.duckdb"


def test_only_the_last_copies_are_kept_and_strangers_are_left_alone(folder):
    strangers = ["notes.txt", "serving-old.duckdb", "serving-٣.duckdb"]
    for name in strangers:
        (folder / name).touch()
    for _ in range(12):
        name = next_copy_name(folder)
        (folder / name).touch()
        point_to(folder, name)
    kept = {f"serving-{number}.duckdb" for number in (10, 11, 12)}
    assert COPIES_KEPT == 3
    assert {path.name for path in folder.iterdir()} == {*kept, *strangers, POINTER}
    assert current_copy(folder).name == "serving-12.duckdb"


def test_a_reader_goes_on_reading_its_copy_when_it_is_dropped(monkeypatch, tmp_path, folder):
    make_copy(folder, "serving-1.duckdb", value=1)
    point_to(folder, "serving-1.duckdb")
    with closing(open_copy(current_copy(folder))) as copy:
        for number in range(2, 6):
            make_copy(folder, f"serving-{number}.duckdb", value=number)
            point_to(folder, f"serving-{number}.duckdb")
        assert copies(folder) == [f"serving-{number}.duckdb" for number in (3, 4, 5)]
        assert copy._connection.execute("select value from numbers").fetchall() == [(1,)]
    assert read_value(monkeypatch, tmp_path, folder) == 5


def test_a_pointer_is_never_half_written(folder, monkeypatch):
    (folder / "serving-1.duckdb").touch()
    point_to(folder, "serving-1.duckdb")
    (folder / "serving-2.duckdb").touch()

    def killed(_descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr("mab_store.atomic_files.os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        published.write_atomically(folder / POINTER, b'{"file": "serving-2.duckdb"}')
    assert current_copy(folder).name == "serving-1.duckdb"
    assert [path.name for path in folder.glob("*.tmp")] == []


def test_a_folder_that_is_not_there_means_nothing_is_published(tmp_path):
    with pytest.raises(NotPublishedError, match=r"Nothing is published in .*Run `mab run`"):
        current_copy(tmp_path / "gone")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"[]", b'"x"', b"{}", b"null", b"5", b'{"file": '], ids=repr
)
def test_a_pointer_that_cannot_be_read_is_one_sentence_that_says_what_to_do(folder, content):
    (folder / POINTER).write_bytes(content)
    with pytest.raises(NotPublishedError, match=r"pointer .* cannot be read .*Run `mab run`"):
        current_copy(folder)


def test_a_pointer_that_is_a_folder_is_one_sentence(folder):
    (folder / POINTER).mkdir()
    with pytest.raises(NotPublishedError, match="cannot be read"):
        current_copy(folder)


@pytest.mark.parametrize("name", ["serving-7.duckdb", "", ".", None, 3])
def test_a_pointer_to_a_copy_that_is_gone_is_one_sentence(folder, name):
    (folder / POINTER).write_text(json.dumps({"file": name}))
    with pytest.raises(NotPublishedError, match=r"is gone\. Run `mab run`"):
        current_copy(folder)


@pytest.mark.parametrize("content", [b"", b"garbage", b"x" * 20_000])
def test_a_copy_that_is_no_database_is_one_sentence_that_names_it(folder, content):
    (folder / "serving-1.duckdb").write_bytes(content)
    point_to(folder, "serving-1.duckdb")
    with pytest.raises(NotPublishedError) as caught, closing(open_copy(current_copy(folder))):
        pass
    assert str(folder / "serving-1.duckdb") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_accepted_loss_is_repeated_for_readers_that_missed_the_copy_and_then_forgotten(folder):
    pointed = []
    for number in range(1, 6):
        point_to(folder, f"serving-{number}.duckdb", accepts_loss=number == 2)
        pointed.append(json.loads((folder / POINTER).read_bytes()))
    accepted = {"accepts_loss": True, "accepted_with": "serving-2.duckdb"}
    assert pointed == [
        {"file": "serving-1.duckdb"},
        {"file": "serving-2.duckdb"} | accepted,
        {"file": "serving-3.duckdb"} | accepted,
        {"file": "serving-4.duckdb"} | accepted,
        {"file": "serving-5.duckdb"},
    ]


@pytest.mark.parametrize(
    "pointer", ["", "[]", "{}", '{"accepted_with": null}', '{"accepted_with": "x"}']
)
def test_a_broken_pointer_accepts_nothing(pointer, folder):
    (folder / POINTER).write_text(pointer)
    point_to(folder, "serving-2.duckdb")
    assert json.loads((folder / POINTER).read_bytes()) == {"file": "serving-2.duckdb"}
