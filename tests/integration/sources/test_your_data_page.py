"""docs/YOUR_DATA.md: its files and commands, in the order of the page, and the output it shows."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mab_pipeline.cli.main import app

PAGE = Path(__file__).parents[3] / "docs" / "YOUR_DATA.md"
BLOCK = re.compile(r"(?:<!-- ([^>]+) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def said(tmp_path_factory, clean_environment) -> list[tuple[str, str]]:
    """Do what the page says; return each command with what it printed."""
    folder = tmp_path_factory.mktemp("page")
    clean_environment.setenv("MAB_HOME", str(folder / "home"))
    clean_environment.setenv("COLUMNS", "100")
    clean_environment.chdir(folder)
    printed: list[tuple[str, str]] = []
    for mark, kind, text in BLOCK.findall(PAGE.read_text("utf-8")):
        if mark.startswith("file: "):
            (folder / mark.removeprefix("file: ")).write_text(text, "utf-8")
        elif kind == "bash":
            printed += [(line, call(line)) for line in text.splitlines()]
    return printed


def call(line: str) -> str:
    if not line.startswith("mab "):
        return subprocess.run(
            line, shell=True, check=True, env=os.environ, capture_output=True, text=True
        ).stdout
    result = CliRunner().invoke(app, shlex.split(line)[1:])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    is_ok = result.exit_code == 0 or "doctor" in line  # it finds that the page's days are old
    assert is_ok, result.output
    return result.output


def test_the_page_shows_the_output_of_the_command_before_it(said):
    text = PAGE.read_text("utf-8")
    (shown,) = (text for mark, _, text in BLOCK.findall(text) if mark == "prints")
    by_line = dict(said)
    assert trimmed(by_line["mab import gam.csv --dry-run"]) == trimmed(shown)


def trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_its_commands_lead_to_shares(said):
    by_line = dict(said)
    assert "green" in by_line["mab allocations"]
    assert 'experiment = "newsletter"' in by_line['cat "$MAB_HOME/mappings/newsletter.toml"']
    assert "ok   exports: none waits" in by_line["mab doctor --no-api"]
