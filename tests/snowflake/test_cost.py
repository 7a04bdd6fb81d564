"""What a day costs in statements: docs/OPERATIONS.md states it, and it must not creep up."""

import re
from collections import Counter, defaultdict
from datetime import date

import pytest
from snowflake.connector.cursor import SnowflakeCursor

from mab_pipeline.operations import demo

MOST_STATEMENTS = {"frame": 45, "query": 119, "write": 24, "load": 20}
MOST_LOGINS = 1
LAST = date(2025, 2, 22)


def kind(statement: str) -> str:
    """Sort a statement: the frame of a transaction costs no reading of data."""
    text = " ".join(statement.lower().split())
    kinds = {
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
        world.platform.warehouse.close()
        world.run("2025-02-21")
    return list(recorded.values())


def test_a_day_takes_no_more_statements_than_documented(sessions):
    counted = Counter(kind(text) for session in sessions for text in session)
    assert not counted["other"], counted
    for name, number in counted.items():
        assert number <= MOST_STATEMENTS[name], counted


def test_a_day_logs_in_no_more_often_than_documented(sessions):
    assert 0 < len(sessions) <= MOST_LOGINS


def test_no_session_issues_ddl_or_leaves_a_transaction_open(sessions):
    """DDL commits by itself on Snowflake: half of a day could stay."""
    for session in sessions:
        ends = {"begin": "begin", "commit": "end", "rollback": "end"}
        frame = [ends[text] for text in session if text in ends]
        assert frame == ["begin", "end"] * (len(frame) // 2)
        assert {kind(text) for text in session} <= set(MOST_STATEMENTS)


def test_no_statement_quotes_an_identifier(sessions):
    """A quoted name keeps its case there, and is another one than the table's."""
    for session in sessions:
        for text in session:
            assert '"' not in re.sub(r"'[^']*'", "''", text)
