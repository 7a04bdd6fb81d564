"""Which modules are mutated, and which tests must notice.

What belongs here: the table, and why a survivor may live. What does not: running (`__main__.py`).

The tests of a group are the few files that should catch a bug of its modules, not every file that
happens to run them: a bug that only the suite of another module finds is found too late.
"""

from typing import NamedTuple


class Group(NamedTuple):
    """Modules that are mutated together.

    Attributes:
        modules: Their files.
        tests: Files and folders of tests that must notice a bug in them.
    """

    modules: tuple[str, ...]
    tests: tuple[str, ...]


GROUPS = {
    "bandit": Group(
        ("mab_pipeline/bandit/*.py",),
        ("tests/unit/pipeline/bandit", "tests/unit/pipeline/allocation/test_stop_rule.py"),
    ),
    "rule": Group(
        ("mab_pipeline/allocation/decide.py",), ("tests/unit/pipeline/allocation/test_decide.py",)
    ),
    "auth": Group(("mab_api/auth.py",), ("tests/unit/api/test_auth.py",)),
    "journal": Group(("mab_store/files/journal.py",), ("tests/unit/store/files/test_journal.py",)),
    "inbox": Group(
        ("mab_store/files/inbox.py",),
        ("tests/unit/store/files/test_inbox.py", "tests/unit/store/files/test_inbox_contents.py"),
    ),
    "gate": Group(
        ("mab_pipeline/allocation/gate.py",),
        (
            "tests/unit/pipeline/allocation/test_gate.py",
            "tests/integration/allocation/test_publishing.py",
        ),
    ),
    "publishing": Group(
        ("mab_pipeline/allocation/publish.py",),
        (
            "tests/integration/allocation/test_publishing.py",
            "tests/integration/allocation/test_lost_copies.py",
            "tests/integration/allocation/test_data_gaps.py",
            "tests/integration/assets/test_publication.py",
        ),
    ),
    "ledger": Group(
        ("mab_pipeline/ingestion/file_ledger.py",),
        (
            "tests/integration/ingestion/test_file_ledger.py",
            "tests/integration/ingestion/test_file_ledger_waiting.py",
        ),
    ),
    "replay": Group(
        ("mab_pipeline/operations/replay.py",),
        ("tests/integration/operations/test_replay_of_files.py",),
    ),
}
