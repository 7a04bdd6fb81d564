"""Each asset for one day, for a range, and again."""

import pytest

from mab_pipeline import metadata

EXPERIMENT = "checkout"
DAYS = ("2025-03-15", "2025-03-16", "2025-03-17")
ASSETS = (
    "experiments",
    "raw_metrics",
    "daily_metrics",
    "windowed_aggregates",
    "allocations",
    "publication",
)


def fill(world):
    world.register(EXPERIMENT)
    world.register("quiet", "control", "b", "c")
    for place, day in enumerate(DAYS):
        world.metrics(
            day,
            (EXPERIMENT, "control", 100 + place, 3),
            (EXPERIMENT, "variant_a", 100, 4 + place),
            ("quiet", "b", 7, 1),
            ("quiet", "b", 7, 2),
            ("quiet", "c", "many", 0),
        )
    return world


@pytest.fixture(scope="module")
def one_day(make_world):
    world = fill(make_world())
    world.result = world.run(DAYS[0])
    return world


@pytest.fixture(scope="module")
def three_days(make_world):
    world = fill(make_world())
    world.result = world.run(DAYS[0], DAYS[-1])
    return world


def test_experiments_holds_each_registration_from_the_beginning_of_time(one_day):
    rows = one_day.query(
        "select experiment_name, cast(valid_from_date as varchar), status from experiments "
        "order by experiment_name"
    )
    assert rows == [(EXPERIMENT, "1900-01-01", "running"), ("quiet", "1900-01-01", "running")]
    variants = one_day.query(
        "select variant_name, is_control, position from variants join experiments "
        "using (experiment_id) where experiment_name = 'quiet' order by position"
    )
    assert variants == [("control", True, 0), ("b", False, 1), ("c", False, 2)]


def test_raw_metrics_of_one_day_holds_every_row_as_received(one_day):
    rows = one_day.query(
        "select row_number, experiment, variant_name, impressions, clicks, error "
        "from raw_metrics order by row_number"
    )
    assert rows == [
        (1, EXPERIMENT, "control", "100", "3", None),
        (2, EXPERIMENT, "variant_a", "100", "4", None),
        (3, "quiet", "b", "7", "1", None),
        (4, "quiet", "b", "7", "2", None),
        (5, "quiet", "c", "many", "0", None),
    ]


def test_daily_metrics_of_one_day_holds_the_last_good_row_of_each_variant(one_day):
    rows = one_day.query(
        "select variant_name, impressions, clicks from daily_metrics order by variant_name"
    )
    # Of the two rows of b the second wins; "many" is not a count.
    assert rows == [("b", 7, 2), ("control", 100, 3), ("variant_a", 100, 4)]


def test_windowed_aggregates_of_one_day_falls_back_to_the_prior_below_200_impressions(one_day):
    # 100 impressions in 14 days and 100 in 30 days are both fewer than 200.
    prior = ("prior", 1, 0, 0)
    assert one_day.windows(EXPERIMENT, DAYS[0]) == {"control": prior, "variant_a": prior}


def test_windowed_aggregates_of_a_range_sums_up_to_each_day(three_days):
    # 15th: 100 and 100 -> prior. 16th: 100 + 101 = 201 and 200 impressions -> 14 days;
    # clicks 3 + 3 = 6 and 4 + 5 = 9. 17th: 201 + 102 = 303 and 300; clicks 9 and 9 + 6 = 15.
    assert three_days.windows(EXPERIMENT, DAYS[0]) == {
        "control": ("prior", 1, 0, 0),
        "variant_a": ("prior", 1, 0, 0),
    }
    assert three_days.windows(EXPERIMENT, DAYS[1]) == {
        "control": ("default_window", 2, 201, 6),
        "variant_a": ("default_window", 2, 200, 9),
    }
    assert three_days.windows(EXPERIMENT, DAYS[2]) == {
        "control": ("default_window", 3, 303, 9),
        "variant_a": ("default_window", 3, 300, 15),
    }


def test_allocations_are_posterior_and_share_of_every_variant(three_days):
    rows = three_days.query(
        "select variant_name, alpha, beta, effective_date - as_of_date, samples, "
        "sum(allocation_hundredths) over () from allocations join experiments "
        "using (experiment_id) where experiment_name = ? and as_of_date = ? order by 1",
        EXPERIMENT,
        DAYS[2],
    )
    # Beta(1 + clicks, 99 + impressions - clicks): 1 + 9, 99 + 303 - 9; 1 + 15, 99 + 300 - 15.
    assert rows == [
        ("control", 10.0, 393.0, 1, 10_000, 10_000),
        ("variant_a", 16.0, 384.0, 1, 10_000, 10_000),
    ]


def test_an_experiment_whose_variants_all_fall_back_is_split_about_evenly(one_day):
    # Three equal Betas: 1/3 each, within five standard errors of 10,000 draws (0.47 %).
    shares = one_day.shares("quiet", DAYS[0])
    assert sorted(shares) == ["b", "c", "control"]
    assert all(abs(share - 100 / 3) < 2.4 for share in shares.values())


def test_publication_publishes_each_experiment_once_a_day_with_all_buckets(three_days):
    assert [day for day, _ in three_days.published(EXPERIMENT)] == list(DAYS)
    body = three_days.bodies()[EXPERIMENT]
    buckets = sorted(
        bucket
        for variant in body["allocations"]
        for first, last in variant["buckets"]
        for bucket in range(first, last + 1)
    )
    assert buckets == list(range(100))
    assert body["as_of_date"] == DAYS[2]
    assert body["held_back"] is None


