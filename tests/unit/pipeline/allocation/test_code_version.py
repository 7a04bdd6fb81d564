"""A decision's code version follows what the code does, not its wording or its place."""

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from mab_pipeline.allocation.code_version import DECIDING_MODULES, code_version, syntax_of

# What a decision imports of ours and is not hashed, with the reason.
NOT_HASHED = {
    "mab_store.rule_options": "what a preset sets is recorded beside the decision",
    "mab_store.settings": "the settings that decide are recorded beside the decision",
    "mab_store.warehouse.table_schema": "the columns of a row, which the table declares",
}

MODULE = '''"""A module."""

from mab_store.days import Days

SIZE = 2
"""How large it is."""


def double(value: float) -> float:
    """Return twice the value."""
    return SIZE * value  # two times
'''


def imports_of(module: str) -> set[str]:
    """Return the modules of ours that a module imports by name; packages are seen through."""
    found = set()
    for node in ast.walk(ast.parse(Path(find_spec(module).origin).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("mab_"):
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                is_package = find_spec(node.module).submodule_search_locations is not None
                found.add(name if is_package and find_spec(name) else node.module)
        assert not (isinstance(node, ast.Import) and node.names[0].name.startswith("mab_"))
    return found


def test_every_module_that_a_decision_runs_is_hashed():
    seen, to_see = set(), {"mab_pipeline.allocation.decide"}
    while to_see:
        module = to_see.pop()
        seen.add(module)
        to_see |= imports_of(module) - seen - set(NOT_HASHED)
    assert seen == set(DECIDING_MODULES)


def test_the_version_is_a_name_of_12_digits():
    assert len(code_version()) == 12
    assert int(code_version(), 16) >= 0


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A module."""', '"""Another docstring, of\n\ntwo lines."""'),
        ('"""Return twice the value."""', '"""The value, doubled."""'),
        ('    """Return twice the value."""\n', ""),
        ('"""How large it is."""\n', ""),
        ("  # two times", ""),
        ("\n\n\ndef", "\n\n\n\n\n\ndef"),
        ("mab_store.days", "mab_pipeline.somewhere.else_"),
    ],
)
def test_wording_and_place_change_nothing(old, new):
    assert old in MODULE
    assert syntax_of(MODULE.replace(old, new)) == syntax_of(MODULE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("SIZE = 2", "SIZE = 3"),
        ("SIZE = 2", 'SIZE = "2"'),
        ("SIZE * value", "value * SIZE"),
        ("SIZE * value", "SIZE + value"),
        ("import Days", "import Weeks"),
        ("value: float)", "value: float = 1)"),
        ("return SIZE", "pass\n    return SIZE"),
    ],
)
def test_what_the_code_does_changes_it(old, new):
    assert old in MODULE
    assert syntax_of(MODULE.replace(old, new)) != syntax_of(MODULE)


def test_the_text_of_a_tree_is_the_same_on_every_python():
    assert syntax_of("def f(a):\n    return [a, None]\n").splitlines() == [
        "Module", "body", "FunctionDef", "name", "'f'", "args", "arguments", "args", "arg", "arg",
        "'a'", "end", "end", "body", "Return", "value", "List", "elts", "Name", "id", "'a'", "ctx",
        "Load", "end", "end", "Constant", "end", "ctx", "Load", "end", "end", "end", "end", "end",
    ]  # fmt: skip
