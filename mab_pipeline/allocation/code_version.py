"""The version of the code that decides, recorded beside every allocation.

It changes with the behaviour of the code, never with its wording or its place: syntax trees are
hashed without docstrings, comments and positions, and imports of our own without their module.
"""

import ast
import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from mab_store.warehouse.sql_loader import load_sql

DECIDING_MODULES = (
    "mab_pipeline.allocation.decide",
    "mab_pipeline.allocation.evidence",
    "mab_pipeline.allocation.rule_arrays",
    "mab_pipeline.allocation.rule_settings",
    "mab_pipeline.bandit.arrays",
    "mab_pipeline.bandit.day_effects",
    "mab_pipeline.bandit.decision",
    "mab_pipeline.bandit.exact",
    "mab_pipeline.bandit.exploration",
    "mab_pipeline.bandit.logit_beta",
    "mab_pipeline.bandit.multinomial",
    "mab_pipeline.bandit.posterior",
    "mab_pipeline.bandit.prior",
    "mab_pipeline.bandit.quadrature",
    "mab_pipeline.bandit.thompson",
    "mab_pipeline.bandit.threads",
)
"""Every module of ours that a decision runs; a test computes the list from the imports."""

DECIDING_SQL = (
    "assets/windowed_aggregates",
    "assets/allocations_since_joined",
    "assets/allocations_days",
)
"""The statements that count the inputs of a decision."""

RECORDED_AS = {"877d01b1bf1e": "53b7ca78479d"}
"""Versions under another name: the same decisions, recorded before the code was only reshaped."""

_PACKAGES = ("mab_pipeline", "mab_store")


@cache
def code_version() -> str:
    """Return 12 hexadecimal digits that name the rule's SQL and numerics."""
    digest = hashlib.sha256()
    for name in DECIDING_SQL:
        for statement in load_sql(name):
            digest.update(" ".join(statement.text.split()).encode())
    for name in DECIDING_MODULES:
        digest.update(syntax_of(_source(name)).encode())
    version = digest.hexdigest()[:12]
    return RECORDED_AS.get(version, version)


def syntax_of(source: str) -> str:
    """Return the syntax tree of a module as text, without anything that decides nothing.

    The same on every Python version: fields that are empty are left out, so that a field which a
    later version adds changes nothing.
    """
    lines: list[str] = []
    _write(ast.parse(source), lines)
    return "\n".join(lines)


def _source(name: str) -> str:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise LookupError(f"{name} decides allocations but cannot be found")
    return Path(spec.origin).read_text("utf-8")


def _write(node: ast.AST, lines: list[str]) -> None:
    # A list, not a generator: nested ones pass each line on through every level of the tree.
    lines.append(type(node).__name__)
    for field, value in ast.iter_fields(node):
        if value is None or value == [] or _is_own_module(node, field):
            continue
        lines.append(field)
        for part in value if isinstance(value, list) else [value]:
            if not isinstance(part, ast.AST):
                lines.append(repr(part))
            elif not _is_docstring(node, part):
                _write(part, lines)
    lines.append("end")


def _is_docstring(parent: ast.AST, node: ast.AST) -> bool:
    """Say whether a statement is a lone string: a docstring, or one behind a constant."""
    return (
        isinstance(parent, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _is_own_module(node: ast.AST, field: str) -> bool:
    return (
        isinstance(node, ast.ImportFrom)
        and field == "module"
        and (node.module or "").partition(".")[0] in _PACKAGES
    )
