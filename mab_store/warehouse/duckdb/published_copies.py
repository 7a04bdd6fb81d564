"""Published copies: the files that readers open, and the pointer to the newest one.

A copy never changes once it has its name, so a reader that has it open is never disturbed.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

from mab_store.atomic_files import sync_folder, write_atomically
from mab_store.errors import NotPublishedError
from mab_store.warehouse.duckdb.history_files import MONTHLY_VIEWS, drop_unused, search_path
from mab_store.warehouse.sql_loader import load_sql

POINTER = "current.json"
COPIES_KEPT = 3
ACCEPTS_LOSS = "accepts_loss"
# The copy with which the loss was accepted: a reader that missed that copy must learn of it too.
ACCEPTED_WITH = "accepted_with"
CURRENT = "select 1 from duckdb_views() where view_name = 'served_published_months'"


class Pointer(NamedTuple):
    """Content of the pointer file.

    Attributes:
        path: The newest published copy.
        accepts_loss: Whether it may lack data of the previous copy.
    """

    path: Path
    accepts_loss: bool


class PublishedCopy:
    """One published copy, open for reading.

    A copy that an older version published lacks views; they are made for this connection alone.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection, name: str) -> None:
        self._connection = connection
        self.name = name
        if not connection.execute(CURRENT).fetchall():
            for statement in (*load_sql("schema/older_copy"), *load_sql(MONTHLY_VIEWS)):
                own = statement.text.replace("create or replace view", "create temporary view", 1)
                with suppress(duckdb.CatalogException):  # older still: no analyses, or no views
                    connection.execute(own)

    def fetch_arrow(self, name: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """Run the one query of `sql/<name>.sql` and return its rows (perhaps none)."""
        (statement,) = load_sql(name)
        values = statement.bind(parameters or {})
        try:
            return self._connection.sql(statement.text, params=values).to_arrow_table()
        except (duckdb.IOException, duckdb.InvalidInputException) as error:
            raise NotPublishedError(
                f"A file of the published copy {self.name} is gone or damaged "
                f"({str(error).splitlines()[0]}). Run `mab run` for the newest day again: it "
                "writes the file again."
            ) from None

    def branch(self) -> "PublishedCopy":
        """Return a reader of the same open copy for another thread."""
        return PublishedCopy(self._connection.cursor(), self.name)

    def close(self) -> None:
        """Close the copy."""
        self._connection.close()


def next_copy_name(published_dir: Path) -> str:
    """Return the name of the next copy; numbers only grow."""
    return f"serving-{max([0, *(number for number, _ in _copies(published_dir))]) + 1}.duckdb"


def point_to(published_dir: Path, name: str, *, accepts_loss: bool = False) -> None:
    """Point readers to a complete copy, and drop all but the last few copies.

    Args:
        published_dir: Folder of the copies.
        name: Name of the copy.
        accepts_loss: Whether the user accepts that it lacks data of older copies. Readers that hold
            an older copy need to know; the next copies repeat it for those that missed it.
    """
    sync_folder(published_dir)
    pointer: dict[str, object] = {"file": name}
    if accepted := name if accepts_loss else _accepted_lately(published_dir, name):
        pointer |= {ACCEPTS_LOSS: True, ACCEPTED_WITH: accepted}
    payload = json.dumps(pointer).encode()
    write_atomically(published_dir / POINTER, payload, root=published_dir.parent)
    for _, path in _copies(published_dir)[:-COPIES_KEPT]:
        path.unlink(missing_ok=True)
    drop_unused_history(published_dir)


def drop_unused_history(published_dir: Path) -> None:
    """Drop the history files that no copy has."""
    drop_unused(published_dir, [path for _, path in _copies(published_dir)])


def current_copy(published_dir: Path) -> Path:
    """Return the path of the newest published copy.

    Raises:
        NotPublishedError: Nothing was published yet, or the pointer or the copy is gone.
    """
    return read_pointer(published_dir).path


def read_pointer(published_dir: Path) -> Pointer:
    """Return the content of the pointer.

    Raises:
        NotPublishedError: Nothing was published yet, or the pointer or the copy is gone.
    """
    pointer = published_dir / POINTER
    try:
        content: dict[str, Any] = json.loads(pointer.read_bytes())
        path = published_dir / str(content["file"])
    except FileNotFoundError:
        raise NotPublishedError(
            f"Nothing is published in {published_dir}. Run `mab run` or `mab demo` first."
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotPublishedError(
            f"The pointer {pointer} cannot be read ({error}). Run `mab run` for the newest day "
            "again: it publishes a new copy."
        ) from None
    if not path.is_file():
        raise NotPublishedError(
            f"The published copy {path} is gone. Run `mab run` for the newest day again: it "
            "publishes a new one."
        )
    return Pointer(path, content.get(ACCEPTS_LOSS) is True)


def open_copy(path: Path, *, config: Mapping[str, str] | None = None) -> PublishedCopy:
    """Open a published copy, read-only; the caller closes it.

    Args:
        path: The copy.
        config: Settings of DuckDB, such as its memory limit.

    Raises:
        NotPublishedError: It is not a database.
    """
    try:
        connection = duckdb.connect(path, read_only=True, config=search_path(path.parent, config))
    except duckdb.Error as error:
        raise NotPublishedError(
            f"The published copy {path} cannot be opened ({str(error).splitlines()[0]}). Run "
            "`mab run` for the newest day again: it publishes a new one."
        ) from None
    return PublishedCopy(connection, path.name)


def _accepted_lately(published_dir: Path, name: str) -> str | None:
    """Return the copy with which a loss was accepted if it is one of the last few."""
    try:
        accepted = str(json.loads((published_dir / POINTER).read_bytes())[ACCEPTED_WITH])
        age = _number(name) - _number(accepted)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return accepted if 0 < age < COPIES_KEPT else None


def _number(name: str) -> int:
    return int(name.removeprefix("serving-").removesuffix(".duckdb"))


def _copies(published_dir: Path) -> list[tuple[int, Path]]:
    """Return the copies in the folder with their numbers, oldest first."""
    found = []
    for path in published_dir.glob("serving-*.duckdb"):
        number = path.stem.removeprefix("serving-")
        if number.isascii() and number.isdigit():
            found.append((int(number), path))
    return sorted(found)
