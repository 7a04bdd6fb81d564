"""A corruption of the tables for each check, and the finding that it must give."""

FIRST, DAY, LAST = "2025-03-17", "2025-03-18", "2025-03-19"
ON_DAY = f"where metric_date = '{DAY}'"
AS_OF = f"where as_of_date = '{DAY}'"
OF_CONTROL = "and variant_name = 'control'"
ALL_TO_CONTROL = "case variant_name when 'control' then 10000 else 0 end"
HOLD = (
    "insert into publication_holds select as_of_date, experiment_id, now(), '{}', '{}', 'run' "
    f"from publications {AS_OF}"
)


# For each check: a statement that corrupts the tables, the day on which the check then fails, and a
# part of its finding.
BAD = [
    (
        "experiments.grain_is_unique",
        "insert into experiments select * from experiments",
        LAST,
        "2 rows for exp_",
    ),
    (
        "experiments.grain_is_unique",
        "insert into variants select * from variants where variant_name = 'variant_a'",
        LAST,
        "variant_a",
    ),
    (
        "experiments.columns_as_declared",
        "alter table variants add column extra bigint",
        LAST,
        "variants differs from its declaration in: extra bigint",
    ),
    (
        "experiments.event_files_are_readable",
        "update inbox_files set error = 'is not JSON' where metric_date is null",
        LAST,
        "registered.json is not JSON",
    ),
    (
        "raw_metrics.grain_is_unique",
        f"insert into raw_metrics select * from raw_metrics {ON_DAY} and row_number = 2",
        DAY,
        f"2 rows for metrics/{DAY}/export.csv row 2",
    ),
    (
        "raw_metrics.columns_as_declared",
        "alter table raw_metrics drop column submission_id",
        LAST,
        "raw_metrics differs from its declaration in: submission_id varchar",
    ),
    (
        "raw_metrics.files_are_readable",
        f"update inbox_files set error = 'is empty' {ON_DAY}",
        DAY,
        f"metrics/{DAY}/export.csv is empty",
    ),
    (
        "daily_metrics.grain_is_unique",
        f"insert into daily_metrics select * from daily_metrics {ON_DAY}",
        DAY,
        "2 rows for exp_",
    ),
    (
        "daily_metrics.columns_as_declared",
        "alter table daily_metrics alter column clicks type double",
        LAST,
        "daily_metrics differs from its declaration in: clicks bigint, clicks double",
    ),
    (
        "daily_metrics.every_row_is_accounted_for",
        f"delete from daily_metrics {ON_DAY} and variant_name = 'control'",
        DAY,
        "3 rows received, but 1 accepted + 1 superseded + 0 rejected",
    ),
    (
        "daily_metrics.counts_are_possible",
        f"update daily_metrics set clicks = impressions + 1 {ON_DAY}",
        DAY,
        "401 clicks of 400 impressions",
    ),
    (
        "daily_metrics.counts_are_possible",
        f"update daily_metrics set clicks = -1 {ON_DAY}",
        DAY,
        "-1 clicks",
    ),
    (
        "daily_metrics.counts_are_possible",
        f"update daily_metrics set impressions = 9007199254740992 {ON_DAY}",
        DAY,
        "of 9007199254740992 impressions",
    ),
    (
        "daily_metrics.few_rows_are_rejected",
        f"update raw_metrics set clicks = 'x' {ON_DAY} and row_number = 1",
        DAY,
        "1 of 3 rows were rejected",
    ),
    (
        "windowed_aggregates.grain_is_unique",
        f"insert into windowed_aggregates select * from windowed_aggregates {AS_OF}",
        DAY,
        "2 rows for exp_",
    ),
    (
        "windowed_aggregates.columns_as_declared",
        "alter table windowed_aggregates rename column clicks to click",
        LAST,
        "click bigint, clicks bigint",
    ),
    (
        "windowed_aggregates.window_days_are_loaded",
        f"delete from raw_metrics where metric_date = '{LAST}'",
        LAST,
        f"metrics/{LAST}/export.csv is not loaded; materialise raw_metrics and daily_metrics",
    ),
    (
        "windowed_aggregates.window_days_are_loaded",
        f"update daily_metrics set clicks = 0 where metric_date = '{LAST}'",
        LAST,
        f"daily_metrics of {LAST} is older than raw_metrics",
    ),
    (
        "windowed_aggregates.window_days_are_loaded",
        "update inbox_files set sha256 = 'another' where metric_date = '2025-03-19'",
        LAST,
        "export.csv is not loaded",
    ),
    (
        "windowed_aggregates.variants_have_traffic",
        "update daily_metrics set impressions = 0, clicks = 0 where metric_date > '2025-03-16'",
        LAST,
        "control had no impressions for 3 days",
    ),
    (
        "windowed_aggregates.variants_share_a_window",
        f"update windowed_aggregates set data_source = 'prior' {AS_OF} {OF_CONTROL}",
        DAY,
        "its variants use default_window and prior",
    ),
    (
        "allocations.grain_is_unique",
        f"insert into allocations select * from allocations {AS_OF}",
        DAY,
        "2 rows for exp_",
    ),
    (
        "allocations.columns_as_declared",
        "alter table allocations alter column seed type varchar",
        LAST,
        "seed bigint, seed varchar",
    ),
    (
        "allocations.every_running_variant_has_a_row",
        f"delete from allocations {AS_OF} and variant_name = 'control'",
        DAY,
        f"no share for control; materialise allocations of {DAY}",
    ),
    (
        "allocations.every_running_variant_has_a_row",
        f"update windowed_aggregates set impressions = impressions + 1 {AS_OF}",
        DAY,
        "no share for control, variant_a",
    ),
    (
        "allocations.shares_sum_to_100",
        f"update allocations set allocation_hundredths = 5001 {AS_OF}",
        DAY,
        "shares [5001, 5001] (in 0.01 %) sum to 10002, not to 10000",
    ),
    (
        "allocations.monte_carlo_agrees_with_exact",
        # Equal counts: 1/2 each. 10,000 wins of 10,000 have the probability 2^-10000.
        f"update allocations set allocation_hundredths = {ALL_TO_CONTROL} {AS_OF}",
        DAY,
        "control: 100.00 % of 10000 draws, but the exact probability is 0.5",
    ),
    (
        "publication.grain_is_unique",
        f"insert into publications select * from publications {AS_OF}",
        DAY,
        "2 rows for exp_",
    ),
    (
        "publication.traffic_follows_shares",
        """update analysis set sample_ratio_p_value = 0.000999,
        analysis = replace(analysis, '"p_value":null', '"p_value":0.000999')""",
        LAST,
        "do not fit the published shares",
    ),
    (
        "publication.columns_as_declared",
        "alter table publication_holds drop column detail",
        LAST,
        "publication_holds differs from its declaration in: detail varchar",
    ),
    (
        "publication.feeds_are_alive",
        HOLD.format("data_gap", "none since"),
        DAY,
        "none since",
    ),
    (
        "publication.variants_are_complete",
        HOLD.format("variant_gap", "b is missing"),
        DAY,
        "b is missing",
    ),
    (
        "publication.current_rows_are_the_newest",
        "update current_publications set as_of_date = as_of_date - 1",
        LAST,
        "current_publications has not its newest row alone",
    ),
    (
        "publication.current_rows_are_the_newest",
        "insert into current_publications select * from current_publications",
        LAST,
        "current_publications has not its newest row alone",
    ),
    (
        "publication.current_rows_are_the_newest",
        HOLD.format("data_gap", "no data").replace(DAY, LAST),
        LAST,
        "current_holds has not its newest row alone",
    ),
    (
        "publication.current_rows_are_the_newest",
        "delete from current_analyses",
        LAST,
        "current_analyses has not its newest row alone",
    ),
    (
        "publication.newest_day_is_decided",
        "delete from allocations where as_of_date > '2025-03-17'",
        LAST,
        "the newest decided day is 2025-03-17",
    ),
]
