"""Cut `asos_sample.csv` from the daily counts of the ASOS data set.

    python tools/cut_sample.py PATH_TO_asos_daily_metrics.csv

`SLICES` lists the days of each experiment, with the reason. The days of a slice move together, and
its last one becomes day `last_lands_on`. No count changes: impressions and clicks are those of the
source, digit for digit.
"""

import csv
import io
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

LAST_DAY = 44
COLUMNS = ("experiment", "variant", "day", "impressions", "clicks")
SAMPLE_PATH = Path(__file__).resolve().parent.parent / "mab_pipeline/sample/asos_sample.csv"


class Slice(NamedTuple):
    """Consecutive days of one experiment of the source.

    Attributes:
        experiment: Its name in the source.
        first: First day taken, as the source counts.
        last: Last day taken.
        last_lands_on: Day of the sample that `last` becomes, 1..44.
    """

    experiment: str
    first: int
    last: int
    last_lands_on: int = LAST_DAY


SLICES: tuple[Slice, ...] = (
    # Three to five variants.
    Slice("329386", 14, 57),  # three
    Slice("54a85a", 6, 49),  # four; variant_0 gets a thirtieth of the others' traffic
    Slice("adea31", 0, 43),  # three, large; the source has no day 3
    Slice("b2da2e", 1, 2),  # five; all the source has: it starts on the day before the last
    # Three variants, and the export job dies: nothing after day 38.
    Slice("47a23b", 7, 43, last_lands_on=38),
    # Too little traffic for the 14 days, enough for the 30. The source runs to day 23 and then says
    # 0 for five days. Days 31..39 of the sample are silent: that pause is ours (no experiment of
    # the source has such a lull before fresh counts), every number is the source's.
    Slice("4509ec", 1, 23, last_lands_on=30),
    Slice("4509ec", 24, 28),
    # Begins on the last day: control has 175 impressions (prior), variant_1 has 203 (14 days).
    Slice("591c2c", 1, 1),
    # From day 29 on every row has more clicks than impressions (late conversions of sessions that
    # had ended): all rejected, so the rest lies outside the 14 days and no fresh count comes.
    Slice("df31d1", 17, 60),
    # One row with -5516 impressions, in an experiment that is otherwise in order.
    Slice("b3280a", 3, 31),
    # Ordinary ones: long, short, large, small, with a rejected row here and there.
    Slice("3b62b9", 32, 75),
    Slice("3c9dfd", 0, 30),
    Slice("530a76", 0, 43),
    Slice("5ca6d6", 1, 43),
    Slice("65c732", 3, 46),
    Slice("d6e1d7", 2, 14),  # starts late: 13 days
)


def cut(
    rows: Iterable[Mapping[str, str]], slices: Sequence[Slice] = SLICES
) -> list[tuple[str, str, int, str, str]]:
    """Return the rows of the sample, ordered by experiment, day and variant.

    Args:
        rows: Rows of the source with the keys of `COLUMNS`; `day` is an integer as text.
        slices: The slices to take. An experiment may have several.

    Returns:
        Tuples in the order of `COLUMNS`; the experiment's name gets the prefix `asos_`, the counts
        keep their text.

    Raises:
        ValueError: A slice finds no row in the source.
    """
    source = list(rows)
    taken: list[tuple[str, str, int, str, str]] = []
    for part in slices:
        shift = part.last_lands_on - part.last
        found = [
            (
                f"asos_{row['experiment']}",
                row["variant"],
                int(row["day"]) + shift,
                row["impressions"],
                row["clicks"],
            )
            for row in source
            if row["experiment"] == part.experiment and part.first <= int(row["day"]) <= part.last
        ]
        if not found:
            raise ValueError(f"the source has no rows for {part}")
        taken += found
    return sorted(taken, key=lambda row: (row[0], row[2], row[1]))


def to_csv(rows: Iterable[tuple[str, str, int, str, str]]) -> str:
    """Return the rows as CSV with a header and Unix line ends."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def main(arguments: Sequence[str]) -> int:
    """Write the sample to `SAMPLE_PATH`; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: cut_sample.py PATH_TO_asos_daily_metrics.csv\n")
        return 2
    with Path(arguments[0]).open(encoding="utf-8", newline="") as source:
        SAMPLE_PATH.write_text(to_csv(cut(csv.DictReader(source))), "utf-8", newline="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
