-- Purpose: how often a variant had been shown since it joined before the oldest day of daily_metrics, as
--          its decisions recorded it; for BURN_IN after a rebuild without archived days. Without burn-in
--          a decision recorded no more than the impressions that it used. Of the variants of
--          allocations_since_joined only.
-- Grain:   as_of_date, experiment_id, variant_name
-- Inputs:  windowed_aggregates, allocations, daily_metrics
-- Parameters: :start_date first as-of day, :end_date day after the last,
--          :min_impressions [impressions]
with held as (
    select min(metric_date) as first_date
    from daily_metrics
)

select
    windowed_aggregates.as_of_date,
    windowed_aggregates.experiment_id,
    windowed_aggregates.variant_name,
    max(coalesce(allocations.impressions_since_joined, allocations.impressions)) as impressions_before
from windowed_aggregates
cross join held
inner join allocations
    on
        windowed_aggregates.experiment_id = allocations.experiment_id
        and windowed_aggregates.variant_name = allocations.variant_name
        and windowed_aggregates.as_of_date > allocations.as_of_date
where
    windowed_aggregates.as_of_date >= cast(:start_date as date)
    and windowed_aggregates.as_of_date < cast(:end_date as date)
    and windowed_aggregates.max_window_impressions < cast(:min_impressions as bigint)
    and allocations.as_of_date < coalesce(held.first_date, windowed_aggregates.as_of_date)
group by
    windowed_aggregates.as_of_date,
    windowed_aggregates.experiment_id,
    windowed_aggregates.variant_name
order by
    windowed_aggregates.as_of_date,
    windowed_aggregates.experiment_id,
    windowed_aggregates.variant_name;
