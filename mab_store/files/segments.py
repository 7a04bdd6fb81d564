"""Segments: event files folded into a few immutable Parquet files (docs/adr/0033).

    <root>/folded/<sha256 of the segment>.parquet

A segment holds name, hash and bytes of many event files, in the order of their names. Its own name
is the hash of its bytes: one that is damaged or cut short is an error, never fewer experiments.
Several segments may hold the same file; the first by the segment's name counts.
"""

import hashlib
import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from upath import UPath

from mab_store.errors import InboxError
from mab_store.files.entries import children, fault_of_folder, replace_file
from mab_store.files.inbox_file import Content

FOLDER = "folded"
SCHEMA = pa.schema(
    [
        pa.field("source_file", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
    ]
)
FOLDED_NAME = re.compile(r"experiments/(exp_[0-9a-f]{12})/[^/]+\.json")
_EXTENSION = ".parquet"
_GROUP_ROWS = 1 << 12
_ATTEMPTS = 10
_ID = slice(len("experiments/"), len("experiments/exp_") + 12)


class Segments:
    """The segments of one inbox; an index of the experiments in each is kept in memory."""

    def __init__(self, root: UPath) -> None:
        self._root = root
        self._folder = root / FOLDER
        self._index: dict[str, pa.Array] = {}

    def names(self) -> list[str]:
        """List the segments by name.

        Raises:
            InboxError: Something else is among them.
            OSError: The disk or the object store failed.
        """
        if fault := fault_of_folder(self._folder, self._root):
            raise InboxError(f"{self._folder} {fault}.")
        entries = (entry.name for entry in children(self._folder))
        names = sorted(name for name in entries if not name.startswith("."))
        for name in names:
            if not re.fullmatch(rf"[0-9a-f]{{64}}\{_EXTENSION}", name):
                raise InboxError(
                    f"{self._folder / name} is no segment of event files: those have a hash as "
                    "their name. Move it out of the inbox."
                )
        return names

    def read(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the files of a segment by name; `columns` chooses some of SCHEMA.

        Raises:
            InboxError: It is damaged.
            FileNotFoundError: It is gone, perhaps folded into another one.
        """
        path = self._folder / name
        try:
            payload = path.read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            raise InboxError(f"{path} cannot be read: {error.strerror or error}.") from None
        if hashlib.sha256(payload).hexdigest() + _EXTENSION != name:
            raise self._damaged(name)
        return pq.read_table(pa.BufferReader(payload), columns=columns, schema=SCHEMA)

    def hashes(self) -> pa.Table:
        """Return name and hash of every folded file, by name.

        Raises:
            InboxError: A segment is damaged.
        """
        return self._together(["source_file", "sha256"])

    def contents(self) -> Iterator[tuple[str, Content]]:
        """Yield every folded file with its content, by name.

        Raises:
            InboxError: A segment is damaged.
        """
        for batch in self._together(SCHEMA.names).to_batches(max_chunksize=_GROUP_ROWS):
            for row in batch.to_pylist():
                yield row["source_file"], _content(row)

    def of_experiment(self, experiment_id: str) -> dict[str, Content]:
        """Return the folded files of an experiment, by name.

        Raises:
            InboxError: A segment is damaged.
        """
        for _ in range(_ATTEMPTS):
            holding = [name for name in self._listed() if self._holds(name, experiment_id)]
            try:
                rows = [row for name in holding[::-1] for row in self._rows_of(name, experiment_id)]
            except FileNotFoundError:
                continue
            return dict(sorted((row["source_file"], _content(row)) for row in rows))
        raise self._restless()

    def find(self, source_file: str) -> Content | None:
        """Return the content of a folded file; None if no segment holds it."""
        named = FOLDED_NAME.fullmatch(source_file)
        return self.of_experiment(named[1]).get(source_file) if named else None

    def experiment_ids(self) -> set[str]:
        """Return the ids of the experiments with folded files."""
        return {name for listed in self._listed() for name in self._ids(listed).to_pylist()}

    def write(self, files: pa.Table) -> str:
        """Write a segment of files, wait until it is on the disk, and read it back.

        Args:
            files: The files, by SCHEMA, each once.

        Returns:
            Its name.

        Raises:
            InboxError: It differs from the files that were written.
            OSError: It cannot be written.
        """
        table = files.sort_by("source_file")
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", row_group_size=_GROUP_ROWS)
        payload = sink.getvalue().to_pybytes()
        name = hashlib.sha256(payload).hexdigest() + _EXTENSION
        replace_file(self._folder / name, payload, self._root)
        if not self.read(name).equals(table):
            raise InboxError(f"{self._folder / name} differs from the files written to it.")
        return name

    def remove(self, name: str) -> None:
        """Remove a segment whose files another one holds."""
        (self._folder / name).unlink(missing_ok=True)

    def _listed(self) -> list[str]:
        """List the segments and read the index of those that are new."""
        for _ in range(_ATTEMPTS):
            names = self.names()
            try:
                for name in names:
                    self._ids(name)
            except FileNotFoundError:
                continue  # it was folded into another one
            self._index = {name: self._index[name] for name in names}
            return names
        raise self._restless()

    def _together(self, columns: Sequence[str]) -> pa.Table:
        for _ in range(_ATTEMPTS):
            try:
                tables = [self.read(name, columns) for name in self.names()]
            except FileNotFoundError:
                continue
            return distinct_files(tables, columns)
        raise self._restless()

    def _damaged(self, name: str) -> InboxError:
        return InboxError(
            f"{self._folder / name} is damaged: its bytes do not have the hash that is its name. "
            "It holds event files, so experiments would be missing without it. Restore it from a "
            "backup."
        )

    def _restless(self) -> InboxError:
        return InboxError(f"{self._folder} changes all the time; try it again.")

    def _ids(self, name: str) -> pa.Array:
        """Return the sorted ids of a segment's experiments."""
        if name not in self._index:
            names = self.read(name, ["source_file"])["source_file"]
            ids = pc.utf8_slice_codeunits(names, _ID.start, _ID.stop)
            self._index[name] = pc.unique(ids)
        return self._index[name]

    def _holds(self, name: str, experiment_id: str) -> bool:
        ids = self._ids(name)
        place = bisect_left(range(len(ids)), experiment_id, key=lambda at: ids[at].as_py())
        return place < len(ids) and ids[place].as_py() == experiment_id

    def _rows_of(self, name: str, experiment_id: str) -> list[dict[str, Any]]:
        first, after = f"experiments/{experiment_id}/", f"experiments/{experiment_id}0"
        try:
            with (self._folder / name).open("rb") as file:
                found = pq.read_table(
                    file,
                    schema=SCHEMA,
                    filters=[("source_file", ">=", first), ("source_file", "<", after)],
                )
        except pa.ArrowException:
            raise self._damaged(name) from None
        rows: list[dict[str, Any]] = found.to_pylist()
        if any(hashlib.sha256(row["payload"]).hexdigest() != row["sha256"] for row in rows):
            raise self._damaged(name)
        return rows


def distinct_files(tables: Sequence[pa.Table], columns: Sequence[str]) -> pa.Table:
    """Return the files of segments by name; of those with the same name the first stays."""
    if not tables:
        return pa.table({name: pa.array([], SCHEMA.field(name).type) for name in columns})
    files = pa.concat_tables(tables)
    if len(tables) == 1:
        return files
    files = files.append_column("place", pa.array(range(len(files)), pa.int64()))
    firsts = files.group_by("source_file").aggregate([("place", "min")]).sort_by("source_file")
    return files.take(firsts["place_min"]).drop_columns(["place"])


def _content(row: dict[str, Any]) -> Content:
    return Content(len(row["payload"]), row["sha256"], row["payload"])
