"""The errors that a person is meant to read.

What belongs here: one class per kind of failure that has its own remedy. Each message says what is
wrong, where, with which value, and what to do next. What does not: programming errors, which stay
ordinary Python exceptions with a traceback.
"""

from collections.abc import Mapping

from mab_store.plain_text import plain


class MabError(Exception):
    """A failure that the user can act on; the command line prints it as one sentence.

    Its message may quote what came from outside, so it is plain text.

    Attributes:
        exit_code: Exit code of a command that ends with this error.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


class UsageError(MabError):
    """The command was called with something that it cannot take."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting from the environment or `.env` is unusable."""


class HomeError(MabError):
    """MAB_HOME, or a folder in it, cannot be used."""


class HomeLockedError(HomeError):
    """Another process is at work in MAB_HOME, and waiting for it took too long."""


class InboxError(MabError):
    """A file cannot be written to the inbox or read from it."""


class FileInInboxError(InboxError):
    """A file of that name is in the inbox already."""


class UnreadableFileError(InboxError):
    """A file in the inbox cannot be parsed; its message goes into the quarantine.

    What it quotes of the file may be as long as the file: the message is cut.
    """

    MOST_CHARACTERS = 1_000

    def __init__(self, message: str) -> None:
        if len(message) > self.MOST_CHARACTERS:
            message = f"{message[: self.MOST_CHARACTERS]} [cut]"
        super().__init__(message)


class ConflictError(InboxError):
    """What is written contradicts what an experiment's events say already."""


class NewNameError(ConflictError):
    """A new name has characters that nobody can see, or is not in normal form C.

    Attributes:
        faults: What is wrong with each such name, by its place in the body.
    """

    def __init__(self, faults: Mapping[tuple[str | int, ...], str]) -> None:
        self.faults = dict(faults)
        named = (f"{'.'.join(map(str, place))}: {fault}" for place, fault in faults.items())
        super().__init__("; ".join(named))


class NotRegisteredError(ConflictError):
    """A change is of an experiment that nobody has registered."""


class WarehouseError(MabError):
    """The warehouse cannot be opened or has another shape than this version expects."""


class WarehouseLockedError(WarehouseError):
    """Another process holds the warehouse, and waiting for it took too long."""


class WarehouseLostError(WarehouseError):
    """The warehouse is gone, empty or older than the journal; `mab rebuild` restores it."""


class NotPublishedError(MabError):
    """There is no published copy to read, or not the record that was asked for."""


class PublicationRefusedError(MabError):
    """A new copy lacks what the served one has, and the person did not say that this is meant."""


class ReplayError(MabError):
    """A past allocation cannot be computed again from what the inbox holds now."""
