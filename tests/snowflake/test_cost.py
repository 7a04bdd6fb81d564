"""What a day costs in statements: docs/SNOWFLAKE.md states it, and it must not creep up."""

import re
from collections import Counter
from datetime import date

import pytest
from snowflake.connector.cursor import SnowflakeCursor

from mab_pipeline import demo

MOST_STATEMENTS = {"ddl": 45, "frame": 135, "query": 72, "write": 18, "load": 20}
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


def test_a_day_takes_no_more_statements_than_documented(world, monkeypatch):
    counted: Counter[str] = Counter()
    execute = SnowflakeCursor.execute

    def counting(cursor: SnowflakeCursor, command: str, *args: object, **options: object) -> object:
        counted[kind(command)] += 1
        return execute(cursor, command, *args, **options)

    monkeypatch.setattr(SnowflakeCursor, "execute", counting)
    world.run("2025-02-21")
    assert not counted["other"]
    for name, number in counted.items():
        assert number <= MOST_STATEMENTS[name], (name, number)
