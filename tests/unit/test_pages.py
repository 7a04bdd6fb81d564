"""The pages name commands, options and settings that exist."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
import typer

from mab_pipeline.bandit.exact import probability_best
from mab_pipeline.cli.main import app
from mab_store.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = re.compile(
    r"^```(?:bash|console|text)\n(.*?)^```|`([^`\n]+)`|^    (.*?)$", re.DOTALL | re.MULTILINE
)
COMMAND = re.compile(r"^ *(?:\$ )?(?:[A-Z_]+=\S+ )*mab (?!0)[a-z][^\n|`;#]*", re.MULTILINE)
SETTING = re.compile(
    r"`((?:MAB|API|SNOWFLAKE|MAX|MIN|PRIOR|INBOX|DECISION|ALLOCATION|THOMPSON|VARIANT|"
    r"PUBLICATION|WAREHOUSE|HOME|ALERT)_[A-Z_]+)(?:=[^`]*)?`"
)
DEFAULT = re.compile(r"`([A-Z_]{5,})` \((\d[\d,.]*)")  # `MIN_IMPRESSIONS` (200), or in percent
# A role, a variable of the tests, or a view of Snowflake.
OTHER = re.compile(r"MAB_(PIPELINE|API|ANALYST|DRILL_.*|TEST_.*)$|WAREHOUSE_METERING_HISTORY$")


def commands(text: str) -> list[str]:
    """The lines of code that call mab."""
    spans = ["".join(parts) for parts in CODE.findall(text)]
    return [match.group().strip() for span in spans for match in COMMAND.finditer(span)]


def walk(words: list[str]):
    command = typer.main.get_command(app)
    while words and (subcommands := getattr(command, "commands", None)):
        found = subcommands.get(words[0])
        assert found is not None, f"no command `{words[0]}`"
        command, words = found, words[1:]
    return command, words


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_command_and_option_exists(path):
    for line in commands(path.read_text("utf-8")):
        words = line.split("mab ", 1)[1].split()
        command, rest = walk(words)
        known = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
        used = {word.split("=")[0].rstrip(".,;:)") for word in rest if word.startswith("--")}
        assert used <= known | {"--help"}, line


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_each_setting_exists(path):
    names = {name.upper() for name in Settings.model_fields}
    used = {name for name in SETTING.findall(path.read_text("utf-8")) if not OTHER.match(name)}
    assert used <= names


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_default_in_brackets_is_the_default(path):
    for name, value in DEFAULT.findall(path.read_text("utf-8")):
        default = Settings.model_fields[name.lower()].default
        assert float(value.replace(",", "")) in {default, 100 * default}, name


def test_the_pages_are_read():
    found = [line for path in PAGES for line in commands(path.read_text("utf-8"))]
    assert len(found) > 100
    with pytest.raises(AssertionError, match="no command `nope`"):
        walk(["nope"])


@pytest.mark.parametrize("name", ["README.md", "docs/FAQ.md"])
def test_the_example_is_the_sample(name):
    """The last 14 days of its experiment; a share is within 2 points of its exact value."""
    sample = rows_of(ROOT / "mab_pipeline" / "sample" / "asos_sample.csv")
    text = (ROOT / name).read_text("utf-8").replace(",", "")
    alpha, beta = [], []
    for variant in ("control", "variant_1", "variant_2"):
        rows = [row for row in sample if row[:2] == ("asos_329386", variant) and int(row[2]) > 30]
        n, x = (sum(int(row[column]) for row in rows) for column in (3, 4))
        assert f"{x} / {n}" in text
        alpha.append(1.0 + x)
        beta.append(99.0 + n - x)
    exact = probability_best([alpha], [beta])[0]
    shares = [88.54, 1.54, 9.92]
    assert all(f"{share} %" in text for share in shares)
    assert np.abs(100 * exact - shares).max() < 2


def rows_of(path: Path) -> list[tuple[str, ...]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [tuple(row) for row in csv.reader(file)]
