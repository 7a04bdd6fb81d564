"""The sample keeps every promise of its README, proven from the file itself."""

import csv
from collections import defaultdict
from itertools import pairwise
from typing import NamedTuple

import pytest

from tools.cut_sample import COLUMNS, LAST_DAY, SAMPLE_PATH, Slice, cut, main, to_csv

MIN_IMPRESSIONS = 200


class Row(NamedTuple):
    experiment: str
    variant: str
    day: int
    impressions: int
    clicks: int

    @property
    def is_accepted(self) -> bool:
        return 0 <= self.clicks <= self.impressions


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    with SAMPLE_PATH.open(encoding="utf-8", newline="") as file:
        return [
            Row(
                row["experiment"],
                row["variant"],
                int(row["day"]),
                int(row["impressions"]),
                int(row["clicks"]),
            )
            for row in csv.DictReader(file)
        ]


def window_sum(rows: list[Row], experiment: str, variant: str, days: int) -> int:
    return sum(
        row.impressions
        for row in rows
        if (row.experiment, row.variant) == (experiment, variant)
        and row.is_accepted
        and LAST_DAY - days < row.day <= LAST_DAY
    )


def source_of(rows: list[Row]) -> dict[str, dict[str, str]]:
    """Say which window the rule takes for each variant on the last day."""
    sources: dict[str, dict[str, str]] = defaultdict(dict)
    for experiment, variant in {(row.experiment, row.variant) for row in rows}:
        if window_sum(rows, experiment, variant, 14) >= MIN_IMPRESSIONS:
            source = "default_window"
        elif window_sum(rows, experiment, variant, 30) >= MIN_IMPRESSIONS:
            source = "max_window"
        else:
            source = "prior"
        sources[experiment][variant] = source
    return sources


def variants_of(rows: list[Row]) -> dict[str, set[str]]:
    variants = defaultdict(set)
    for row in rows:
        variants[row.experiment].add(row.variant)
    return variants


def last_accepted_day(rows: list[Row], experiment: str) -> int:
    return max(row.day for row in rows if row.experiment == experiment and row.is_accepted)


def test_it_is_small_and_has_the_documented_columns():
    text = SAMPLE_PATH.read_bytes()
    assert len(text) < 60_000
    assert text.splitlines()[0].decode() == ",".join(COLUMNS)
    assert b"\r" not in text


def test_no_variant_has_two_rows_on_a_day_and_days_run_from_1_to_the_last(rows):
    keys = [(row.experiment, row.day, row.variant) for row in rows]
    assert len(set(keys)) == len(keys)
    assert keys == sorted(keys)
    assert (min(row.day for row in rows), max(row.day for row in rows)) == (1, LAST_DAY)


def test_there_are_at_least_12_experiments_each_with_a_control_and_another_variant(rows):
    variants = variants_of(rows)
    assert len(variants) >= 12
    assert all("control" in names and len(names) >= 2 for names in variants.values())
    assert all(name.startswith("asos_") for name in variants)


def test_at_least_three_experiments_have_three_to_five_variants(rows):
    sizes = [len(names) for names in variants_of(rows).values()]
    assert sum(3 <= size <= 5 for size in sizes) >= 3
    assert max(sizes) == 5


def test_one_experiment_with_counts_of_the_last_day_falls_back_to_30_days(rows):
    sources = source_of(rows)["asos_4509ec"]
    assert sources == {"control": "max_window", "variant_1": "max_window"}
    assert last_accepted_day(rows, "asos_4509ec") == LAST_DAY


def test_one_variant_falls_back_to_the_prior_while_its_rival_does_not(rows):
    assert source_of(rows)["asos_591c2c"] == {"control": "prior", "variant_1": "default_window"}
    assert last_accepted_day(rows, "asos_591c2c") == LAST_DAY


def test_most_experiments_use_the_default_window(rows):
    ordinary = [
        experiment
        for experiment, sources in source_of(rows).items()
        if set(sources.values()) == {"default_window"}
    ]
    assert len(ordinary) >= 12


def test_some_rows_are_to_be_rejected_and_one_of_them_is_negative(rows):
    rejected = [row for row in rows if not row.is_accepted]
    assert len({row.experiment for row in rejected}) >= 3
    assert sum(row.clicks > row.impressions >= 0 for row in rejected) >= 10
    assert [row.experiment for row in rejected if row.impressions < 0] == ["asos_b3280a"]
    assert len(rejected) < 0.05 * len(rows)


def test_one_experiment_gets_nothing_more_some_days_before_the_end(rows):
    assert max(row.day for row in rows if row.experiment == "asos_47a23b") == LAST_DAY - 6


def test_one_experiment_goes_on_delivering_rows_that_are_all_rejected(rows):
    assert max(row.day for row in rows if row.experiment == "asos_df31d1") == LAST_DAY
    assert last_accepted_day(rows, "asos_df31d1") == LAST_DAY - 16


def test_all_but_the_two_dead_feeds_have_accepted_counts_on_the_last_day(rows):
    late = {
        experiment
        for experiment in variants_of(rows)
        if last_accepted_day(rows, experiment) < LAST_DAY
    }
    assert late == {"asos_47a23b", "asos_df31d1"}


def test_some_experiments_start_late(rows):
    first_day = {
        experiment: min(row.day for row in rows if row.experiment == experiment)
        for experiment in variants_of(rows)
    }
    assert {name for name, day in first_day.items() if day > LAST_DAY - 14} == {
        "asos_591c2c",
        "asos_b2da2e",
        "asos_d6e1d7",
    }


def test_the_paused_experiment_is_the_only_one_with_a_long_silence(rows):
    silent = set()
    for experiment in variants_of(rows):
        days = sorted({row.day for row in rows if row.experiment == experiment})
        if any(later - earlier > 3 for earlier, later in pairwise(days)):
            silent.add(experiment)
    assert silent == {"asos_4509ec"}


TINY = [
    {"experiment": name, "variant": variant, "day": day, "impressions": seen, "clicks": clicked}
    for name, variant, day, seen, clicked in [
        ("aa", "variant_1", "7", "50", "9"),
        ("aa", "control", "7", "0050", "8"),
        ("aa", "control", "8", "-3", "70"),
        ("aa", "control", "9", "60", "6"),
        ("bb", "control", "0", "10", "1"),
        ("cc", "control", "8", "10", "1"),
    ]
]


def test_a_slice_is_shifted_as_a_whole_and_its_counts_stay_as_they_are():
    assert cut(TINY, [Slice("bb", 0, 3, last_lands_on=5), Slice("aa", 7, 8)]) == [
        ("asos_aa", "control", 43, "0050", "8"),  # 7 + (44 - 8)
        ("asos_aa", "variant_1", 43, "50", "9"),
        ("asos_aa", "control", 44, "-3", "70"),
        ("asos_bb", "control", 2, "10", "1"),  # 0 + (5 - 3)
    ]


def test_the_order_of_the_source_makes_no_difference():
    slices = [Slice("aa", 7, 9), Slice("cc", 1, 9)]
    assert to_csv(cut(TINY[::-1], slices)) == to_csv(cut(TINY, slices))


def test_a_slice_without_rows_is_an_error():
    with pytest.raises(ValueError, match=r"no rows for .*experiment='zz'"):
        cut(TINY, [Slice("zz", 1, 2)])


def test_the_script_writes_nothing_without_its_one_argument(capsys):
    before = SAMPLE_PATH.read_bytes()
    assert main([]) == 2
    assert "usage" in capsys.readouterr().err
    assert SAMPLE_PATH.read_bytes() == before
