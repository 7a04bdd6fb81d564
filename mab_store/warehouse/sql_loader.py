"""Load SQL from `sql/`: every statement for a warehouse comes from here.

A file holds one or more statements that end with a semicolon. A value is written `:name` and is
bound as `?` (the `qmark` style of both engines), never formatted into the text; so one text serves
both engines.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

_IN_WHEEL = Path(__file__).resolve().parents[1] / "sql"
SQL_ROOT = _IN_WHEEL if _IN_WHEEL.is_dir() else _IN_WHEEL.parents[1] / "sql"

# Strings and comments, which may hide a colon or a semicolon; parameters; ends. `::` is a cast.
_TOKEN = re.compile(
    r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|(?<!:):(?P<name>[a-z_][a-z0-9_]*)|(?P<end>;)", re.DOTALL
)

_INSERT = re.compile(r"insert into \w+ \([^()]*\)\s+(?=with\b|select\b)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Statement:
    """One SQL statement with positional binds.

    Attributes:
        text: The statement with `?` for each value, comments removed.
        names: Parameter names in the order of the question marks.
        source: File that it came from, below `sql/`.
    """

    text: str
    names: tuple[str, ...]
    source: str

    def bind(self, parameters: Mapping[str, object]) -> list[object]:
        """Return the values in the order of the question marks.

        Raises:
            KeyError: The statement names a parameter that was not given.
        """
        return [parameters[name] for name in self.names]


@cache
def load_sql(name: str) -> tuple[Statement, ...]:
    """Return the statements of `sql/<name>.sql`.

    Raises:
        FileNotFoundError: There is no such file.
    """
    return parse_sql((SQL_ROOT / f"{name}.sql").read_text("utf-8"), source=f"{name}.sql")


def load_query(name: str) -> Statement:
    """Return the one query of `sql/<name>.sql`, or the one whose rows its one INSERT adds.

    Raises:
        ValueError: The file has neither.
    """
    statements = load_sql(name)
    queries = [
        replace(statement, text=statement.text[match.end() :])
        for statement in statements
        if (match := _INSERT.match(statement.text))
    ]
    (query,) = queries or statements
    return query


def parse_sql(text: str, *, source: str) -> tuple[Statement, ...]:
    """Split a file's text into statements and collect their parameters."""
    statements: list[Statement] = []
    parts: list[str] = []
    names: list[str] = []
    position = 0
    for token in _TOKEN.finditer(f"{text}\n;"):
        parts.append(text[position : token.start()])
        position = token.end()
        if token["name"]:
            parts.append("?")
            names.append(token["name"])
        elif token["end"]:
            body = "".join(parts).strip()
            if body:
                statements.append(Statement(text=body, names=tuple(names), source=source))
            parts, names = [], []
        elif not token[0].startswith(("--", "/*")):
            parts.append(token[0])
    return tuple(statements)


def sql_fingerprint(*names: str) -> str:
    """Return a short hash of the text of these files: the code version of their results."""
    digest = hashlib.sha256()
    for name in names:
        for statement in load_sql(name):
            digest.update(statement.text.encode())
    return digest.hexdigest()[:12]
