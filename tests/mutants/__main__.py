"""`make mutants`: break the code in small ways, one at a time, and see whether the tests notice.

    python -m tests.mutants [GROUP ...] [--sample N] [--survivors] [--children N] [--report]

Each group of `groups.py` gets a copy of the project under build/mutants/, in which mutmut works;
the checkout is never changed. Verdicts on a function that has not changed are kept, so a second
run costs little. It is too slow for every landing: run it for the modules that you touch. The
survivors are printed as diffs; docs/MUTANTS.md says of each why it may live.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.mutants.groups import GROUPS, Group
from tests.mutants.survivors import scores, verdicts_of

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "mutants"
SOURCES = ("mab_api", "mab_pipeline", "mab_store")
BESIDE = ("sql", "docs", "deploy")
MAKE_MUTANTS = """
import pathlib, mutmut.__main__ as mutmut
pathlib.Path("mutants").mkdir(exist_ok=True)
mutmut.copy_src_dir()
mutmut.copy_also_copy_files()
mutmut.create_mutants(1)
"""
FILES = ("pyproject.toml", "README.md", "workspace.yaml", ".env.example")


def main() -> int:
    """Mutate the groups on the command line, or all; return 1 where a run could not be made."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--report", action="store_true", help="run nothing, show what is known")
    parser.add_argument("--sample", type=int, help="try so many mutants of each group, at random")
    parser.add_argument("--survivors", action="store_true", help="try the survivors again only")
    chosen = parser.parse_args()
    names = chosen.groups or list(GROUPS)
    if unknown := set(names) - set(GROUPS):
        parser.error(f"no group is called {', '.join(sorted(unknown))}")
    wanted = [] if chosen.report else names
    again = {name: _survivors(BUILD / name) for name in wanted if chosen.survivors}
    failed = [
        name for name in wanted if not _run(name, chosen.children, chosen.sample, again.get(name))
    ]
    _report([name for name in names if name not in failed])
    return int(bool(failed))


def _run(name: str, children: int, sample: int | None, again: list[str] | None) -> bool:
    """Bring a group's copy up to date and let mutmut work in it; on some mutants, if given."""
    if again == []:
        return True
    place, group = BUILD / name, GROUPS[name]
    _copy(place)
    (place / "pyproject.toml").write_text(_settings(group), "utf-8")
    mutmut = Path(sys.executable).with_name("mutmut")
    command = [str(mutmut), "run", "--max-children", str(children)]
    command += again or ([] if sample is None else _sample(place, name, sample))
    Console(stderr=True).print(f"{name}: {' '.join(group.modules)}")
    return subprocess.run(command, cwd=place, check=False).returncode == 0


def _survivors(place: Path) -> list[str]:
    """Return the mutants of a group that no test has caught so far."""
    return [mutant for score in scores(place) for mutant in score.survivors]


def _sample(place: Path, name: str, size: int) -> list[str]:
    """Make a group's mutants and choose some; the same ones as long as the code is the same."""
    subprocess.run([sys.executable, "-c", MAKE_MUTANTS], cwd=place, check=True, capture_output=True)
    mutants = sorted(mutant for _, verdicts in verdicts_of(place) for mutant in verdicts)
    return random.Random(name).sample(mutants, min(size, len(mutants)))  # no secret


def _copy(place: Path) -> None:
    """Copy the project; files keep their times, by which mutmut knows what has changed."""
    for tests in (place / "tests", place / "mutants" / "tests"):
        shutil.rmtree(tests, ignore_errors=True)  # a test that was removed catches nothing
    left_out = shutil.ignore_patterns("__pycache__")
    for folder in (*SOURCES, *BESIDE, "tests"):
        shutil.copytree(ROOT / folder, place / folder, dirs_exist_ok=True, ignore=left_out)
    for file in FILES:
        shutil.copy2(ROOT / file, place / file)


def _settings(group: Group) -> str:
    """Return pyproject.toml with mutmut's settings for a group."""
    settings = {
        "source_paths": list(SOURCES),
        "only_mutate": list(group.modules),
        "also_copy": [*BESIDE, *FILES],
        "pytest_add_cli_args_test_selection": list(group.tests),
        "pytest_add_cli_args": [
            "-p",
            "no:cacheprovider",
            "-p",
            "no:xdist",
            "-p",
            "tests.mutants.warm",
        ],
        "process_isolation": "forkserver",  # threads of DuckDB and Dagster do not survive a fork
        # Lines that hold a text and nothing else: what an error says is matched where it matters.
        "do_not_mutate_patterns": [r'^\s*f?"([^"\\]|\\.)*"\s*[,)]?$'],
        "timeout_constant": 60.0,  # a busy machine must not pass for an endless loop
        "use_git_change_detection": False,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    return "\n".join([text, "[tool.mutmut]", *lines, ""])


def _report(names: list[str]) -> None:
    """Print the survivors, then a table of all modules."""
    console = Console(width=110, highlight=False, markup=False)
    table = Table("module", "mutants", "caught", "survived", "in words alone", "not tried", "score")
    for name in names:
        for score in scores(BUILD / name):
            for mutant, diff in score.survivors.items():
                console.print(f"\n{mutant}\n{diff}")
            counts = (score.total, score.caught, len(score.survivors), score.wording, score.unknown)
            table.add_row(score.module, *map(str, counts), f"{score.share:.1%}")
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
