"""A staged inbox: its pending files look like existing ones; `commit` adds all of them at once."""

from datetime import date

from mab_store.errors import FileInInboxError
from mab_store.files.inbox import Inbox, Receiver
from mab_store.files.inbox_file import Content, InboxFile, content_of


class StagedInbox(Inbox):
    """An inbox whose writes wait for `commit`; pending experiment events are listed and read."""

    def __init__(self, inbox: Inbox) -> None:
        super().__init__(inbox.root, max_file_bytes=inbox.max_file_bytes, limits=inbox.limits)
        self._inbox = inbox
        self._waiting: dict[str, bytes] = {}

    def event_files(self, experiment_id: str) -> list[InboxFile]:
        """List the event files of one experiment by name, including pending ones."""
        folder = f"experiments/{experiment_id}/"
        waiting = [
            InboxFile(self.root / name, name) for name in self._waiting if name.startswith(folder)
        ]
        files = super().event_files(experiment_id) + waiting
        return sorted(files, key=lambda file: file.source_file)

    def experiment_ids(self) -> list[str]:
        """List the names of the folders below `experiments/`, including pending ones."""
        waiting = {name.split("/")[1] for name in self._waiting}
        return sorted(waiting.union(self._inbox.experiment_ids()))

    @property
    def pending(self) -> dict[str, bytes]:
        """The pending files by name."""
        return dict(self._waiting)

    def files_of_day(self, day: date) -> list[InboxFile]:
        """List the metrics files of a day, without pending ones."""
        return self._inbox.files_of_day(day)

    def read(self, file: InboxFile) -> Content:
        """Read a file whole; it may be pending."""
        payload = self._waiting.get(file.source_file)
        return super().read(file) if payload is None else content_of(payload)

    def write(self, source_file: str, payload: bytes, *, receiver: Receiver | None = None) -> None:  # noqa: ARG002  # events have no receipt
        """Add a file to those that `commit` writes.

        Raises:
            FileInInboxError: A file of that name exists or is pending.
        """
        is_held = (self.root / source_file).exists() or self.segments.find(source_file)
        if source_file in self._waiting or is_held:
            raise FileInInboxError(f"{source_file} is already in the inbox.")
        self._waiting[source_file] = payload

    def commit(self) -> None:
        """Add the pending files, all of them or none.

        Raises:
            FileInInboxError: Another process has added one of the files in the meantime.
            InboxError: The inbox cannot be written.
        """
        if self._waiting:
            self._inbox.write_all(self._waiting)
