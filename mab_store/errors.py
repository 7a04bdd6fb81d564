"""Errors for users: one class per kind of failure that has its own remedy.

Each message names the problem, its place, the value, and the next step. Programming errors stay
ordinary Python exceptions with a traceback.
"""

from collections.abc import Mapping

from mab_store.plain_text import plain


class MabError(Exception):
    """A failure that the user can act on; the command line prints it as one sentence.

    Its message may quote external text, so it is made plain.

    Attributes:
        exit_code: Exit code of a command that ends with this error.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


class UsageError(MabError):
    """The command was called with an argument that it does not accept."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting from the environment or `.env` is unusable."""


class HomeError(MabError):
    """MAB_HOME, or a folder in it, cannot be used."""


class HomeLockedError(HomeError):
    """Another process works in MAB_HOME, and waiting for it took too long."""


class InboxError(MabError):
    """A file cannot be written to the inbox or read from it."""


class FileInInboxError(InboxError):
    """A file of that name is already in the inbox."""


class UnreadableFileError(InboxError):
    """A file in the inbox cannot be parsed; its message goes into the quarantine.

    A quotation may be as long as the file, so the message is cut.
    """

    MOST_CHARACTERS = 1_000

    def __init__(self, message: str) -> None:
        if len(message) > self.MOST_CHARACTERS:
            message = f"{message[: self.MOST_CHARACTERS]} [cut]"
        super().__init__(message)


class ConflictError(InboxError):
    """A new event contradicts an experiment's earlier events."""


class NewNameError(ConflictError):
    """A new name has invisible characters, or is not in normal form C.

    Attributes:
        faults: The fault of each such name, by its place in the body.
    """

    def __init__(self, faults: Mapping[tuple[str | int, ...], str]) -> None:
        self.faults = dict(faults)
        named = (f"{'.'.join(map(str, place))}: {fault}" for place, fault in faults.items())
        super().__init__("; ".join(named))


class NotRegisteredError(ConflictError):
    """The experiment of a change is not registered."""


class WarehouseError(MabError):
    """The warehouse cannot be opened, or its tables differ from those that this version expects."""


class WarehouseLockedError(WarehouseError):
    """Another process holds the warehouse, and waiting for it took too long."""


class WarehouseLostError(WarehouseError):
    """The warehouse is gone, empty or older than the journal; `mab rebuild` restores it."""


class NotPublishedError(MabError):
    """There is no published copy to read, or it lacks the requested record."""


class PublicationRefusedError(MabError):
    """A new copy lacks data of the served one, and the user did not accept the loss."""


class ReplayError(MabError):
    """A past allocation cannot be computed again from the present inbox."""
