-- Purpose: the counts of each day in the windows of the experiments that run, for ESTIMATE=day_effects.
-- Grain:   metric_date, experiment_id, variant_name
-- Inputs:  windowed_aggregates, daily_metrics
-- Parameters: :start_date first as-of day, :end_date day after the last, :max_window_days [days]
select
    metric_date,
    experiment_id,
    variant_name,
    impressions,
    clicks
from daily_metrics
where
    metric_date > cast(:start_date as date) - :max_window_days
    and metric_date < cast(:end_date as date)
    and experiment_id in (
        select experiment_id
        from windowed_aggregates
        where
            as_of_date >= cast(:start_date as date)
            and as_of_date < cast(:end_date as date)
    )
order by metric_date, experiment_id, variant_name;
