-- Purpose: variants that had traffic within the maximum window but none in its last 3 days; warning.
-- Parameters: :start_date first as-of day, :end_date day after the last
with recent as (
    select distinct
        windowed_aggregates.as_of_date,
        windowed_aggregates.experiment_id,
        windowed_aggregates.variant_name
    from windowed_aggregates
    inner join daily_metrics
        on
            windowed_aggregates.experiment_id = daily_metrics.experiment_id
            and windowed_aggregates.variant_name = daily_metrics.variant_name
            and daily_metrics.metric_date > windowed_aggregates.as_of_date - 3
            and daily_metrics.metric_date <= windowed_aggregates.as_of_date
            and daily_metrics.impressions > 0
    where
        windowed_aggregates.as_of_date >= cast(:start_date as date)
        and windowed_aggregates.as_of_date < cast(:end_date as date)
)

select
    windowed_aggregates.as_of_date as day,
    windowed_aggregates.experiment_id || ' ' || windowed_aggregates.variant_name
    || ' had no impressions for 3 days' as detail
from windowed_aggregates
left join recent
    on
        windowed_aggregates.as_of_date = recent.as_of_date
        and windowed_aggregates.experiment_id = recent.experiment_id
        and windowed_aggregates.variant_name = recent.variant_name
where
    windowed_aggregates.as_of_date >= cast(:start_date as date)
    and windowed_aggregates.as_of_date < cast(:end_date as date)
    and windowed_aggregates.max_window_impressions > 0
    and recent.experiment_id is null;
