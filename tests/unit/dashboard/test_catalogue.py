"""The catalogue lacks nothing, and nothing in it is unused; the options are the same everywhere."""

import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

import mab_dashboard
from mab_dashboard.__main__ import OPTIONS, command
from mab_dashboard.api import State
from mab_dashboard.experiment_parts import COLUMNS
from mab_dashboard.look import SHAPES
from mab_dashboard.overview import SORTS, STATUSES, Badge
from mab_dashboard.place import PAGES
from mab_dashboard.sayings import CHANGES, REASONS, WINDOWS
from mab_dashboard.screens.experiment_charts import RANGES
from mab_dashboard.texts import catalogue
from mab_pipeline.allocation.stop_rule import SAFE_ERROR, WINNER_ERROR
from mab_pipeline.simulation.windows import SOURCES
from mab_store.messages import CODES
from mab_store.settings import Settings

FOLDER = Path(mab_dashboard.__file__).parent
SOURCE = "\n".join(path.read_text("utf-8") for path in sorted(FOLDER.rglob("*.py")))
MADE = {
    *(f"state_{state}" for state in get_args(State)),
    *(f"state_{state}_help" for state in get_args(State)),
    *(f"badge_{badge}" for badge in get_args(Badge)),
    *(f"verdict_{verdict}" for verdict in (*SHAPES, "none", "accepted", "superseded")),
    *(f"status_{status}" for status in STATUSES),
    *(f"sort_{name}" for name in SORTS),
    *(f"page_{page}" for page in PAGES),
    *(f"range_{name}" for name in RANGES),
    *(f"moved_to_{source}" for source in ("prior", "max_window", "default_window")),
    *(f"source_{source}" for source in SOURCES),
    *(f"message_{code}" for code in CODES),
    *(f"reason_{reason}" for reason in REASONS),
    *(f"window_{which}" for which in WINDOWS),
    *(f"change_{which}" for which in CHANGES),
    *(f"rows_{which}" for which in ("rejected", "all")),
    *(f"error_rate_{verdict}" for verdict in ("winner", "safe_to_stop")),
    *(f"empty_{what}{part}" for what in ("search", "registry") for part in ("", "_help")),
    *(f"column_{name}" for name in COLUMNS),
}


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_both_languages_have_the_same_strings_with_the_same_values():
    english, portuguese = catalogue("en"), catalogue("pt")
    assert list(english) == list(portuguese)
    for key, text in english.items():
        assert text.strip()
        assert portuguese[key].strip()
        assert fields(text) == fields(portuguese[key]), key


def test_every_string_that_the_code_asks_for_is_there_and_every_string_is_asked_for():
    asked = set(re.findall(r"""(?:say|text)\(\s*["']([a-z_0-9]+)["']""", SOURCE)) | MADE
    literals = set(re.findall(r'"([a-z_0-9]+)"', SOURCE))
    assert asked <= set(catalogue("en"))
    assert set(catalogue("en")) <= asked | literals


def test_streamlits_file_has_our_options():
    text = (FOLDER.parent / ".streamlit" / "config.toml").read_text("utf-8")
    assert dict(flat(tomllib.loads(text))) == OPTIONS


def flat(values: dict, prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", str(value).lower() if isinstance(value, bool) else value


@pytest.mark.usefixtures("clean_environment")
def test_the_dashboard_listens_on_this_machine_alone_and_tells_nobody():
    program = command(Settings(_env_file=None, mab_dashboard_port=9000))
    assert "--server.address=127.0.0.1" in program
    assert "--server.port=9000" in program
    assert "--browser.gatherUsageStats=false" in program


def test_the_error_rates_are_those_that_were_measured():
    assert catalogue("en")["error_rate_winner"] == WINNER_ERROR
    assert catalogue("en")["error_rate_safe_to_stop"] == SAFE_ERROR
