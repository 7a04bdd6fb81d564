"""What mutmut left behind: verdicts per module, and the survivors as diffs.

What belongs here: reading mutmut's results. What does not: making them (`__main__.py`), and which
modules there are (`groups.py`).
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

CAUGHT = ("killed", "timeout", "segfault", "caught by type check")


class Score(NamedTuple):
    """What became of the mutants of a module.

    Attributes:
        module: Its file.
        total: Mutants.
        caught: Of them, noticed by a test.
        survivors: Diffs of the others, by mutant; a change of a text's wording alone is left out.
        wording: Survivors that change the wording of a text and nothing else.
        unknown: Mutants that were not tried.
    """

    module: str
    total: int
    caught: int
    survivors: dict[str, str]
    wording: int
    unknown: int

    @property
    def share(self) -> float:
        """Return the share of the mutants tried that were caught; wording does not count."""
        tried = self.total - self.unknown - self.wording
        return self.caught / tried if tried else 1.0


def scores(place: Path) -> Iterator[Score]:
    """Yield the score of each module that was mutated in a copy of the project."""
    for module, verdicts in verdicts_of(place):
        if verdicts:
            with contextlib.chdir(place):
                yield _score(module, verdicts)


def verdicts_of(place: Path) -> Iterator[tuple[Path, dict[str, int | None]]]:
    """Yield each module of a copy with the exit codes of its mutants; None: not tried."""
    folder = place / "mutants"
    for path in sorted(folder.rglob("*.py.meta")):
        verdicts = json.loads(path.read_text("utf-8"))["exit_code_by_key"]
        yield path.relative_to(folder).with_suffix(""), verdicts


def _score(module: Path, verdicts: dict[str, int | None]) -> Score:
    statuses = {name: status_by_exit_code[code] for name, code in verdicts.items()}
    counted = Counter(statuses.values())
    survivors = {
        name: get_diff_for_mutant(name, path=module)
        for name, status in statuses.items()
        if status not in (*CAUGHT, "not checked")
    }
    behaviour = {name: diff for name, diff in survivors.items() if not is_wording(diff)}
    return Score(
        module=str(module),
        total=len(verdicts),
        caught=sum(counted[status] for status in CAUGHT),
        survivors=behaviour,
        wording=len(survivors) - len(behaviour),
        unknown=counted["not checked"],
    )


def is_wording(diff: str) -> bool:
    """Say whether a diff only changes the case of a text, or puts XX around it."""
    removed, added = (
        [line[1:] for line in diff.splitlines() if line[:1] == sign and line[:3] != sign * 3]
        for sign in "-+"
    )
    if len(removed) != len(added):
        return False
    return all(
        old == new or old.lower() == new.lower() or new.replace("XX", "") == old
        for old, new in zip(removed, added, strict=True)
    )
