"""Variant gaps: which rows count, how many, since when, and both sides of every edge.

The day is the 10th of March, MAX_DATA_GAP_DAYS=3: the 8th, 9th and 10th are judged.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import pytest

from mab_pipeline.allocation.variant_gaps import VariantGap, VariantGaps
from mab_store.days import Days
from mab_store.settings import load_settings
from mab_store.warehouse.duckdb.warehouse import SCHEMA_FILES, DuckDBTransaction
from mab_store.warehouse.sql_loader import load_sql
from mab_store.warehouse.table_schema import declared_tables
from tests.unit.sql.test_sql_cases import to_arrow

NAME = "exp_a"
END = date(9999, 12, 31)


def march(day: int) -> date:
    return date(2025, 3, day)


DAY = march(10)
NIGHT = timedelta(days=1, hours=2)  # when the rows of a day come in, after its beginning


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        for name in SCHEMA_FILES:
            for statement in load_sql(name):
                connection.execute(statement.text)
        yield connection


@dataclass
class Scene:
    """What is in the tables; all that a test does not say is as on an ordinary day.

    Attributes:
        rows: (day, variant, impressions, clicks, file) as received; the file may be left out.
            A file is received in the night after the day, in the order of the file's number.
        shares: Hundredths by as-of day and variant; a day that is not there was not published.
        variants: (name, status, valid from, valid to).
        statuses: (status, valid from, valid to) of the experiment.
        live: As-of days whose publication was live.
    """

    rows: list[tuple[Any, ...]]
    shares: dict[int, dict[str, int]] = field(
        default_factory=lambda: {day: {"control": 5000, "b": 5000} for day in range(5, 10)}
    )
    variants: list[tuple[Any, ...]] = field(
        default_factory=lambda: [("control", "active"), ("b", "active")]
    )
    statuses: list[tuple[Any, ...]] = field(default_factory=lambda: [("running",)])
    live: set[int] = field(default_factory=lambda: set(range(1, 32)))

    def tables(self) -> dict[str, list[dict[str, object]]]:
        beginning = date(1900, 1, 1)
        known = [(*row, beginning, END)[:4] if len(row) == 2 else row for row in self.variants]
        statuses = [(*row, beginning, END)[:3] if len(row) == 1 else row for row in self.statuses]
        tomorrow = DAY + timedelta(days=1)
        return {
            "experiments": [
                {
                    "experiment_id": NAME,
                    "experiment_name": "a",
                    "status": status,
                    "valid_from_date": start,
                    "valid_to_date": end,
                }
                for status, start, end in statuses
            ],
            "variants": [
                {
                    "experiment_id": NAME,
                    "variant_name": name,
                    "status": status,
                    "valid_from_date": start,
                    "valid_to_date": end,
                }
                for name, status, start, end in known
            ],
            "windowed_aggregates": [
                {"as_of_date": DAY, "experiment_id": NAME, "variant_name": name}
                for name, status, start, end in known
                if status == "active" and start <= tomorrow < end
            ],
            "raw_metrics": [self._raw(number, *row) for number, row in enumerate(self.rows)],
            "allocations": [
                {
                    "as_of_date": march(day),
                    "experiment_id": NAME,
                    "variant_name": name,
                    "allocation_id": f"al{day}",
                    "allocation_hundredths": hundredths,
                }
                for day, shares in self.shares.items()
                for name, hundredths in shares.items()
            ],
            "publications": [
                {
                    "as_of_date": march(day),
                    "experiment_id": NAME,
                    "allocation_id": f"al{day}",
                    "was_live": day in self.live,
                }
                for day in self.shares
            ],
        }

    @staticmethod
    def _raw(
        number: int,
        day: int,
        variant: str | None,
        impressions: object,
        clicks: object,
        file: int = 1,
    ) -> dict[str, object]:
        midnight = datetime.combine(march(day), datetime.min.time())
        return {
            "metric_date": march(day),
            "source_file": f"metrics/{march(day)}/{file}.csv",
            "row_number": number,
            "received_at": midnight + NIGHT + timedelta(minutes=file),
            "experiment": "a",
            "variant_name": variant,
            "impressions": str(impressions),
            "clicks": str(clicks),
        }


@pytest.fixture
def gap_of(connection):
    """Return the one gap of a scene, or None."""

    def find(scene: Scene, **settings: object) -> VariantGap | None:
        transaction = DuckDBTransaction(connection)
        tables = scene.tables()
        for name, table in declared_tables().items():
            connection.execute(f"delete from {name}")
            if tables.get(name):
                transaction.load_arrow(name, to_arrow(table, tables[name]))
        everything = {"start_date": march(1), "end_date": march(31)}
        transaction.execute("assets/daily_metrics", everything)
        chosen = load_settings(_env_file=None, mab_home="nowhere", **settings)
        gaps = VariantGaps(transaction, Days(DAY, DAY + timedelta(days=1)), chosen).of(DAY)
        assert set(gaps) <= {NAME}
        return gaps.get(NAME)

    return find


def traffic(*days: int, control: int = 500, b: int = 500) -> list[tuple[Any, ...]]:
    return [
        (day, name, count, 0) for day in days for name, count in (("control", control), ("b", b))
    ]


def test_ordinary_traffic_has_no_gap(gap_of):
    assert gap_of(Scene(traffic(8, 9, 10))) is None


# Rejected impressions: one name that is unknown, beside accepted ones.


@pytest.mark.parametrize(
    ("accepted", "rejected", "allowed", "has_gap"),
    [
        (900, 100, 0.10, False),
        (899, 101, 0.10, True),
        (71, 29, 0.29, False),  # 0.29 of 100 is 28.999999999999996 in binary
        (70, 30, 0.29, True),
        (10**6, 1, 0.0, True),
        (1, 10**6, 1.0, False),  # 1 turns it off
    ],
)
def test_more_than_the_share_must_be_rejected(gap_of, accepted, rejected, allowed, has_gap):
    scene = Scene([(10, "control", accepted, 0), (10, "odd", rejected, 0)])
    gap = gap_of(scene, max_rejected_share_held=allowed, variant_gap_impressions=0)
    assert (gap is not None) is has_gap


@pytest.mark.parametrize(("day", "counts"), [(7, False), (8, True), (10, True), (11, False)])
def test_rejections_count_from_the_first_judged_day_to_the_last(gap_of, day, counts):
    gap = gap_of(Scene([*traffic(8, 9, 10), (day, "odd", 5000, 0)]))
    assert (gap is not None) is counts


@pytest.mark.parametrize(("days", "counts"), [(1, False), (2, False), (3, True), (30, True)])
def test_how_far_back_is_judged_is_a_setting(gap_of, days, counts):
    gap = gap_of(Scene([*traffic(10), (8, "odd", 5000, 0)]), max_data_gap_days=days)
    assert (gap is not None) is counts


def test_a_gap_says_what_was_rejected_the_largest_first(gap_of):
    rows = [(10, f"odd{number}", 100 + number, 0) for number in range(5)]
    gap = gap_of(Scene([*traffic(10), *rows, (9, "b", 3, 5)]))
    assert gap.detail == (
        "in the 3 days up to 2025-03-10 33.91 % of the impressions were rejected, "
        "10 % are allowed: 104 of 'odd4' (unknown_variant), 103 of 'odd3' (unknown_variant), "
        "102 of 'odd2' (unknown_variant), …"
    )
    assert gap.findings == {"rejected: 'b'", *(f"rejected: 'odd{number}'" for number in range(5))}


def test_a_name_as_received_cannot_write_to_a_terminal(gap_of):
    gap = gap_of(Scene([*traffic(10), (10, "\x1b[31mred\u202e" + "x" * 5000, 900, 0)]))
    assert "\\x1b[31mred\\u202e" in gap.detail
    assert gap.detail.isprintable()
    assert len(gap.detail) < 300


# What a rejected row weighs.

HUGE = 2**53
WEIGHTS = {
    "more clicks than impressions": (250, 300, 250),
    "clicks that are no integer": (250, "n/a", 250),
    "clicks that are negative": (250, -1, 250),
    "clicks that are too large": (250, HUGE, 250),
    "no impressions": (0, 5, 0),
    # Impressions that cannot be read: b's share is 20 %, so 1000 of control are 80 %.
    "impressions that are no integer": ("1e3", 1, 250),
    "impressions that are negative": (-5, 0, 250),
    "impressions that are too large": (HUGE, 0, 250),
    "impressions that are longer": ("9" * 40, 0, 250),
    "nothing": ("", "", 250),
}


@pytest.mark.parametrize("row", WEIGHTS.values(), ids=WEIGHTS)
def test_a_row_of_bad_counts_weighs_its_impressions_or_its_share(gap_of, row):
    impressions, clicks, weight = row
    scene = Scene(
        [(10, "control", 1000, 0), (10, "b", impressions, clicks)],
        shares={9: {"control": 8000, "b": 2000}},
    )
    gap = gap_of(scene, variant_gap_impressions=0, max_rejected_share_held=0.199)
    assert (f"{weight} of 'b'" in gap.detail) if weight else gap is None
    assert gap_of(scene, variant_gap_impressions=0, max_rejected_share_held=0.2) is None


@pytest.mark.parametrize(
    ("shares", "weight"),
    [
        ({9: {"control": 10_000, "b": 0}}, None),  # starved: its empty row freezes nothing
        ({9: {"control": 0, "b": 10_000}}, 900),  # nothing to go by: as an accepted row
        ({}, 900),
        ({9: {"control": 10_000}}, 900),
    ],
)
def test_an_unreadable_row_without_a_share_to_go_by_weighs_as_an_accepted_one(
    gap_of, shares, weight
):
    rows = [(9, "control", 800, 0), (10, "control", 1000, 0), (10, "b", "", "")]
    gap = gap_of(Scene(rows, shares=shares), variant_gap_impressions=0)
    assert (f"{weight} of 'b'" in gap.detail) if weight else gap is None


def test_rows_that_are_all_unreadable_are_all_that_there_is(gap_of):
    gap = gap_of(Scene([(10, "control", "x", 0), (10, "b", "x", 0)]))
    assert "100 % of the impressions were rejected" in gap.detail


def test_a_row_that_was_sent_again_weighs_once(gap_of):
    rows = [(10, "odd", 80, 0, file) for file in (1, 2, 3)]
    assert gap_of(Scene([*traffic(10), *rows])) is None  # 80 of 1080
    assert (
        "90 of 'odd'"
        in gap_of(  # the last of them: 90 of 840
            Scene([*traffic(10, control=375, b=375), (10, "odd", 80, 0, 1), (10, "odd", 90, 0, 2)])
        ).detail
    )


# What settles a rejected row.


@pytest.mark.parametrize(
    ("bad_file", "good_file", "is_settled"), [(1, 2, True), (1, 1, True), (2, 1, False)]
)
def test_bad_counts_are_settled_by_good_ones_that_come_later(
    gap_of, bad_file, good_file, is_settled
):
    rows = [*traffic(8, 9), (10, "control", 500, 0), (10, "b", 500, 501, bad_file)]
    assert gap_of(Scene(rows))
    gap = gap_of(Scene([*rows, (10, "b", 500, 5, good_file)]))
    assert (gap is None) is is_settled


def test_a_correction_to_nothing_settles_bad_counts_too(gap_of):
    rows = [(10, "control", 500, 0), (10, "b", 500, 501), (10, "b", 0, 0, 2)]
    assert gap_of(Scene(rows), variant_gap_impressions=0) is None


RENAMED = [*traffic(8, 9), (10, "control", 500, 0), (10, "new_b", 500, 0)]


@pytest.mark.parametrize(
    ("later", "is_settled"),
    [
        ([(10, "b", 500, 0, 2)], True),
        ([(10, "control", 500, 0, 2), (10, "b", 500, 0, 2)], True),
        ([(10, "control", 510, 0, 2)], False),  # b is still without
        ([(10, "b", 0, 0, 2)], False),
        ([(10, "b", 500, 0, 0)], False),  # was there before
        ([(10, "b", 500, 0, 2), (10, "new_b", 1, 2, 2)], True),  # 1 of 1001
        ([(10, "b", 500, 0, 2), (10, "new_b", 500, 0, 3)], False),
    ],
)
def test_an_unknown_name_is_settled_by_a_later_file_that_completes_the_day(
    gap_of, later, is_settled
):
    assert gap_of(Scene(RENAMED)).findings == {"rejected: 'new_b'"}
    assert (gap_of(Scene([*RENAMED, *later])) is None) is is_settled


@pytest.mark.parametrize(("promised", "is_settled"), [(19, True), (20, False)])
def test_a_day_is_complete_without_a_variant_that_was_promised_little(gap_of, promised, is_settled):
    shares = {day: {"control": 9000, "b": 1000} for day in range(5, 10)}
    rows = [(10, "control", promised * 10, 0, 2), (10, "odd", 500, 0)]
    gap = gap_of(Scene([*traffic(8, 9), *rows], shares=shares))
    assert (gap is None) is is_settled


TOMORROW, TODAY = march(11), march(10)
BEGINNING = date(1900, 1, 1)
REGISTRIES = {
    "renamed": (
        [
            ("b", "active", BEGINNING, TOMORROW),
            ("b", "retired", TOMORROW, END),
            ("new_b", "active", TOMORROW, END),
        ],
        True,
    ),
    "retired alone": (
        [("b", "active", BEGINNING, TOMORROW), ("b", "retired", TOMORROW, END)],
        True,
    ),
    "retired before the rows": (
        [("b", "active", BEGINNING, TODAY), ("b", "retired", TODAY, END)],
        False,
    ),
    "retired only the day after": (
        [("b", "active", BEGINNING, march(12)), ("b", "retired", march(12), END)],
        False,
    ),
    "another variant added": (
        [("b", "active"), ("c", "active", TOMORROW, END)],
        False,
    ),
    "the new name added, the old one kept": (
        [("b", "active"), ("new_b", "active", TOMORROW, END)],
        True,  # as far as rejections go: b is silent from the first day that it has nothing
    ),
}


@pytest.mark.parametrize(("variants", "is_settled"), REGISTRIES.values(), ids=REGISTRIES)
def test_an_unknown_name_is_settled_by_a_change_that_holds_on_the_day_after(
    gap_of, variants, is_settled
):
    gap = gap_of(Scene(RENAMED, variants=[("control", "active"), *variants]))
    assert (gap is None) is is_settled


@pytest.mark.parametrize(("since", "is_settled"), [(TOMORROW, True), (march(12), False)])
def test_bad_counts_of_a_variant_are_settled_by_its_retirement(gap_of, since, is_settled):
    variants = [
        ("control", "active"),
        ("b", "active", BEGINNING, since),
        ("b", "retired", since, END),
    ]
    gap = gap_of(
        Scene([*traffic(8, 9), (10, "control", 500, 0), (10, "b", 1, 2)], variants=variants)
    )
    assert gap is None
    rows = [*traffic(8, 9), (10, "control", 500, 0), (10, "b", 500, 600)]
    assert (gap_of(Scene(rows, variants=variants)) is None) is is_settled


# Silence: a variant without impressions that were promised to it.


def silence(control: int = 100, days: tuple[int, ...] = (10,)) -> list[tuple[Any, ...]]:
    return [(day, "control", control, 0) for day in days]


@pytest.mark.parametrize(
    ("impressions", "hundredths", "has_gap"),
    [(40, 5000, True), (39, 5000, False), (400, 500, True), (400, 499, False), (10**9, 0, False)],
)
def test_a_variant_is_missed_from_20_promised_impressions_on(
    gap_of, impressions, hundredths, has_gap
):
    shares = {9: {"control": 10_000 - hundredths, "b": hundredths}}
    gap = gap_of(Scene(silence(impressions), shares=shares))
    assert (gap is not None) is has_gap
    if has_gap:
        assert gap.findings == {"silent: b"}
        assert gap.detail == (
            "in the 3 days up to 2025-03-10 b has no accepted impressions, its shares promised 20"
        )


@pytest.mark.parametrize(("wanted", "has_gap"), [(0, False), (1, True), (50, True), (51, False)])
def test_how_much_must_have_been_promised_is_a_setting(gap_of, wanted, has_gap):
    gap = gap_of(Scene(silence(100)), variant_gap_impressions=wanted)
    assert (gap is not None) is has_gap


@pytest.mark.parametrize(
    ("day", "impressions", "has_gap"),
    [(7, 1, True), (8, 1, False), (10, 1, False), (11, 1, True), (10, 0, True)],
)
def test_one_impression_within_the_judged_days_breaks_the_silence(
    gap_of, day, impressions, has_gap
):
    gap = gap_of(Scene([*silence(days=(7, 8, 9, 10)), (day, "b", impressions, 0)]))
    assert (gap is not None) is has_gap


def test_promises_of_the_days_add_up(gap_of):
    # 30 impressions a day at 25, 20 and 22 %: 7.5 + 6 + 6.6 = 20.1; without the first day 12.6.
    shares = {7: {"b": 2500}, 8: {"b": 2000}, 9: {"b": 2200}}
    assert "promised 20" in gap_of(Scene(silence(30, (8, 9, 10)), shares=shares)).detail
    assert gap_of(Scene(silence(30, (9, 10)), shares=shares)) is None
    assert gap_of(Scene(silence(30, (7, 9, 10)), shares={6: {"b": 10_000}, **shares})) is None


def test_the_share_of_a_day_is_that_of_the_day_before(gap_of):
    assert gap_of(Scene(silence(), shares={9: {"b": 5000}}))
    assert gap_of(Scene(silence(), shares={10: {"b": 5000}})) is None  # is for tomorrow
    assert gap_of(Scene(silence(), shares={8: {"b": 5000}, 9: {"b": 0}})) is None


def test_while_nothing_newer_is_published_the_old_shares_are_served(gap_of):
    assert gap_of(Scene(silence(), shares={1: {"b": 5000}}))
    assert gap_of(Scene(silence(), shares={1: {"b": 5000}, 2: {"b": 0}})) is None


@pytest.mark.parametrize(("live", "has_gap"), [({8, 9}, False), ({8}, True), (set(), False)])
def test_what_was_published_too_late_was_never_served(gap_of, live, has_gap):
    shares = {8: {"b": 5000}, 9: {"b": 0}}
    assert (gap_of(Scene(silence(), shares=shares, live=live)) is not None) is has_gap


def test_an_experiment_without_any_publication_was_promised_nothing(gap_of):
    assert gap_of(Scene(silence(10**6), shares={})) is None


@pytest.mark.parametrize(("joined", "has_gap"), [(10, True), (11, False)])
def test_a_variant_that_joined_is_judged_from_its_first_day_on(gap_of, joined, has_gap):
    variants = [("control", "active"), ("b", "active", march(joined), END)]
    gap = gap_of(Scene(silence(days=(8, 9, 10)), variants=variants))
    assert (gap is not None) is has_gap


def test_a_retired_variant_is_not_missed(gap_of):
    variants = [
        ("control", "active"),
        ("b", "active", BEGINNING, TOMORROW),
        ("b", "retired", TOMORROW, END),
    ]
    assert gap_of(Scene(silence(days=(8, 9, 10)), variants=variants)) is None


PAUSED = [
    ("running", BEGINNING, march(8)),
    ("paused", march(8), march(10)),
    ("running", march(10), END),
]


@pytest.mark.parametrize(
    ("rows", "has_gap"),
    [
        (silence(days=(8, 9)), False),
        (silence(days=(7,)), False),  # not judged
        (silence(days=(10,)), True),
        ([*traffic(10), (8, "odd", 5000, 0), (9, "odd", 5000, 0)], False),
        ([*traffic(10), (10, "odd", 5000, 0)], True),
        ([*silence(), (9, "b", 50, 0)], True),  # on a day that does not count
    ],
)
def test_paused_days_do_not_count(gap_of, rows, has_gap):
    assert (gap_of(Scene(rows, statuses=PAUSED)) is not None) is has_gap


def test_two_kinds_of_gaps_are_told_together(gap_of):
    gap = gap_of(Scene([*silence(), (10, "new_b", 50, 0)]))
    assert gap.findings == {"silent: b", "rejected: 'new_b'"}
    assert gap.detail == (
        "in the 3 days up to 2025-03-10 b has no accepted impressions, its shares promised 50; "
        "33.33 % of the impressions were rejected, 10 % are allowed: 50 of 'new_b' "
        "(unknown_variant)"
    )
    assert gap_of(Scene(silence()), max_data_gap_days=1).detail.startswith("on 2025-03-10 b has")