def test_every_asset_is_materialised_for_each_day_of_the_range(three_days, materialized):
    for asset in ASSETS:
        assert materialized(three_days.result, asset) == list(DAYS)


def test_materialisations_say_how_much_there_was(one_day):
    by_asset = {
        event.asset_key.to_user_string(): event.materialization.metadata
        for event in one_day.result.get_asset_materialization_events()
    }
    counts = {asset: by_asset[asset]["dagster/row_count"].value for asset in ASSETS}
    # 2 experiments; 5 rows received; 3 accepted; 2 + 3 variants in windows and allocations;
    # 2 publications.
    assert list(counts.values()) == [2, 5, 3, 5, 5, 2]
    daily = {name: value.value for name, value in by_asset["daily_metrics"].items()}
    assert (daily["rows_superseded"], daily["rows_rejected"]) == (1, 1)
    assert (daily["impressions"], daily["clicks"]) == (207, 9)


def metadata_by_day(world, asset):
    """Return the metadata of each day's materialisation, by its name."""
    return {
        event.partition: {
            name: entry.value for name, entry in event.materialization.metadata.items()
        }
        for event in world.result.get_asset_materialization_events()
        if event.asset_key.to_user_string() == asset
    }


def test_a_range_says_of_each_day_what_there_was(three_days):
    counts = {
        # Each day: 5 rows, 3 accepted of 2 experiments; 2 + 3 variants.
        "daily_metrics": {"received": 5, "accepted": 3, "rejected": 1, "experiments": 2},
        "windowed_aggregates": {"rows": 5, "experiments": 2},
        "allocations": {"rows": 5, "experiments": 2},
    }
    for asset, expected in counts.items():
        by_day = metadata_by_day(three_days, asset)
        for day in DAYS:
            assert {name: by_day[day][f"{name}_of_the_day"] for name in expected} == expected
        table = by_day[DAYS[-1]]["days"]
        assert [row.data["day"] for row in table.records] == list(DAYS)
        assert all(row.data.items() >= expected.items() for row in table.records)
        assert {"days", "plot_of_the_day"}.isdisjoint(by_day[DAYS[0]])


def test_a_range_says_of_each_day_what_was_published_and_held_back(three_days):
    by_day = metadata_by_day(three_days, "publication")
    # A row of each day of `quiet` is rejected: published first, it is held back from then on.
    table = by_day[DAYS[-1]]["days"]
    assert [(row.data["published"], row.data["held_back"]) for row in table.records] == [
        (2, 0),
        (1, 1),
        (1, 1),
    ]
    assert [by_day[day]["held_back_of_the_day"] for day in DAYS] == [0, 1, 1]
    assert by_day[DAYS[-1]]["held_back_now"] == ["quiet"]
    assert ["served_now" in by_day[day] for day in DAYS] == [False, False, True]


def test_a_run_of_one_day_needs_no_table_of_days(one_day):
    for asset in ASSETS:
        assert "days" not in metadata_by_day(one_day, asset)[DAYS[0]]
    plot = metadata_by_day(one_day, "allocations")[DAYS[0]]["plot_of_the_day"]
    headings = [line for line in plot.splitlines() if line.endswith(":")]
    assert sorted(headings) == [f"{EXPERIMENT}:", "quiet:"]


def test_a_day_without_rows_is_there_with_zeros_and_the_table_is_bounded(make_world, monkeypatch):
    monkeypatch.setattr(metadata, "DAYS_SHOWN", 2)
    world = fill(make_world())
    world.result = world.run(
        "2025-03-14", DAYS[-1], assets=("experiments", "raw_metrics", "daily_metrics")
    )
    by_day = metadata_by_day(world, "daily_metrics")
    assert by_day["2025-03-14"]["received_of_the_day"] == 0
    assert by_day[DAYS[0]]["received_of_the_day"] == 5
    assert [row.data["day"] for row in by_day[DAYS[-1]]["days"].records] == list(DAYS[-2:])


def test_three_single_days_in_order_equal_one_range_of_three(three_days, make_world):
    singly = fill(make_world())
    for day in DAYS:
        singly.run(day)
    days, span = singly.tables(), three_days.tables()
    # A range analyses the newest decisions alone, and its earlier days were never live.
    newest = [row for row in days.pop("analysis") if str(row["as_of_date"]) == DAYS[-1]]
    analysed = [row for row in span.pop("analysis") if str(row["as_of_date"]) == DAYS[-1]]
    assert [row["allocation_id"] for row in newest] == [row["allocation_id"] for row in analysed]
    assert newest
    assert days == span


def test_running_a_day_or_a_range_again_changes_nothing(make_world):
    world = fill(make_world())
    world.run(DAYS[0], DAYS[-1])
    before = world.tables(volatile=True)
    world.run(DAYS[0], DAYS[-1])
    assert world.tables(volatile=True) == before
    world.run(DAYS[1])
    assert world.tables(volatile=True) == before


@pytest.mark.parametrize("asset", ASSETS)
def test_one_asset_alone_can_be_materialised_again_for_a_day_and_a_range(three_days, asset):
    before = three_days.tables(volatile=True)
    three_days.run(DAYS[1], assets=(asset,))
    three_days.run(DAYS[0], DAYS[2], assets=(asset,))
    assert three_days.tables(volatile=True) == before
