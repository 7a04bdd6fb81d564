"""What a day costs in statements: docs/OPERATIONS.md states it, and it must not creep up."""

import re
from collections import Counter, defaultdict
from datetime import date

import pytest
from snowflake.connector.cursor import SnowflakeCursor

from mab_pipeline.operations import demo

MOST_STATEMENTS = {"ddl": 15, "frame": 45, "query": 115, "write": 18, "load": 20}
LAST = date(2025, 2, 22)


def kind(statement: str) -> str:
    """Sort a statement: the frame of a transaction costs no reading of data."""
    text = " ".join(statement.lower().split())
    kinds = {
        "ddl": r"create temporary stage",
        "frame": r"begin|commit|rollback|update writer_lock",
        "query": r"select|with",
        "load": r"put|copy into",
        "write": r"delete|insert",
    }
    return next((name for name, start in kinds.items() if re.match(start, text)), "other")


@pytest.fixture(scope="module")
def world(make_worlds):
    _, flake = make_worlds(mab_start_date=date(2025, 1, 1))
    demo.place_sample(flake.platform, LAST)
    flake.run("2025-02-20")
    return flake


@pytest.fixture(scope="module")
def sessions(world):
    """The statements of one ordinary day, by session, as the connector sends them."""
    recorded: dict[int, list[str]] = defaultdict(list)
    connections = []  # kept, so that no two have the same id
    execute = SnowflakeCursor.execute

    def recording(
        cursor: SnowflakeCursor, command: str, *args: object, **options: object
    ) -> object:
        connections.append(cursor.connection)
        recorded[id(cursor.connection)].append(command)
        return execute(cursor, command, *args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SnowflakeCursor, "execute", recording)
        world.run("2025-02-21")
    return list(recorded.values())


def test_a_day_takes_no_more_statements_than_documented(sessions):
    counted = Counter(kind(text) for session in sessions for text in session)
    assert not counted["other"], counted
    for name, number in counted.items():
        assert number <= MOST_STATEMENTS[name], counted


def test_no_session_issues_ddl_inside_a_transaction_or_leaves_one_open(sessions):
    """DDL commits by itself on Snowflake: half of a day could stay."""
    assert sessions
    for session in sessions:
        frame = [kind(text) for text in session]
        if "begin" not in session:  # a session of the checks: it reads, without the writer lock
            assert set(frame) == {"query"}
            continue
        assert session[-1] in {"commit", "rollback"}
        assert "ddl" not in frame[session.index("begin") :]
        assert session.count("begin") == session.count("commit") + session.count("rollback") == 1


def test_no_statement_quotes_an_identifier(sessions):
    """A quoted name keeps its case there, and is another one than the table's."""
    for session in sessions:
        for text in session:
            assert '"' not in re.sub(r"'[^']*'", "''", text)
